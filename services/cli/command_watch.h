// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "services/cli/context.h"
#include "services/cli/peer.h"
#include "virmo/v1/command.pb.h"

namespace virmo::cli {

// A command that is to be queued, or was.
struct Task {
  std::string device;  // `devices/phone-1`
  v1::Action action;
  std::string goal;  // For errors: `start vm "work" on "phone-1"`.
  bool wait = true;  // Follow it to its end.
};

// Queues a command and, if asked, follows it to its end, showing each step with its time.
// Returns the command as it was last seen; an error if it did not end well.
absl::StatusOr<v1::Command> RunTask(Context& context, const Peer& server, const Task& task);

// Follows a command that is queued already. On errors `*seen` has it as last seen.
absl::Status FollowCommand(Context& context, const Peer& server, const std::string& name,
                           absl::string_view goal, v1::Command* seen);

// `  accepted   0.5 s  the device works on it`.
std::string StepText(const v1::Command& command, const v1::Command::Step& step);

}  // namespace virmo::cli
