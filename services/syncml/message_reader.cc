// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/message_reader.h"

#include <bitset>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/status_macros.h"

namespace virmo::syncml {
namespace {

using Node = Document::Node;

CommandKind KindOf(Tag tag) {
  switch (tag) {
    case Tag::kAdd:
      return CommandKind::kAdd;
    case Tag::kAlert:
      return CommandKind::kAlert;
    case Tag::kAtomic:
      return CommandKind::kAtomic;
    case Tag::kCopy:
      return CommandKind::kCopy;
    case Tag::kDelete:
      return CommandKind::kDelete;
    case Tag::kExec:
      return CommandKind::kExec;
    case Tag::kGet:
      return CommandKind::kGet;
    case Tag::kReplace:
      return CommandKind::kReplace;
    case Tag::kResults:
      return CommandKind::kResults;
    case Tag::kSequence:
      return CommandKind::kSequence;
    case Tag::kStatus:
      return CommandKind::kStatus;
    default:
      return CommandKind::kUnknown;
  }
}

// Elements of a SyncBody, Atomic or Sequence that are no commands.
bool IsPartOfContainer(Tag tag) {
  return tag == Tag::kCmdID || tag == Tag::kMeta || tag == Tag::kNoResp || tag == Tag::kFinal;
}

bool HoldsCommands(Tag tag) {
  return tag == Tag::kSyncBody || tag == Tag::kAtomic || tag == Tag::kSequence;
}

// What may stand several times in one parent.
bool IsRepeatable(Tag parent, Tag tag) {
  if (HoldsCommands(parent)) return !IsPartOfContainer(tag);
  return tag == Tag::kItem || tag == Tag::kTargetRef || tag == Tag::kSourceRef ||
         tag == Tag::kAnchor || tag == Tag::kEMI || tag == Tag::kMem || parent == Tag::kUnknown;
}

class MessageReader {
 public:
  MessageReader(const Document& document, const Limits& limits)
      : document_(document), limits_(limits) {}

  absl::StatusOr<Message> Read();
  size_t error_position() const { return error_position_; }

 private:
  absl::Status ReadHeader(const Node& node, Header& header);
  absl::Status ReadBody(const Node& node, Message& message);
  absl::Status ReadCommand(const Node& node, Command& command);
  absl::Status ReadCommandPart(const Node& part, Command& command);
  absl::Status ReadItem(const Node& node, Item& item);
  absl::Status ReadItemPart(const Node& part, Item& item);
  absl::Status ReadMeta(const Node& node, Meta& meta);
  absl::Status ReadCred(const Node& node, std::optional<Cred>& cred);
  absl::Status ReadChal(const Node& node, std::optional<Chal>& chal);
  absl::Status ReadLocation(const Node& node, Location& location);

  absl::Status CheckUnique(const Node& parent);
  absl::StatusOr<size_t> CountParts(const Node& parent);
  absl::string_view Trimmed(const Node& node) const {
    return absl::StripAsciiWhitespace(document_.Text(node));
  }
  std::string Text(const Node& node) const { return std::string(Trimmed(node)); }
  int64_t NumberOf(const Node& node) const;

  // Calls `read(child)` for each child.
  template <typename Function>
  absl::Status ForEachChild(const Node& parent, Function read) {
    RETURN_IF_ERROR(CheckUnique(parent));
    for (const Node* child = document_.FirstChild(parent); child != nullptr;
         child = document_.NextSibling(*child)) {
      RETURN_IF_ERROR(read(*child));
    }
    return absl::OkStatus();
  }

  const Document& document_;
  const Limits& limits_;
  size_t commands_ = 0;
  size_t error_position_ = 0;
};

absl::Status MessageReader::CheckUnique(const Node& parent) {
  std::bitset<128> seen;
  for (const Node* child = document_.FirstChild(parent); child != nullptr;
       child = document_.NextSibling(*child)) {
    const auto index = static_cast<size_t>(child->tag);
    if (seen[index] && !IsRepeatable(parent.tag, child->tag)) {
      error_position_ = child->position;
      return absl::InvalidArgumentError(
          absl::StrCat(NameOf(parent.tag), " has ", NameOf(child->tag), " more than once"));
    }
    seen.set(index);
  }
  return absl::OkStatus();
}

// The commands in a container, the items in a command. They are large: growing a vector of them
// step by step costs more than counting first, and a short message could hold too many.
absl::StatusOr<size_t> MessageReader::CountParts(const Node& parent) {
  const bool is_container = HoldsCommands(parent.tag);
  size_t count = 0;
  for (const Node* child = document_.FirstChild(parent); child != nullptr;
       child = document_.NextSibling(*child)) {
    const bool counts = is_container ? !IsPartOfContainer(child->tag) : child->tag == Tag::kItem;
    if (counts) ++count;
  }
  commands_ += count;
  if (commands_ > limits_.max_commands) {
    error_position_ = parent.position;
    return absl::ResourceExhaustedError(
        absl::StrCat("more than ", limits_.max_commands, " commands and items"));
  }
  return count;
}

int64_t MessageReader::NumberOf(const Node& node) const {
  int64_t value = -1;
  return absl::SimpleAtoi(Trimmed(node), &value) && value >= 0 ? value : -1;
}

absl::StatusOr<Message> MessageReader::Read() {
  if (document_.empty() || document_.root().tag != Tag::kSyncML) {
    return absl::InvalidArgumentError("the outermost element is not SyncML");
  }
  Message message;
  bool has_header = false;
  bool has_body = false;
  RETURN_IF_ERROR(ForEachChild(document_.root(), [&](const Node& part) -> absl::Status {
    if (part.tag == Tag::kSyncHdr) {
      has_header = true;
      return ReadHeader(part, message.header);
    }
    if (part.tag != Tag::kSyncBody) return absl::OkStatus();
    has_body = true;
    return ReadBody(part, message);
  }));
  error_position_ = document_.root().position;
  if (!has_header) return absl::InvalidArgumentError("SyncML has no SyncHdr");
  if (!has_body) return absl::InvalidArgumentError("SyncML has no SyncBody");
  return message;
}

absl::Status MessageReader::ReadHeader(const Node& node, Header& header) {
  // The defaults are for what we send; what a peer leaves out is absent.
  header.ver_dtd.clear();
  header.ver_proto.clear();
  return ForEachChild(node, [&](const Node& part) -> absl::Status {
    switch (part.tag) {
      case Tag::kVerDTD:
        header.ver_dtd = Text(part);
        break;
      case Tag::kVerProto:
        header.ver_proto = Text(part);
        break;
      case Tag::kSessionID:
        header.session_id = Text(part);
        break;
      case Tag::kMsgID:
        header.msg_id = Text(part);
        break;
      case Tag::kTarget:
        return ReadLocation(part, header.target);
      case Tag::kSource:
        return ReadLocation(part, header.source);
      case Tag::kRespURI:
        header.resp_uri = Text(part);
        break;
      case Tag::kNoResp:
        header.no_resp = true;
        break;
      case Tag::kCred:
        return ReadCred(part, header.cred);
      case Tag::kMeta:
        return ReadMeta(part, header.meta);
      default:
        break;
    }
    return absl::OkStatus();
  });
}

absl::Status MessageReader::ReadBody(const Node& node, Message& message) {
  ASSIGN_OR_RETURN(const size_t count, CountParts(node));
  message.body.reserve(count);
  return ForEachChild(node, [&](const Node& part) {
    if (part.tag == Tag::kFinal) {
      message.final = true;
      return absl::OkStatus();
    }
    return ReadCommand(part, message.body.emplace_back());
  });
}

absl::Status MessageReader::ReadCommand(const Node& node, Command& command) {
  command.kind = KindOf(node.tag);
  if (command.kind == CommandKind::kUnknown) {
    command.unknown_name =
        std::string(node.tag == Tag::kUnknown ? document_.Text(node) : NameOf(node.tag));
  }
  const bool is_container = HoldsCommands(node.tag);
  ASSIGN_OR_RETURN(const size_t count, CountParts(node));
  is_container ? command.children.reserve(count) : command.items.reserve(count);
  return ForEachChild(node, [&](const Node& part) {
    if (is_container && !IsPartOfContainer(part.tag)) {
      return ReadCommand(part, command.children.emplace_back());
    }
    return ReadCommandPart(part, command);
  });
}

absl::Status MessageReader::ReadCommandPart(const Node& part, Command& command) {
  switch (part.tag) {
    case Tag::kCmdID:
      command.cmd_id = Text(part);
      break;
    case Tag::kMsgRef:
      command.msg_ref = Text(part);
      break;
    case Tag::kCmdRef:
      command.cmd_ref = Text(part);
      break;
    case Tag::kCmd:
      command.cmd = Text(part);
      break;
    case Tag::kTargetRef:
      command.target_refs.push_back(Text(part));
      break;
    case Tag::kSourceRef:
      command.source_refs.push_back(Text(part));
      break;
    case Tag::kCred:
      return ReadCred(part, command.cred);
    case Tag::kChal:
      return ReadChal(part, command.chal);
    case Tag::kMeta:
      return ReadMeta(part, command.meta);
    case Tag::kData:
      command.data = Text(part);
      break;
    case Tag::kCorrelator:
      command.correlator = Text(part);
      break;
    case Tag::kItem:
      return ReadItem(part, command.items.emplace_back());
    default:
      break;
  }
  return absl::OkStatus();
}

absl::Status MessageReader::ReadItem(const Node& node, Item& item) {
  return ForEachChild(node, [&](const Node& part) { return ReadItemPart(part, item); });
}

absl::Status MessageReader::ReadItemPart(const Node& part, Item& item) {
  Location parent;
  switch (part.tag) {
    case Tag::kTarget:
      return ReadLocation(part, item.target.emplace());
    case Tag::kSource:
      return ReadLocation(part, item.source.emplace());
    case Tag::kTargetParent:
      RETURN_IF_ERROR(ReadLocation(part, parent));
      item.target_parent = std::move(parent.uri);
      break;
    case Tag::kSourceParent:
      RETURN_IF_ERROR(ReadLocation(part, parent));
      item.source_parent = std::move(parent.uri);
      break;
    case Tag::kMeta:
      return ReadMeta(part, item.meta);
    case Tag::kData:
      item.data = std::string(document_.Text(part));
      break;
    case Tag::kMoreData:
      item.more_data = true;
      break;
    default:
      break;
  }
  return absl::OkStatus();
}

absl::Status MessageReader::ReadMeta(const Node& node, Meta& meta) {
  return ForEachChild(node, [&](const Node& part) -> absl::Status {
    switch (part.tag) {
      case Tag::kFormat:
        meta.format = Text(part);
        break;
      case Tag::kType:
        meta.type = Text(part);
        break;
      case Tag::kMark:
        meta.mark = Text(part);
        break;
      case Tag::kNextNonce:
        meta.next_nonce = Text(part);
        break;
      case Tag::kSize:
        meta.size = NumberOf(part);
        break;
      case Tag::kMaxMsgSize:
        meta.max_msg_size = NumberOf(part);
        break;
      case Tag::kMaxObjSize:
        meta.max_obj_size = NumberOf(part);
        break;
      case Tag::kMetInf:  // SyncML 1.0 peers wrap the rest in it
        return ReadMeta(part, meta);
      default:
        break;
    }
    return absl::OkStatus();
  });
}

absl::Status MessageReader::ReadCred(const Node& node, std::optional<Cred>& cred) {
  cred.emplace();
  return ForEachChild(node, [&](const Node& part) -> absl::Status {
    if (part.tag == Tag::kMeta) return ReadMeta(part, cred->meta);
    if (part.tag == Tag::kData) cred->data = Text(part);
    return absl::OkStatus();
  });
}

absl::Status MessageReader::ReadChal(const Node& node, std::optional<Chal>& chal) {
  chal.emplace();
  return ForEachChild(node, [&](const Node& part) -> absl::Status {
    if (part.tag == Tag::kMeta) return ReadMeta(part, chal->meta);
    return absl::OkStatus();
  });
}

absl::Status MessageReader::ReadLocation(const Node& node, Location& location) {
  return ForEachChild(node, [&](const Node& part) -> absl::Status {
    if (part.tag == Tag::kLocURI) location.uri = Text(part);
    if (part.tag == Tag::kLocName) location.name = Text(part);
    return absl::OkStatus();
  });
}

}  // namespace

absl::StatusOr<Message> ReadMessage(const Document& document, const Limits& limits,
                                    size_t& error_position) {
  MessageReader reader(document, limits);
  absl::StatusOr<Message> message = reader.Read();
  error_position = reader.error_position();
  return message;
}

}  // namespace virmo::syncml
