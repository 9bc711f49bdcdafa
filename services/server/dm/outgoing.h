// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "services/server/dm/session_state.pb.h"
#include "services/syncml/message.h"

namespace virmo::server {

// Commands to send, with a note of each of them (children of a Sequence included), so that what
// comes back finds its way. CmdIDs are given by Number().
struct Outgoing {
  std::vector<syncml::Command> commands;
  std::vector<Sent> sent;
};

// An Add or Replace of one leaf.
syncml::Command MakeLeaf(syncml::CommandKind kind, const std::string& uri, const std::string& value,
                         const std::string& format);
// An Exec; its argument only if there is one.
syncml::Command MakeExec(const std::string& uri, const std::string& correlator,
                         const std::string& argument);
syncml::Command MakeGet(const std::string& uri);

// One command, whose Status decides the queued command `subject`.
Outgoing Alone(syncml::Command command, const std::string& subject);

// Which Statuses within a Sequence or Atomic decide.
enum class Decides { kLast, kAll };
Outgoing InSequence(std::vector<syncml::Command> children, const std::string& subject,
                    Decides decides);
Outgoing InAtomic(std::vector<syncml::Command> children, const std::string& subject);

// A Get of one node.
Outgoing ComposeGet(const std::string& uri, Sent::Purpose purpose, const std::string& subject);

// Adds what `more` has to `to`.
void Append(Outgoing more, Outgoing& to);

// Gives CmdIDs to the commands, from `*next` on, and notes them in `sent`, which must list the
// commands in document order.
void Number(const std::string& msg_id, int* next, Outgoing& outgoing);

}  // namespace virmo::server
