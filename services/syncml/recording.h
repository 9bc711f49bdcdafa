// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/syncml/codec.h"

namespace virmo::syncml {

// One message of a recorded session.
struct RecordedMessage {
  size_t offset = 0;         // of its first octet in the recording
  std::string start_line{};  // of HTTP, if there was any: "POST /dm HTTP/1.1", "HTTP/1.1 200 OK"
  std::vector<std::pair<std::string, std::string>> headers{};
  std::string body{};  // without transfer and content coding
};

// Takes a recorded session apart: messages one after the other, in either encoding, each bare or
// as an HTTP request or response with its head. Does no I/O; `octets` must outlive it.
class Recording {
 public:
  explicit Recording(absl::string_view octets, const Limits& limits = {})
      : octets_(octets), limits_(limits) {}

  // The next message, or nothing at the end. InvalidArgument, naming the octet, if what comes has
  // no end that can be found; nothing more can be had then.
  absl::StatusOr<std::optional<RecordedMessage>> Next();

 private:
  absl::string_view rest() const { return octets_.substr(at_); }
  absl::Status Error(absl::string_view what) const;
  absl::StatusOr<RecordedMessage> TakeHttp();
  absl::Status TakeHead(RecordedMessage& message);
  absl::StatusOr<std::string> TakeHttpBody(const RecordedMessage& message);
  absl::StatusOr<std::string> TakeChunks();
  absl::StatusOr<std::string> TakeBare();
  absl::string_view TakeLine();

  absl::string_view octets_;
  const Limits limits_;
  size_t at_ = 0;
};

// The value of a header, by name in any case; empty if there is none.
absl::string_view HeaderOf(const RecordedMessage& message, absl::string_view name);

// A header's line without its secrets: mac of x-syncml-hmac, credentials, cookies.
std::string RedactedHeader(absl::string_view name, absl::string_view value);

}  // namespace virmo::syncml
