// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/message.h"

#include <utility>

namespace virmo::syncml {

bool Meta::empty() const {
  return !format && !type && !mark && !next_nonce && !size && !max_msg_size && !max_obj_size;
}

absl::string_view Name(CommandKind kind) {
  switch (kind) {
    case CommandKind::kAdd:
      return "Add";
    case CommandKind::kAlert:
      return "Alert";
    case CommandKind::kAtomic:
      return "Atomic";
    case CommandKind::kCopy:
      return "Copy";
    case CommandKind::kDelete:
      return "Delete";
    case CommandKind::kExec:
      return "Exec";
    case CommandKind::kGet:
      return "Get";
    case CommandKind::kReplace:
      return "Replace";
    case CommandKind::kResults:
      return "Results";
    case CommandKind::kSequence:
      return "Sequence";
    case CommandKind::kStatus:
      return "Status";
    case CommandKind::kUnknown:
      return "Unknown";
  }
  return "Unknown";
}

absl::string_view NameOf(const Command& command) {
  return command.kind == CommandKind::kUnknown ? absl::string_view(command.unknown_name)
                                               : Name(command.kind);
}

absl::string_view FormatOf(const Command& command, const Item& item) {
  if (item.meta.format) return *item.meta.format;
  if (command.meta.format) return *command.meta.format;
  return "chr";
}

absl::string_view TypeOf(const Command& command, const Item& item) {
  if (item.meta.type) return *item.meta.type;
  if (command.meta.type) return *command.meta.type;
  return "text/plain";
}

Command MakeHeaderStatus(absl::string_view cmd_id, const Header& received, StatusCode code) {
  Command status;
  status.kind = CommandKind::kStatus;
  status.cmd_id = std::string(cmd_id);
  status.msg_ref = received.msg_id;
  status.cmd_ref.assign(1, '0');  // not = "0": g++ 12 then warns of an overlap that is none
  status.cmd = "SyncHdr";
  status.target_refs = {received.target.uri};
  status.source_refs = {received.source.uri};
  status.data = ToText(code);
  return status;
}

Command MakeStatus(absl::string_view cmd_id, absl::string_view msg_ref, const Command& about,
                   StatusCode code) {
  Command status;
  status.kind = CommandKind::kStatus;
  status.cmd_id = std::string(cmd_id);
  status.msg_ref = std::string(msg_ref);
  status.cmd_ref = about.cmd_id;
  status.cmd = std::string(NameOf(about));
  status.data = ToText(code);
  return status;
}

Command MakeItemStatus(absl::string_view cmd_id, absl::string_view msg_ref, const Command& about,
                       const Item& item, StatusCode code) {
  Command status = MakeStatus(cmd_id, msg_ref, about, code);
  if (item.target) status.target_refs.push_back(item.target->uri);
  if (item.source) status.source_refs.push_back(item.source->uri);
  return status;
}

Command MakeAlert(absl::string_view cmd_id, AlertCode code) {
  Command alert;
  alert.kind = CommandKind::kAlert;
  alert.cmd_id = std::string(cmd_id);
  alert.data = ToText(code);
  return alert;
}

Item MakeTargetItem(absl::string_view uri, std::optional<std::string> data) {
  Item item;
  item.target = Location{.uri = std::string(uri), .name = ""};
  item.data = std::move(data);
  return item;
}

Item MakeSourceItem(absl::string_view uri, std::optional<std::string> data) {
  Item item;
  item.source = Location{.uri = std::string(uri), .name = ""};
  item.data = std::move(data);
  return item;
}

}  // namespace virmo::syncml
