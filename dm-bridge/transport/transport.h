// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace virmo::dm_bridge {

// Carries messages to a server and its answers back.
class Transport {
 public:
  virtual ~Transport() = default;

  // Posts a message and returns the body of the answer. UNAVAILABLE (SESSION_FAILED) if the
  // server cannot be reached or answers with an HTTP error that may pass (5xx, 429);
  // FAILED_PRECONDITION (POLICY_FORBIDS) for one that will not, or an address that is not
  // allowed; RESOURCE_EXHAUSTED (INSUFFICIENT_RESOURCES) if the answer is too large; CANCELLED when
  // cancelled.
  virtual absl::StatusOr<std::string> Post(const std::string& url, const std::string& content_type,
                                           const std::string& body) = 0;
};

}  // namespace virmo::dm_bridge
