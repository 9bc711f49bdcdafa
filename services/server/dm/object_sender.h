// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/server/dm/answer.h"
#include "services/server/dm/dm_parts.h"
#include "services/server/dm/package_planner.h"
#include "services/server/dm/session_state.pb.h"

namespace virmo::server {

// Sends a command whose data is too large for one message, chunk by chunk (OMA DM Protocol 1.2
// §8.6): each but the last with MoreData and in a message without Final, the next once the device
// answered 213, all of it again when the device says (Alert 1225) that it lost the thread. Where it
// has got is in the session; the data stays in the queue. Made for one message.
class ObjectSender {
 public:
  // All references outlive this.
  ObjectSender(DmParts& parts, SessionState& session, PackagePlanner& planner)
      : parts_(parts), session_(session), planner_(planner) {}

  // Whether only one Item's data makes this large, and nothing is around it: a Sequence or an
  // Atomic must fit into one message.
  static bool CanSplit(const PackagePlanner::Unit& unit);

  // Whether an object is on its way.
  bool active() const { return !session_.outgoing_command().empty(); }
  absl::Status Begin(const PackagePlanner::Unit& unit);

  // Adds the next chunk to `answer`. False if there is none, as the command ended or can never be
  // sent (it says so then): something else may be sent.
  absl::StatusOr<bool> SendChunk(Answer& answer);

 private:
  void Stop();
  absl::Status Note(const Answer& answer, const syncml::Command& command, int64_t end, bool more);

  DmParts& parts_;
  SessionState& session_;
  PackagePlanner& planner_;
};

}  // namespace virmo::server
