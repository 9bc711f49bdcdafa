// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace virmo::dm_bridge {

// Carries messages to a server and its answers back.
class Transport {
 public:
  struct Request {
    std::string url = {};
    std::string content_type = {};
    std::string body = {};
    std::optional<std::string> hmac = {};  // For x-syncml-hmac.
  };
  struct Answer {
    std::string entity = {};               // As received; empty if it was not compressed.
    std::string body = {};                 // Decompressed.
    std::optional<std::string> hmac = {};  // x-syncml-hmac.
  };

  virtual ~Transport() = default;

  // Posts a message and returns the answer. UNAVAILABLE (SESSION_FAILED) if the server cannot be
  // reached or answers with an HTTP error that may pass (5xx, 429); FAILED_PRECONDITION
  // (POLICY_FORBIDS) for one that will not, or an address that is not allowed; RESOURCE_EXHAUSTED
  // (INSUFFICIENT_RESOURCES) if the answer is too large, also when decompressed; INVALID_ARGUMENT
  // if it cannot be decompressed; CANCELLED when cancelled.
  virtual absl::StatusOr<Answer> Post(const Request& request) = 0;

  // Waits. False, at once, when cancelled.
  virtual bool Pause(absl::Duration duration) = 0;
};

}  // namespace virmo::dm_bridge
