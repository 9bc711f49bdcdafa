// SPDX-License-Identifier: Apache-2.0
// CommandRunner: Atomic (OMA-TS-DM_RepPro §6.6.3).

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dm-bridge/session/command_runner.h"
#include "dm-bridge/session/outgoing_queue.h"
#include "dm-bridge/tree/dm_error.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {

using syncml::Command;
using syncml::CommandKind;
using syncml::StatusCode;

struct CommandRunner::Step {
  const Command* command;
  size_t item = 0;
  bool applied = false;  // By the transaction.
  StatusCode code = StatusCode::kNotExecuted;
  absl::Status outcome = {};
};

namespace {

// Of the texts that an answer may carry: none of ours is longer.
constexpr size_t kLongestText = 400;

std::optional<Change::Kind> ChangeOf(CommandKind kind) {
  switch (kind) {
    case CommandKind::kAdd:
      return Change::Kind::kAdd;
    case CommandKind::kReplace:
      return Change::Kind::kReplace;
    case CommandKind::kDelete:
      return Change::Kind::kDelete;
    case CommandKind::kCopy:
      return Change::Kind::kCopy;
    default:
      return std::nullopt;
  }
}

// What may not stand in an Atomic, by what it is.
absl::Status CheckKind(const Command& command) {
  if (command.cmd_id.empty()) {
    return DmError(StatusCode::kBadRequest, "the command has no CmdID");
  }
  switch (command.kind) {
    case CommandKind::kGet:
    case CommandKind::kAtomic:
      return DmError(StatusCode::kCommandFailed,
                     absl::StrCat(syncml::NameOf(command), " is not possible within Atomic"));
    case CommandKind::kExec:
    case CommandKind::kSequence:
      return DmError(StatusCode::kCommandNotAllowed,
                     absl::StrCat(syncml::NameOf(command), " is not allowed within Atomic"));
    case CommandKind::kUnknown:
      return DmError(StatusCode::kBadRequest,
                     absl::StrCat("no such command: ", command.unknown_name));
    default:
      break;
  }
  if (command.kind != CommandKind::kAlert && command.items.empty()) {
    return DmError(StatusCode::kIncompleteCommand, "the command has no Item");
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<CommandRunner::Step> CommandRunner::StepsOf(const Command& atomic) {
  std::vector<Step> steps;
  for (const Command& child : atomic.children) {
    if (IsAnswer(child)) continue;
    const bool whole = child.items.empty() || child.kind == CommandKind::kAlert ||
                       !ChangeOf(child.kind).has_value();
    const size_t count = whole ? 1 : child.items.size();
    for (size_t i = 0; i < count; ++i) steps.push_back({.command = &child, .item = i});
  }
  return steps;
}

// Before anything is done: 406 for what could not be taken back, other codes for what has no place
// in an Atomic.
absl::Status CommandRunner::CheckStep(const Transaction& transaction, const Step& step) {
  RETURN_IF_ERROR(CheckKind(*step.command));
  const auto kind = ChangeOf(step.command->kind);
  if (!kind) return absl::OkStatus();
  const syncml::Item& item = step.command->items[step.item];
  if (item.more_data) {
    return DmError(StatusCode::kOptionalFeatureNotSupported,
                   "a part of a large object is not possible within Atomic");
  }
  return transaction.Check({.kind = *kind,
                            .request = MakeRequest(*step.command, step.item),
                            .source = item.source ? item.source->uri : ""});
}

// The answers to an Atomic belong into one message. They are known to fit before anything is done,
// or nothing is.
bool CommandRunner::AnswersFit(const Command& atomic, const std::vector<Step>& steps) const {
  const Command whole = syncml::MakeStatus("", msg_id_, atomic, StatusCode::kAtomicFailed);
  size_t size = EncodedSize(whole) + kLongestText;
  for (const Step& step : steps) {
    size += EncodedSize(step.command->items.empty()
                            ? syncml::MakeStatus("", msg_id_, *step.command, step.code)
                            : syncml::MakeItemStatus("", msg_id_, *step.command,
                                                     step.command->items[step.item], step.code));
  }
  return size <= room_;
}

absl::Status CommandRunner::RunStep(Transaction& transaction, Step& step) {
  step.code = StatusCode::kOk;
  const auto kind = ChangeOf(step.command->kind);
  if (!kind) {  // An alert.
    const Flow flow = RunAlert(*step.command);
    step.outcome =
        flow == Flow::kGoOn ? absl::OkStatus() : absl::CancelledError("the user said no");
    return step.outcome;
  }
  const syncml::Item& item = step.command->items[step.item];
  step.outcome = CheckItem(*step.command, item);
  if (step.outcome.ok()) {
    step.outcome = transaction.Apply({.kind = *kind,
                                      .request = MakeRequest(*step.command, step.item),
                                      .source = item.source ? item.source->uri : ""});
  }
  step.applied = step.outcome.ok();
  if (!step.outcome.ok()) step.code = DmStatusOf(step.outcome);
  return step.outcome;
}

void CommandRunner::AnswerSteps(const std::vector<Step>& steps) {
  for (const Step& step : steps) AnswerItem(*step.command, step.item, step.code, step.outcome);
}

void CommandRunner::RunAtomic(const Command& atomic) {
  std::vector<Step> steps = StepsOf(atomic);
  Transaction transaction(tree_);
  if (!transaction.ready().ok()) {
    AnswerItem(atomic, 0, DmStatusOf(transaction.ready()), transaction.ready());
    return AnswerSteps(steps);
  }
  if (!AnswersFit(atomic, steps)) {
    Answer(atomic, StatusCode::kAtomicResponseTooLarge,
           "the answers do not fit into a message of the size you accept");
    return AnswerSteps(steps);
  }
  for (Step& step : steps) {
    step.outcome = CheckStep(transaction, step);
    if (step.outcome.ok()) continue;
    step.code = DmStatusOf(step.outcome);
    const bool not_supported = step.code == StatusCode::kOptionalFeatureNotSupported;
    Answer(atomic, not_supported ? step.code : StatusCode::kAtomicFailed,
           "nothing was done, see the child that failed");
    return AnswerSteps(steps);
  }
  RunSteps(atomic, transaction, steps);
}

void CommandRunner::RunSteps(const Command& atomic, Transaction& transaction,
                             std::vector<Step>& steps) {
  const size_t at = answers_.size();
  Answer(atomic, StatusCode::kOk);
  absl::Status failed;
  for (Step& step : steps) {
    failed = RunStep(transaction, step);
    if (!failed.ok()) break;
  }
  if (failed.ok()) failed = transaction.Commit();
  if (failed.ok()) {
    for (const Step& step : steps) {
      if (step.applied) AnswerItem(*step.command, step.item, step.code, step.outcome);
    }
    return;
  }
  const std::vector<absl::Status> undone = transaction.RollBack();
  size_t next = 0;
  for (Step& step : steps) {
    if (!step.applied) continue;
    step.outcome = undone[next++];
    step.code =
        step.outcome.ok() ? StatusCode::kAtomicRollBackOk : StatusCode::kAtomicRollBackFailed;
  }
  answers_[at].data = syncml::ToText(StatusCode::kAtomicFailed);
  for (const Step& step : steps) {
    // An alert that was shown has its answer already.
    const bool answered =
        step.command->kind == CommandKind::kAlert && step.code != StatusCode::kNotExecuted;
    if (!answered) AnswerItem(*step.command, step.item, step.code, step.outcome);
  }
}

}  // namespace virmo::dm_bridge
