// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/message_writer.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/syncml/base64.h"
#include "services/syncml/codec.h"
#include "services/syncml/tnds.h"

namespace virmo::syncml {
namespace {

// What the DTD says of one kind of command; see WriteCommand() for the order.
struct Content {
  Tag tag;
  bool has_cred = false;
  bool has_meta = false;
  bool has_data = false;
  bool has_correlator = false;
  bool has_items = true;
  bool has_children = false;
};

Content ContentOf(CommandKind kind) {
  switch (kind) {
    case CommandKind::kAdd:
      return {.tag = Tag::kAdd, .has_cred = true, .has_meta = true};
    case CommandKind::kAlert:
      return {.tag = Tag::kAlert, .has_cred = true, .has_data = true, .has_correlator = true};
    case CommandKind::kAtomic:
      return {.tag = Tag::kAtomic, .has_meta = true, .has_items = false, .has_children = true};
    case CommandKind::kCopy:
      return {.tag = Tag::kCopy, .has_cred = true, .has_meta = true};
    case CommandKind::kDelete:
      return {.tag = Tag::kDelete, .has_cred = true, .has_meta = true};
    case CommandKind::kExec:
      return {.tag = Tag::kExec, .has_cred = true, .has_meta = true, .has_correlator = true};
    case CommandKind::kGet:
      return {.tag = Tag::kGet, .has_cred = true, .has_meta = true};
    case CommandKind::kReplace:
      return {.tag = Tag::kReplace, .has_cred = true, .has_meta = true};
    case CommandKind::kResults:
      return {.tag = Tag::kResults};
    case CommandKind::kSequence:
      return {.tag = Tag::kSequence, .has_meta = true, .has_items = false, .has_children = true};
    case CommandKind::kStatus:
      return {.tag = Tag::kStatus, .has_cred = true, .has_data = true};
    case CommandKind::kUnknown:
      break;
  }
  return {.tag = Tag::kUnknown};
}

bool IsBin(absl::string_view format) { return absl::EqualsIgnoreCase(format, "bin"); }

// A whole TNDS document as a WBXML message carries it (TNDS 1.2 §9.1); nothing if `item` holds
// none, or one that would not read back as the same text.
std::optional<std::string> TndsAsWbxml(const Command& command, const Item& item) {
  if (!item.meta.type || !item.data || item.more_data || !IsTndsType(*item.meta.type) ||
      Sniff(*item.data) != Encoding::kXml || IsBin(FormatOf(command, item))) {
    return std::nullopt;
  }
  const absl::StatusOr<TndsDocument> document =
      ReadTnds(*item.data, {.max_bytes = item.data->size()});
  if (!document.ok() || WriteTnds(*document, Encoding::kXml) != *item.data) return std::nullopt;
  return WriteTnds(*document, Encoding::kWbxml);
}

// A template, as what the sink does for one element is little: calls to be found out at run time
// would be most of the cost.
template <typename Sink>
class MessageWriter {
 public:
  explicit MessageWriter(Sink& sink) : sink_(sink) {}

  void WriteHeader(const Header& header);
  void WriteCommand(const Command& command);

 private:
  void WriteReferences(const Command& command);
  void WriteItem(const Command& command, const Item& item);
  void WriteData(const Command& command, const Item& item);
  void WriteMeta(const Meta& meta);
  void WriteFormat(const std::string& format);
  void WriteCred(const std::optional<Cred>& cred);
  void WriteLocation(Tag tag, const Location& location);
  void WriteParent(Tag tag, const std::optional<std::string>& uri);

  void WriteOptional(Tag tag, const std::optional<std::string>& text) {
    if (text) sink_.Leaf(tag, *text);
  }
  void WriteOptional(Tag tag, const std::optional<int64_t>& number) {
    if (number) sink_.Leaf(tag, absl::StrCat(*number));
  }
  void WriteUnlessEmpty(Tag tag, const std::string& text) {
    if (!text.empty()) sink_.Leaf(tag, text);
  }

  Sink& sink_;
};

template <typename Sink>
void MessageWriter<Sink>::WriteHeader(const Header& header) {
  sink_.Start(Tag::kSyncHdr);
  sink_.Leaf(Tag::kVerDTD, header.ver_dtd);
  sink_.Leaf(Tag::kVerProto, header.ver_proto);
  sink_.Leaf(Tag::kSessionID, header.session_id);
  sink_.Leaf(Tag::kMsgID, header.msg_id);
  WriteLocation(Tag::kTarget, header.target);
  WriteLocation(Tag::kSource, header.source);
  WriteOptional(Tag::kRespURI, header.resp_uri);
  if (header.no_resp) sink_.Empty(Tag::kNoResp);
  WriteCred(header.cred);
  WriteMeta(header.meta);
  sink_.End(Tag::kSyncHdr);
}

template <typename Sink>
void MessageWriter<Sink>::WriteCommand(const Command& command) {
  const Content content = ContentOf(command.kind);
  if (content.tag == Tag::kUnknown) return;
  sink_.Start(content.tag);
  sink_.Leaf(Tag::kCmdID, command.cmd_id);
  WriteReferences(command);
  if (content.has_cred) WriteCred(command.cred);
  if (command.kind == CommandKind::kStatus && command.chal) {
    sink_.Start(Tag::kChal);
    WriteMeta(command.chal->meta);
    sink_.End(Tag::kChal);
  }
  if (content.has_meta) WriteMeta(command.meta);
  if (content.has_data) WriteUnlessEmpty(Tag::kData, command.data);
  if (content.has_correlator) WriteOptional(Tag::kCorrelator, command.correlator);
  if (content.has_items) {
    for (const Item& item : command.items) WriteItem(command, item);
  }
  if (content.has_children) {
    for (const Command& child : command.children) WriteCommand(child);
  }
  sink_.End(content.tag);
}

// The one difference in order between Status and Results: the latter's Meta comes before its
// references, of which it has at most one each.
template <typename Sink>
void MessageWriter<Sink>::WriteReferences(const Command& command) {
  if (command.kind == CommandKind::kStatus) {
    sink_.Leaf(Tag::kMsgRef, command.msg_ref);
    sink_.Leaf(Tag::kCmdRef, command.cmd_ref);
    sink_.Leaf(Tag::kCmd, command.cmd);
  } else if (command.kind == CommandKind::kResults) {
    WriteUnlessEmpty(Tag::kMsgRef, command.msg_ref);
    sink_.Leaf(Tag::kCmdRef, command.cmd_ref);
    WriteMeta(command.meta);
  } else {
    return;
  }
  for (const std::string& uri : command.target_refs) sink_.Leaf(Tag::kTargetRef, uri);
  for (const std::string& uri : command.source_refs) sink_.Leaf(Tag::kSourceRef, uri);
}

template <typename Sink>
void MessageWriter<Sink>::WriteItem(const Command& command, const Item& item) {
  const std::optional<std::string> tnds =
      sink_.holds_octets() ? TndsAsWbxml(command, item) : std::nullopt;
  sink_.Start(Tag::kItem);
  if (item.target) WriteLocation(Tag::kTarget, *item.target);
  if (item.source) WriteLocation(Tag::kSource, *item.source);
  WriteParent(Tag::kSourceParent, item.source_parent);
  WriteParent(Tag::kTargetParent, item.target_parent);
  if (tnds) {
    Meta meta = item.meta;
    meta.type = std::string(kTndsWbxmlType);
    WriteMeta(meta);
    sink_.OctetLeaf(Tag::kData, *tnds);
  } else {
    WriteMeta(item.meta);
    WriteData(command, item);
  }
  if (item.more_data) sink_.Empty(Tag::kMoreData);
  sink_.End(Tag::kItem);
}

template <typename Sink>
void MessageWriter<Sink>::WriteData(const Command& command, const Item& item) {
  if (!item.data) return;
  if (!IsBin(FormatOf(command, item))) {
    sink_.Leaf(Tag::kData, *item.data);
  } else if (sink_.holds_octets()) {
    sink_.OctetLeaf(Tag::kData, *item.data);
  } else {
    sink_.Leaf(Tag::kData, Base64Encode(*item.data));
  }
}

template <typename Sink>
void MessageWriter<Sink>::WriteMeta(const Meta& meta) {
  if (meta.empty()) return;
  sink_.Start(Tag::kMeta);
  if (meta.format) WriteFormat(*meta.format);
  WriteOptional(Tag::kType, meta.type);
  WriteOptional(Tag::kMark, meta.mark);
  WriteOptional(Tag::kSize, meta.size);
  WriteOptional(Tag::kNextNonce, meta.next_nonce);
  WriteOptional(Tag::kMaxMsgSize, meta.max_msg_size);
  WriteOptional(Tag::kMaxObjSize, meta.max_obj_size);
  sink_.End(Tag::kMeta);
}

template <typename Sink>
void MessageWriter<Sink>::WriteFormat(const std::string& format) {
  const bool as_base64 = IsBin(format) && !sink_.holds_octets();
  sink_.Leaf(Tag::kFormat, as_base64 ? "b64" : absl::string_view(format));
}

template <typename Sink>
void MessageWriter<Sink>::WriteCred(const std::optional<Cred>& cred) {
  if (!cred) return;
  sink_.Start(Tag::kCred);
  WriteMeta(cred->meta);
  sink_.Leaf(Tag::kData, cred->data);
  sink_.End(Tag::kCred);
}

template <typename Sink>
void MessageWriter<Sink>::WriteLocation(Tag tag, const Location& location) {
  sink_.Start(tag);
  sink_.Leaf(Tag::kLocURI, location.uri);
  WriteUnlessEmpty(Tag::kLocName, location.name);
  sink_.End(tag);
}

template <typename Sink>
void MessageWriter<Sink>::WriteParent(Tag tag, const std::optional<std::string>& uri) {
  if (uri) WriteLocation(tag, Location{.uri = *uri, .name = ""});
}

template <typename Sink>
void Write(const Message& message, Sink& sink) {
  MessageWriter writer(sink);
  sink.Start(Tag::kSyncML);
  writer.WriteHeader(message.header);
  sink.Start(Tag::kSyncBody);
  for (const Command& command : message.body) writer.WriteCommand(command);
  if (message.final) sink.Empty(Tag::kFinal);
  sink.End(Tag::kSyncBody);
  sink.End(Tag::kSyncML);
}

}  // namespace

size_t XmlSize(const Command& command) {
  XmlSizer sizer;
  MessageWriter(sizer).WriteCommand(command);
  return sizer.size();
}

void WriteMessage(const Message& message, XmlWriter& sink) { Write(message, sink); }

void WriteMessage(const Message& message, WbxmlWriter& sink) { Write(message, sink); }

}  // namespace virmo::syncml
