// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/server/dm/command_composer.h"
#include "services/server/dm/dm_parts.h"
#include "services/server/dm/session_state.pb.h"
#include "services/server/fleet/event_feed.h"

namespace virmo::server {

// Chooses what to send next. Queued commands first, in order; reads when there is none to send.
//
// A command for a virtual machine waits while an earlier one for the same machine is under way,
// but for those that narrow or only read (Lock, Unlock, forced Stop and Delete, Get, Replace). One
// that was sent twice without an answer is sent alone, so that the innocent do not suffer with it.
class PackagePlanner {
 public:
  // One command of the queue, or one read, that is sent whole or not at all.
  struct Unit {
    Outgoing outgoing;
    std::string command;  // the queued command's id; empty for a read
  };

  PackagePlanner(DmParts& parts, SessionState& session, Events& events)
      : parts_(parts), session_(session), events_(events) {}

  // What may go into the next message, in order. Empty: nothing is left to say.
  absl::StatusOr<std::vector<Unit>> Plan();

  // Records that these units are being sent.
  absl::Status MarkSent(const std::vector<Unit>& units);

  // The commands of one that is queued; its secrets are open in them.
  absl::StatusOr<Outgoing> Compose(const QueuedCommand& command) const;

  // Records that this command is being sent.
  absl::Status NoteFetched(const std::string& command);

  // Records that this command can never be sent.
  absl::Status Refuse(const std::string& command, const std::string& cause);

 private:
  absl::StatusOr<std::vector<Unit>> PlanCommands();
  absl::StatusOr<std::vector<Unit>> PlanReads();
  absl::Status PlanVirtualMachineReads(std::vector<Unit>& units);
  absl::Status PlanConfirmations(std::vector<Unit>& units);
  absl::Status PlanProgress(std::vector<Unit>& units);
  Unit ReadOf(const std::string& vm) const;
  // Whether it may go now; notes the machines that are busy from here on.
  bool MaySend(const QueuedCommand& command, std::set<std::string>& busy) const;
  bool HoldsOthers(const QueuedCommand& command) const;

  DmParts& parts_;
  SessionState& session_;
  Events& events_;
};

}  // namespace virmo::server
