// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "services/syncml/codec.h"

namespace virmo::fuzz {

// What stands between a peer's messages in an input.
inline constexpr absl::string_view kBetweenMessages = "\n%%\n";

// A session as a fuzzer makes it up: an octet of options, then what the peer says in turn.
struct SessionInput {
  unsigned options = 0;
  std::vector<absl::string_view> messages{};

  bool Has(unsigned bit) const { return (options >> bit & 1U) != 0; }
};

inline SessionInput ParseSessionInput(absl::string_view octets) {
  constexpr size_t kMostMessages = 8;
  if (octets.empty()) return {};
  SessionInput input = {.options = static_cast<unsigned char>(octets[0])};
  input.messages = absl::StrSplit(octets.substr(1), kBetweenMessages);
  if (input.messages.size() > kMostMessages) input.messages.resize(kMostMessages);
  return input;
}

// Makes the header fit, so that the session looks at what follows it.
inline void FitHeader(syncml::Message& message, const syncml::Header& as) {
  message.header.ver_dtd = as.ver_dtd;
  message.header.ver_proto = as.ver_proto;
  message.header.session_id = as.session_id;
  message.header.msg_id = as.msg_id;
  message.header.target = as.target;
  message.header.source = as.source;
}

}  // namespace virmo::fuzz
