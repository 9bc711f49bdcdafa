// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/server/dm/dm_parts.h"
#include "services/server/dm/session_state.pb.h"
#include "services/server/dm/virmo_tree.h"
#include "services/server/fleet/event_feed.h"

namespace virmo::server {

// At the end of a device's package: draws the consequences of every Status and Results that came
// for what we sent. Made for one message, within its transaction.
class PackageEvaluator {
 public:
  PackageEvaluator(DmParts& parts, SessionState& session, Events& events)
      : parts_(parts), session_(session), events_(events) {}

  // Leaves the session with nothing sent and nothing received.
  absl::Status Evaluate();

 private:
  using Group = std::vector<const Sent*>;

  absl::Status TakeBack();
  absl::Status EvaluateGroup(const Group& group);
  absl::Status EvaluateCommand(const std::string& id, const Group& group);
  absl::Status EvaluateChunk(const Sent& chunk, bool* goes_on);
  absl::Status SendLater(QueuedCommand& command, int status);
  void NoteNodes(const Group& group, v1::Command& command) const;
  absl::Status Succeed(QueuedCommand& command, int status);
  absl::Status EvaluateRead(const std::string& vm, const Group& group);
  absl::Status EvaluateReadAll(const Sent& sent);
  absl::Status EvaluateList(const Sent& sent);
  absl::Status EvaluateProgress(const Sent& sent);
  absl::Status EvaluateConfirm(const Group& group);
  // What the nodes show that does not fit; empty if all fits, nothing if the device did not say.
  std::optional<std::string> Mismatch(const QueuedCommand& command, const Group& group) const;
  absl::Status KeepEscrow(const std::string& vm, const Leaves& leaves);

  absl::Status StoreVirtualMachine(const std::string& vm, const Leaves& leaves);
  absl::Status ForgetVirtualMachine(const std::string& vm);
  // Confirms the commands on `id` whose goal is reached; `failure` if it could not be read.
  absl::Status Confirm(const std::string& id, const v1::DeviceVirtualMachine* vm,
                       const std::string& failure);
  Leaves LeavesOf(const Group& group, const std::string& vm) const;
  const Value* ValueOf(const Sent& sent) const;
  bool IsTouched(const std::string& vm) const;
  bool IsPrepared(const std::string& id) const;

  DmParts& parts_;
  SessionState& session_;
  Events& events_;
};

}  // namespace virmo::server
