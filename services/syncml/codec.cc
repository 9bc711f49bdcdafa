// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/codec.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/document.h"
#include "services/syncml/message_reader.h"
#include "services/syncml/message_writer.h"
#include "services/syncml/tnds.h"
#include "services/syncml/wbxml_reader.h"
#include "services/syncml/wbxml_writer.h"
#include "services/syncml/xml_reader.h"
#include "services/syncml/xml_writer.h"

namespace virmo::syncml {
namespace {

constexpr absl::string_view kXmlType = "application/vnd.syncml.dm+xml";
constexpr absl::string_view kWbxmlType = "application/vnd.syncml.dm+wbxml";
constexpr absl::string_view kTndsWbxmlSuffix = "dmtnds+wbxml";

// XML of a tree of many small nodes is six times as long as WBXML.
constexpr size_t kMaxTndsGrowth = 8;

// The document indexes its text with 32 bits.
constexpr size_t kMostBytes = size_t{1} << 30;

void NameBase64(Meta& meta) {
  if (meta.format && absl::EqualsIgnoreCase(*meta.format, "bin")) meta.format = "b64";
}

void NameBase64(std::vector<Command>& commands) {
  for (Command& command : commands) {
    NameBase64(command.meta);
    for (Item& item : command.items) NameBase64(item.meta);
    NameBase64(command.children);
  }
}

// A TNDS document in an item as XML text, and `room` less by its size. What does not parse is left
// as it came: it may be the rest of a large object, and if it is garbage the tree will say so of
// this one command. So is what has no room.
void ExpandTnds(const Command& command, Item& item, const Limits& limits, size_t& room) {
  const absl::string_view type = TypeOf(command, item);
  if (!item.data || item.more_data || !absl::EndsWithIgnoreCase(type, kTndsWbxmlSuffix)) return;
  Limits within = limits;
  within.max_bytes = std::min(limits.max_bytes, room);
  // Also XML under the type of WBXML, as some send it.
  const absl::StatusOr<TndsDocument> document = ReadTnds(*item.data, within);
  if (!document.ok()) return;
  item.data = WriteTnds(*document, Encoding::kXml);
  item.meta.type = std::string(kTndsXmlType);
  room -= std::min(room, item.data->size());
}

void ExpandTnds(std::vector<Command>& commands, const Limits& limits, size_t& room) {
  for (Command& command : commands) {
    for (Item& item : command.items) ExpandTnds(command, item, limits, room);
    ExpandTnds(command.children, limits, room);
  }
}

// `octets` is the size of the message. Documents with much in their string tables might make it
// many times as large.
void ExpandTnds(Message& message, const Limits& limits, size_t octets) {
  size_t room = octets * kMaxTndsGrowth;
  ExpandTnds(message.body, limits, room);
}

absl::Status AtOctet(const absl::Status& status, size_t octet) {
  return absl::Status(status.code(), absl::StrCat("octet ", octet, ": ", status.message()));
}

absl::Status AtLine(const absl::Status& status, absl::string_view octets, size_t octet) {
  const absl::string_view before = octets.substr(0, octet);
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  return absl::Status(status.code(), absl::StrCat("line ", line, ", column ",
                                                  octet - line_start + 1, ": ", status.message()));
}

absl::StatusOr<Message> DecodeXml(absl::string_view octets, const Limits& limits) {
  ASSIGN_OR_RETURN(const Document document, ReadXml(octets, limits));
  size_t error_position = 0;
  absl::StatusOr<Message> message = ReadMessage(document, limits, error_position);
  if (!message.ok()) return AtLine(message.status(), octets, error_position);
  NameBase64(message->body);
  ExpandTnds(*message, limits, octets.size());
  return message;
}

absl::StatusOr<Message> DecodeWbxml(absl::string_view octets, const Limits& limits) {
  ASSIGN_OR_RETURN(const Document document, ReadWbxml(octets, limits));
  size_t error_position = 0;
  absl::StatusOr<Message> message = ReadMessage(document, limits, error_position);
  if (!message.ok()) return AtOctet(message.status(), error_position);
  ExpandTnds(*message, limits, octets.size());
  return message;
}

}  // namespace

absl::StatusOr<Message> Decode(absl::string_view octets, Encoding encoding, const Limits& limits) {
  Limits bounded = limits;
  bounded.max_bytes = std::min(bounded.max_bytes, kMostBytes);
  return encoding == Encoding::kXml ? DecodeXml(octets, bounded) : DecodeWbxml(octets, bounded);
}

std::string Encode(const Message& message, Encoding encoding) {
  if (encoding == Encoding::kXml) {
    XmlWriter writer;
    WriteMessage(message, writer);
    return std::move(writer).Finish();
  }
  WbxmlWriter writer;
  WriteMessage(message, writer);
  return std::move(writer).Finish();
}

Encoding Sniff(absl::string_view octets) {
  const bool is_wbxml = !octets.empty() && octets[0] >= 1 && octets[0] <= 3;
  return is_wbxml ? Encoding::kWbxml : Encoding::kXml;
}

absl::string_view ContentType(Encoding encoding) {
  return encoding == Encoding::kXml ? kXmlType : kWbxmlType;
}

std::optional<Encoding> EncodingOf(absl::string_view content_type) {
  const absl::string_view type =
      absl::StripAsciiWhitespace(content_type.substr(0, content_type.find(';')));
  if (absl::EqualsIgnoreCase(type, kXmlType)) return Encoding::kXml;
  if (absl::EqualsIgnoreCase(type, kWbxmlType)) return Encoding::kWbxml;
  // What SyncML before DM used, and some DM clients still send.
  if (absl::EqualsIgnoreCase(type, "application/vnd.syncml+xml")) return Encoding::kXml;
  if (absl::EqualsIgnoreCase(type, "application/vnd.syncml+wbxml")) return Encoding::kWbxml;
  return std::nullopt;
}

}  // namespace virmo::syncml
