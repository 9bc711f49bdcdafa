// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/codec.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/document.h"
#include "services/syncml/message_reader.h"
#include "services/syncml/message_writer.h"
#include "services/syncml/wbxml_reader.h"
#include "services/syncml/wbxml_writer.h"
#include "services/syncml/xml_reader.h"
#include "services/syncml/xml_writer.h"

namespace virmo::syncml {
namespace {

constexpr absl::string_view kXmlType = "application/vnd.syncml.dm+xml";
constexpr absl::string_view kWbxmlType = "application/vnd.syncml.dm+wbxml";
constexpr absl::string_view kTndsWbxmlSuffix = "dmtnds+wbxml";

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

// A TNDS document in an item as XML text. What does not parse is left as it came: it may be the
// rest of a large object, and if it is garbage the tree will say so of this one command.
void ExpandTnds(const Command& command, Item& item, const Limits& limits) {
  const absl::string_view type = TypeOf(command, item);
  if (!item.data || item.more_data || !absl::EndsWithIgnoreCase(type, kTndsWbxmlSuffix)) return;
  auto text = ReadWbxmlTnds(*item.data, limits);
  if (!text.ok() || !absl::StartsWith(*text, "<MgmtTree")) return;
  item.meta.type = "application/vnd.syncml.dmtnds+xml";
  item.data = *std::move(text);
}

void ExpandTnds(std::vector<Command>& commands, const Limits& limits) {
  for (Command& command : commands) {
    for (Item& item : command.items) ExpandTnds(command, item, limits);
    ExpandTnds(command.children, limits);
  }
}

absl::StatusOr<Message> DecodeXml(absl::string_view octets, const Limits& limits) {
  ASSIGN_OR_RETURN(const Document document, ReadXml(octets, limits));
  ASSIGN_OR_RETURN(Message message, ReadMessage(document, limits));
  NameBase64(message.body);
  return message;
}

absl::StatusOr<Message> DecodeWbxml(absl::string_view octets, const Limits& limits) {
  ASSIGN_OR_RETURN(const Document document, ReadWbxml(octets, limits));
  ASSIGN_OR_RETURN(Message message, ReadMessage(document, limits));
  ExpandTnds(message.body, limits);
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

absl::StatusOr<std::string> TndsToXml(absl::string_view wbxml, const Limits& limits) {
  Limits bounded = limits;
  bounded.max_bytes = std::min(bounded.max_bytes, kMostBytes);
  ASSIGN_OR_RETURN(std::string text, ReadWbxmlTnds(wbxml, bounded));
  if (!absl::StartsWith(text, "<MgmtTree")) {
    return absl::InvalidArgumentError("the outermost element is not MgmtTree");
  }
  return text;
}

}  // namespace virmo::syncml
