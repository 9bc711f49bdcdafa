// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/session/command_runner.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "dm-bridge/session/outgoing_queue.h"
#include "dm-bridge/tree/dm_error.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/codec.h"
#include "services/syncml/excerpt.h"

namespace virmo::dm_bridge {
namespace {

using syncml::Command;
using syncml::CommandKind;
using syncml::Item;
using syncml::StatusCode;

bool HasUnreadableNumber(const syncml::Meta& meta) {
  return meta.size == -1 || meta.max_msg_size == -1 || meta.max_obj_size == -1;
}

void SetText(Command& status, absl::string_view text, const std::string& node = "") {
  if (text.empty()) return;
  Item item;
  if (!node.empty()) item.target = syncml::Location{.uri = node};
  item.data = syncml::Excerpt(text);
  status.items = {std::move(item)};
}

Item ResultItem(NodeValue value) {
  // What XML cannot hold travels as octets, whatever the node's format.
  const bool octets =
      value.format == Format::kBin || (value.value && !syncml::IsXmlText(*value.value));
  Item item;
  item.source.emplace().uri = std::move(value.uri);
  item.data = std::move(value.value);
  if (octets) {
    item.meta.format = "bin";
  } else if (value.format != Format::kChr) {
    item.meta.format = std::string(Name(value.format));
  }
  if (!value.type.empty() && value.type != "text/plain") item.meta.type = std::move(value.type);
  return item;
}

// Most octets that an Item of Results takes, and the rest of the Results. It need not be exact.
constexpr size_t kResultsFrame = 512;

size_t SizeBound(const NodeValue& value) {
  constexpr size_t kItemFrame = 512;
  constexpr size_t kWorstEscape = 6;
  return kItemFrame + (value.uri.size() + (value.value ? value.value->size() : 0)) * kWorstEscape;
}

}  // namespace

bool IsAnswer(const Command& command) {
  return command.kind == CommandKind::kStatus || command.kind == CommandKind::kResults;
}

bool HasCommands(const syncml::Message& message) {
  for (const Command& command : message.body) {
    if (!IsAnswer(command)) return true;
  }
  return false;
}

CommandRunner::CommandRunner(Tree& tree, Prompter& prompter, std::string server_id,
                             std::string session_uuid)
    : tree_(tree),
      prompter_(prompter),
      server_id_(std::move(server_id)),
      session_uuid_(std::move(session_uuid)) {}

std::vector<Command> CommandRunner::Run(const std::string& msg_id, const Command& command,
                                        size_t room) {
  msg_id_ = msg_id;
  room_ = room;
  answers_.clear();
  answers_.reserve(2 * command.items.size());  // Status and Results.
  RunCommand(command);
  return std::move(answers_);
}

std::vector<Command> CommandRunner::Refuse(const syncml::Message& message, StatusCode code) {
  std::vector<Command> answers;
  for (const Command& command : message.body) {
    if (IsAnswer(command)) continue;
    answers.push_back(syncml::MakeStatus("", message.header.msg_id, command, code));
  }
  return answers;
}

void CommandRunner::Answer(const Command& about, StatusCode code, absl::string_view text) {
  Command status = syncml::MakeStatus("", msg_id_, about, code);
  SetText(status, text);
  answers_.push_back(std::move(status));
}

void CommandRunner::AnswerItem(const Command& about, size_t index, StatusCode code,
                               const absl::Status& outcome) {
  Command status = about.items.empty()
                       ? syncml::MakeStatus("", msg_id_, about, code)
                       : syncml::MakeItemStatus("", msg_id_, about, about.items[index], code);
  SetText(status, DmTextOf(outcome), NodeOf(outcome));
  answers_.push_back(std::move(status));
}

CommandRunner::Flow CommandRunner::RunCommand(const Command& command) {
  if (IsAnswer(command)) return Flow::kGoOn;
  if (command.cmd_id.empty()) {
    Answer(command, StatusCode::kBadRequest, "the command has no CmdID");
    return Flow::kGoOn;
  }
  if (HasUnreadableNumber(command.meta)) {
    Answer(command, StatusCode::kBadRequest, "a number in Meta cannot be read");
    return Flow::kGoOn;
  }
  ++commands_done_;
  switch (command.kind) {
    case CommandKind::kSequence:
      return RunSequence(command);
    case CommandKind::kAlert:
      return RunAlert(command);
    case CommandKind::kAtomic:
      RunAtomic(command);
      break;
    case CommandKind::kUnknown:
      Answer(command, StatusCode::kBadRequest,
             absl::StrCat("no such command: ", command.unknown_name));
      break;
    default:
      RunItems(command);
  }
  return Flow::kGoOn;
}

// A child that fails does not keep the next from being done; a user who says no does.
CommandRunner::Flow CommandRunner::RunSequence(const Command& sequence) {
  Answer(sequence, StatusCode::kOk);
  Flow flow = Flow::kGoOn;
  for (const Command& child : sequence.children) {
    if (flow == Flow::kGoOn) {
      flow = RunCommand(child);
    } else if (!IsAnswer(child)) {
      Answer(child, StatusCode::kNotExecuted);
    }
  }
  return Flow::kGoOn;
}

void CommandRunner::RunItems(const Command& command) {
  if (command.items.empty()) {
    return Answer(command, StatusCode::kIncompleteCommand, "the command has no Item");
  }
  for (size_t i = 0; i < command.items.size(); ++i) RunItem(command, i);
}

NodeRequest CommandRunner::MakeRequest(const Command& command, size_t index) const {
  const Item& item = command.items[index];
  return {.uri = item.target ? item.target->uri : "",
          .server_id = server_id_,
          .format = item.meta.format ? item.meta.format : command.meta.format,
          .data = item.data,
          .correlator = command.correlator.value_or(""),
          .command_key = absl::StrCat(session_uuid_, "|", msg_id_, "|", command.cmd_id, "|", index),
          .type = item.meta.type ? item.meta.type : command.meta.type};
}

absl::Status CommandRunner::CheckItem(const Command& command, const Item& item) {
  if (!item.target) return DmError(StatusCode::kIncompleteCommand, "the item has no Target");
  if (HasUnreadableNumber(item.meta)) {
    return DmError(StatusCode::kBadRequest, "a number in Meta cannot be read");
  }
  if (command.kind == CommandKind::kCopy && !item.source) {
    return DmError(StatusCode::kIncompleteCommand, "the item has no Source");
  }
  // Of a command that stands by itself the session has put the chunks together.
  if (item.more_data) {
    return DmError(StatusCode::kOptionalFeatureNotSupported,
                   "a part of a large object is not possible within Sequence");
  }
  return absl::OkStatus();
}

void CommandRunner::RunItem(const Command& command, size_t index) {
  const Item& item = command.items[index];
  std::vector<NodeValue> values;
  StatusCode code = StatusCode::kOk;
  absl::Status outcome = CheckItem(command, item);
  if (outcome.ok()) outcome = RunOnTree(command, item, MakeRequest(command, index), &code, &values);
  AnswerItem(command, index, outcome.ok() ? code : DmStatusOf(outcome), outcome);
  if (outcome.ok() && command.kind == CommandKind::kGet) {
    AddResults(command, item, std::move(values));
  }
}

absl::Status CommandRunner::RunOnTree(const Command& command, const Item& item,
                                      const NodeRequest& request, StatusCode* success,
                                      std::vector<NodeValue>* values) {
  switch (command.kind) {
    case CommandKind::kGet: {
      ASSIGN_OR_RETURN(*values, tree_.Get(request));
      return absl::OkStatus();
    }
    case CommandKind::kReplace:
      return tree_.Replace(request);
    case CommandKind::kAdd:
      return tree_.Add(request);
    case CommandKind::kDelete:
      return tree_.Delete(request);
    case CommandKind::kCopy:
      return tree_.Copy(request, item.source->uri);
    case CommandKind::kExec: {
      ASSIGN_OR_RETURN(const ExecOutcome outcome, tree_.Exec(request));
      if (outcome == ExecOutcome::kAccepted) *success = StatusCode::kAccepted;
      return absl::OkStatus();
    }
    default:
      return DmError(StatusCode::kCommandNotImplemented, "not implemented");
  }
}

void CommandRunner::AddResults(const Command& get, const Item& item,
                               std::vector<NodeValue> values) {
  Command results;
  results.kind = CommandKind::kResults;
  results.msg_ref = msg_id_;
  results.cmd_ref = get.cmd_id;
  // A single node answers under the very URI that was asked for.
  if (values.size() == 1) {
    values[0].uri = std::string(absl::StripAsciiWhitespace(item.target->uri));
  }
  size_t bound = kResultsFrame;
  for (const NodeValue& value : values) bound += SizeBound(value);
  results.items.reserve(values.size());
  for (NodeValue& value : values) results.items.push_back(ResultItem(std::move(value)));
  if (bound <= room_) {
    answers_.push_back(std::move(results));
    return;
  }
  for (Command& part : SplitResults(std::move(results), room_)) {
    answers_.push_back(std::move(part));
  }
}

}  // namespace virmo::dm_bridge
