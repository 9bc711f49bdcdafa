// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "dm-bridge/session/session.h"
#include "dm-bridge/transport/transport.h"

namespace virmo::dm_bridge {

// How a session ended.
struct ExchangeResult {
  absl::Status outcome;
  bool fall_back = false;  // Begin again with DM/1.2.
};

struct ExchangeOptions {
  syncml::Encoding encoding = syncml::Encoding::kXml;  // What is sent.
  size_t max_message_bytes = 1 << 20;                  // What is read.
  absl::Duration retry_pause = absl::Milliseconds(300);
  // Sees each message as it is said; empty: nobody.
  std::function<void(bool sent, const syncml::Message&)> observer = {};
};

// Runs a session over a transport to its end. A message whose answer does not come, or cannot be
// read, is posted again, the same octets, up to three times (the first one twice) with longer
// pauses: what the server then repeats is recognised by its request ids. If that does not help, or
// the session must be given up for another reason than the server's, the server is told by Alert
// 1223 when it can be; what it wanted comes again in the next session.
ExchangeResult RunExchange(Session& session, Transport& transport,
                           const ExchangeOptions& options = {});

}  // namespace virmo::dm_bridge
