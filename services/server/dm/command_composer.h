// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/server/dm/session_state.pb.h"
#include "services/server/fleet/command_queue.h"
#include "services/server/images/image_library.h"
#include "services/syncml/message.h"

namespace virmo::server {

// Commands to send, with a note of each of them (children of a Sequence included), so that what
// comes back finds its way. CmdIDs are given by Number().
struct Outgoing {
  std::vector<syncml::Command> commands;
  std::vector<Sent> sent;
};

// The SyncML commands of a queued command (oma-dm VirMO tree profile). The Correlator is the
// command's id, so that a repeat is known for one. NOT_FOUND if its image is gone.
absl::StatusOr<Outgoing> ComposeCommand(const QueuedCommand& command, ImageLibrary& images,
                                        const std::string& public_url);

// A Get of one node.
Outgoing ComposeGet(const std::string& uri, Sent::Purpose purpose, const std::string& subject);

// Gives CmdIDs to the commands, from `*next` on, and notes them in `sent`, which must list the
// commands in document order.
void Number(const std::string& msg_id, int* next, Outgoing& outgoing);

}  // namespace virmo::server
