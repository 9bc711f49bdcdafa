// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/session/command_runner.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "dm-bridge/session/outgoing_queue.h"
#include "dm-bridge/tree/dm_error.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/codec.h"

namespace virmo::dm_bridge {
namespace {

using syncml::Command;
using syncml::CommandKind;
using syncml::Item;
using syncml::StatusCode;

bool IsAnswer(const Command& command) {
  return command.kind == CommandKind::kStatus || command.kind == CommandKind::kResults;
}

bool HasUnreadableNumber(const syncml::Meta& meta) {
  return meta.size == -1 || meta.max_msg_size == -1 || meta.max_obj_size == -1;
}

void SetText(Command& status, absl::string_view text) {
  if (text.empty()) return;
  Item item;
  item.data = std::string(text);
  status.items = {std::move(item)};
}

Item ResultItem(const NodeValue& value, const std::string& uri) {
  Item item = syncml::MakeSourceItem(uri, value.value);
  // What XML cannot hold travels as octets, whatever the node's format.
  const bool octets =
      value.format == Format::kBin || (value.value && !syncml::IsXmlText(*value.value));
  if (octets) {
    item.meta.format = "bin";
  } else if (value.format != Format::kChr) {
    item.meta.format = std::string(Name(value.format));
  }
  if (!value.type.empty() && value.type != "text/plain") item.meta.type = value.type;
  return item;
}

}  // namespace

bool HasCommands(const syncml::Message& message) {
  for (const Command& command : message.body) {
    if (!IsAnswer(command)) return true;
  }
  return false;
}

CommandRunner::CommandRunner(Tree& tree, std::string server_id, std::string session_uuid)
    : tree_(tree), server_id_(std::move(server_id)), session_uuid_(std::move(session_uuid)) {}

std::vector<Command> CommandRunner::Run(const syncml::Message& message, size_t room) {
  msg_id_ = message.header.msg_id;
  room_ = room;
  answers_.clear();
  for (const Command& command : message.body) RunCommand(command);
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

void CommandRunner::RunCommand(const Command& command) {
  if (IsAnswer(command)) return;
  if (command.cmd_id.empty()) {
    return Answer(command, StatusCode::kBadRequest, "the command has no CmdID");
  }
  if (HasUnreadableNumber(command.meta)) {
    return Answer(command, StatusCode::kBadRequest, "a number in Meta cannot be read");
  }
  ++commands_done_;
  switch (command.kind) {
    case CommandKind::kSequence:
      Answer(command, StatusCode::kOk);
      for (const Command& child : command.children) RunCommand(child);
      return;
    case CommandKind::kAtomic:
      return RunAtomic(command);
    case CommandKind::kAlert:
      return RunAlert(command);
    case CommandKind::kCopy:
      return Answer(command, StatusCode::kCommandNotImplemented, "Copy is not implemented");
    case CommandKind::kUnknown:
      return Answer(command, StatusCode::kBadRequest,
                    absl::StrCat("no such command: ", command.unknown_name));
    default:
      return RunItems(command);
  }
}

// Roll-back is not offered yet, so nothing is begun.
void CommandRunner::RunAtomic(const Command& atomic) {
  Answer(atomic, StatusCode::kOptionalFeatureNotSupported, "Atomic is not supported");
  for (const Command& child : atomic.children) {
    if (!IsAnswer(child)) Answer(child, StatusCode::kNotExecuted);
  }
}

void CommandRunner::RunAlert(const Command& alert) {
  const auto code = syncml::ParseAlertCode(alert.data);
  if (code == syncml::AlertCode::kNextMessage || code == syncml::AlertCode::kSessionAbort) {
    --commands_done_;  // They steer the session, no more.
    return Answer(alert, StatusCode::kOk);
  }
  Answer(alert, StatusCode::kOptionalFeatureNotSupported,
         absl::StrCat("alert ", alert.data, " is not supported"));
}

void CommandRunner::RunItems(const Command& command) {
  if (command.items.empty()) {
    return Answer(command, StatusCode::kIncompleteCommand, "the command has no Item");
  }
  for (size_t i = 0; i < command.items.size(); ++i) RunItem(command, i);
}

// Every chunk of a large object, the last one too: a part must never be taken for the whole.
bool CommandRunner::RefusesChunk(const Item& item) {
  const std::string& uri = item.target->uri;
  if (item.more_data) {
    refused_object_ = uri;
    return true;
  }
  return std::exchange(refused_object_, "") == uri && !uri.empty();
}

void CommandRunner::RunItem(const Command& command, size_t index) {
  const Item& item = command.items[index];
  Command status = syncml::MakeItemStatus("", msg_id_, command, item, StatusCode::kOk);
  std::vector<NodeValue> values;
  StatusCode code = StatusCode::kOk;
  absl::Status outcome;
  if (!item.target) {
    outcome = DmError(StatusCode::kIncompleteCommand, "the item has no Target");
  } else if (HasUnreadableNumber(item.meta)) {
    outcome = DmError(StatusCode::kBadRequest, "a number in Meta cannot be read");
  } else if (RefusesChunk(item)) {
    outcome = DmError(StatusCode::kOptionalFeatureNotSupported,
                      "large objects are not supported (./DevDetail/LrgObj)");
  } else {
    NodeRequest request{
        .uri = item.target->uri,
        .server_id = server_id_,
        .format = item.meta.format ? item.meta.format : command.meta.format,
        .data = item.data,
        .correlator = command.correlator.value_or(""),
        .command_key = absl::StrCat(session_uuid_, "|", msg_id_, "|", command.cmd_id, "|", index)};
    outcome = RunOnTree(command, request, &code, &values);
  }
  status.data = syncml::ToText(outcome.ok() ? code : DmStatusOf(outcome));
  SetText(status, DmTextOf(outcome));
  if (outcome.ok() && command.kind == CommandKind::kGet) {
    return AddResults(command, item, values, std::move(status));
  }
  answers_.push_back(std::move(status));
}

absl::Status CommandRunner::RunOnTree(const Command& command, const NodeRequest& request,
                                      StatusCode* success, std::vector<NodeValue>* values) {
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
                               const std::vector<NodeValue>& values, Command status) {
  Command results;
  results.kind = CommandKind::kResults;
  results.msg_ref = msg_id_;
  results.cmd_ref = get.cmd_id;
  // A single node answers under the very URI that was asked for.
  const std::string asked(absl::StripAsciiWhitespace(item.target->uri));
  for (const NodeValue& value : values) {
    results.items.push_back(ResultItem(value, values.size() == 1 ? asked : value.uri));
  }
  std::vector<Command> parts = SplitResults(std::move(results), room_);
  if (parts.empty()) {
    status.data = syncml::ToText(StatusCode::kEntityTooLarge);
    SetText(status, "the value does not fit into a message of the size you accept");
  }
  answers_.push_back(std::move(status));
  for (Command& part : parts) answers_.push_back(std::move(part));
}

}  // namespace virmo::dm_bridge
