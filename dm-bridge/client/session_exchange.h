// SPDX-License-Identifier: Apache-2.0
#pragma once

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

// Runs a session over a transport to its end. A message whose answer does not come (but for the
// first) is posted again, the same octets, up to three times: what the server then repeats is
// recognised by its request ids. An answer that cannot be read ends the session; what the server
// wanted comes again in the next.
ExchangeResult RunExchange(Session& session, Transport& transport,
                           absl::Duration retry_pause = absl::Milliseconds(300));

}  // namespace virmo::dm_bridge
