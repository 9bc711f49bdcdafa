// SPDX-License-Identifier: Apache-2.0
#include "services/cli/command_watch.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "services/cli/exit_code.h"
#include "services/cli/format.h"
#include "services/cli/watcher.h"
#include "services/cli/width.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"
#include "virmo/v1/fleet_service.grpc.pb.h"

namespace virmo::cli {
namespace {

// How long we wait, once it is applied, for the server to read the state back. The device may be
// gone by then, and what was asked for is done.
constexpr absl::Duration kConfirmationTime = absl::Seconds(30);

// An applied command may still be confirmed: the stream's end tells if not.
bool HasEnded(const v1::Command& command) {
  return command.state() == v1::Command::STATE_CONFIRMED ||
         command.state() == v1::Command::STATE_FAILED ||
         command.state() == v1::Command::STATE_CANCELLED;
}

// Shows a command's way as it becomes known, each step once however often it is told.
class TimelineView {
 public:
  explicit TimelineView(Context& context)
      : context_(context), progress_(context.err(), context.ProgressStyle()) {}

  void Update(const v1::Command& command) {
    if (command.state() == v1::Command::STATE_APPLIED && !IsApplied()) applied_ = absl::Now();
    if (command.timeline_size() > shown_) progress_.Clear();
    for (; shown_ < command.timeline_size(); ++shown_) {
      context_.Tell(StepText(command, command.timeline(shown_)));
    }
    command_ = command;
    if (HasEnded(command)) {
      progress_.Clear();
    } else if (command.progress_percent() > 0 || command.action().has_provision()) {
      ShowProgress();
    }
  }

  // Returns true when nothing more is to be waited for.
  bool Tick() {
    if (IsApplied() && absl::Now() - applied_ > kConfirmationTime) return true;
    if (command_.has_create_time() && command_.progress_percent() == 0) {
      const absl::Duration since = absl::Now() - ToTime(command_.create_time());
      progress_.Wait(
          absl::StrCat("  waiting ", std::max<int64_t>(0, absl::ToInt64Seconds(since)), " s"));
    }
    return false;
  }

 private:
  bool IsApplied() const { return command_.state() == v1::Command::STATE_APPLIED; }

  void ShowProgress() {
    if (command_.state() != v1::Command::STATE_ACCEPTED) return;
    progress_.Set("  progress", command_.progress_percent(), "");
  }

  Context& context_;
  Progress progress_;
  v1::Command command_;
  absl::Time applied_ = absl::InfiniteFuture();
  int shown_ = 0;
};

// What tells the user how to come back to a command that goes on without us.
absl::Status WithWatchHint(absl::Status status, const std::string& name) {
  if (status.code() != absl::StatusCode::kDeadlineExceeded &&
      status.code() != absl::StatusCode::kCancelled &&
      status.code() != absl::StatusCode::kUnavailable) {
    return status;
  }
  return WithHint(std::move(status),
                  absl::StrCat("the command goes on; see it with: virmo command watch ",
                               PartAfter(name, "devices"), " ", LastPart(name)));
}

absl::StatusOr<v1::Command> Queue(const Peer& server, const Task& task) {
  v1::CreateCommandRequest request;
  request.set_parent(task.device);
  *request.mutable_command()->mutable_action() = task.action;
  request.set_request_id(NewUuid());
  return server.Call(&v1::FleetService::Stub::CreateCommand, request, task.goal);
}

}  // namespace

std::string StepText(const v1::Command& command, const v1::Command::Step& step) {
  const absl::Duration since = ToTime(step.time()) - ToTime(command.create_time());
  std::string text = absl::StrFormat("  %-10s %8s", StateWord(step.state()),
                                     Seconds(std::max(since, absl::ZeroDuration())));
  if (!step.detail().empty()) absl::StrAppend(&text, "  ", Printable(step.detail()));
  return text + "\n";
}

absl::Status FollowCommand(Context& context, const Peer& server, const std::string& name,
                           absl::string_view goal, v1::Command* seen) {
  v1::FleetService::Stub stub(server.channel());
  v1::WatchCommandRequest request;
  request.set_name(name);
  TimelineView view(context);
  view.Update(*seen);
  using CommandWatcher = Watcher<v1::WatchCommandResponse>;
  CommandWatcher watcher(
      context, server,
      {.open = [&](auto* client, auto* queue,
                   void* tag) { return stub.AsyncWatchCommand(client, request, queue, tag); },
       .on_message =
           [&](const v1::WatchCommandResponse& response) {
             if (response.has_command()) {
               *seen = response.command();
               view.Update(*seen);
             }
             return HasEnded(*seen);
           },
       .on_tick = [&] { return view.Tick(); },
       // The server ends the stream when the command has: nothing is read back of some.
       .on_end = [&] { return seen->state() == v1::Command::STATE_APPLIED; }});
  const absl::Status watched = watcher.Run(goal);
  // What was applied is done, even if we stopped before it was confirmed.
  if (!watched.ok() && seen->state() != v1::Command::STATE_APPLIED)
    return WithWatchHint(watched, name);
  return OutcomeOf(*seen, goal);
}

absl::StatusOr<v1::Command> RunTask(Context& context, const Peer& server, const Task& task) {
  const auto with_names = [&task](const absl::Status& status) {
    return WithNamesInHint(status, LastPart(task.device), task.action.virtual_machine());
  };
  absl::StatusOr<v1::Command> queued = Queue(server, task);
  if (!queued.ok()) return with_names(queued.status());
  v1::Command command = *std::move(queued);
  if (!task.wait) {
    const std::string id = LastPart(command.name());
    context.Show(command, id, id + "\n");
    return command;
  }
  context.Tell(absl::StrCat(Printable(task.goal), "  (command ", LastPart(command.name()), ")\n"));
  const absl::Status outcome = FollowCommand(context, server, command.name(), task.goal, &command);
  if (context.json()) context.Print(ToJson(command));
  if (!outcome.ok()) return with_names(outcome);
  return command;
}

}  // namespace virmo::cli
