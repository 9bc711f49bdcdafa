// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/inspect.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/notification_xml.h"
#include "services/syncml/tnds.h"
#include "services/syncml/wbxml_printer.h"
#include "services/syncml/xml_parser.h"
#include "services/syncml/xml_printer.h"
#include "services/syncml/xml_text.h"

namespace virmo::syncml {
namespace {

// Shows an XML document through an XmlPrinter.
class XmlReprinter : public XmlHandler {
 public:
  explicit XmlReprinter(XmlPrinter& out) : out_(out) {}

  absl::Status OnStart(absl::string_view name, const char* const* attributes) override {
    const absl::string_view local = LocalName(name);
    if (root_.empty()) root_ = std::string(local);
    if (local == "DFProperties") has_df_properties_ = true;
    const bool is_exact = local == "Data" || local == "Value" ||
                          (out_.layout() == XmlPrinter::Layout::kExact && local != "MgmtTree");
    std::string text;
    for (; *attributes != nullptr; attributes += 2) {
      absl::StrAppend(&text, " ", attributes[0], "=\"");
      AppendEscapedAttribute(attributes[1], text);
      text.push_back('"');
    }
    out_.Start(name, text, is_exact ? XmlPrinter::Layout::kExact : XmlPrinter::Layout::kIndented);
    return absl::OkStatus();
  }
  absl::Status OnText(absl::string_view text) override {
    out_.Text(text);
    return absl::OkStatus();
  }
  absl::Status OnEnd(absl::string_view) override {
    out_.End();
    return absl::OkStatus();
  }

  const std::string& root() const { return root_; }
  bool has_df_properties() const { return has_df_properties_; }

 private:
  XmlPrinter& out_;
  std::string root_;
  bool has_df_properties_ = false;
};

// Where an error is, for those that are about the document as a whole.
absl::Status AtStart(absl::string_view what, Encoding encoding) {
  return absl::InvalidArgumentError(
      absl::StrCat(encoding == Encoding::kXml ? "line 1, column 1: " : "octet 0: ", what));
}

absl::StatusOr<DocumentKind> KindOf(const std::string& root, bool has_df_properties,
                                    Encoding encoding) {
  if (root == "SyncML") return DocumentKind::kMessage;
  if (root == "Notification") return DocumentKind::kNotification;
  if (root == "MgmtTree") return has_df_properties ? DocumentKind::kDdf : DocumentKind::kTnds;
  return AtStart(absl::StrCat("the outermost element is ", root,
                              ", neither SyncML nor MgmtTree nor Notification"),
                 encoding);
}

// Errors of the tree's structure have no position.
absl::Status CheckTnds(absl::string_view octets, Encoding encoding, const Limits& limits) {
  const absl::Status status = ReadTnds(octets, limits).status();
  if (status.ok() || absl::StartsWith(status.message(), "line ") ||
      absl::StartsWith(status.message(), "octet ")) {
    return status;
  }
  return absl::Status(status.code(), AtStart(status.message(), encoding).message());
}

absl::Status Check(absl::string_view octets, const Inspected& document, const Limits& limits) {
  switch (document.kind) {
    case DocumentKind::kMessage:
      return Decode(octets, document.encoding, limits).status();
    case DocumentKind::kTnds:
      return CheckTnds(octets, document.encoding, limits);
    case DocumentKind::kNotification:
      return ReadNotificationXml(octets, limits).status();
    case DocumentKind::kDdf:
      break;
  }
  return absl::OkStatus();
}

absl::StatusOr<Inspected> InspectXml(absl::string_view octets, const Limits& limits) {
  XmlPrinter printer;
  XmlReprinter handler(printer);
  RETURN_IF_ERROR(ParseXml(octets, limits, handler));
  Inspected document = {.encoding = Encoding::kXml, .xml = std::move(printer).Finish()};
  ASSIGN_OR_RETURN(document.kind,
                   KindOf(handler.root(), handler.has_df_properties(), Encoding::kXml));
  RETURN_IF_ERROR(Check(octets, document, limits));
  return document;
}

absl::StatusOr<Inspected> InspectWbxml(absl::string_view octets, const Limits& limits) {
  XmlPrinter printer;
  WbxmlPrinter handler(limits, printer);
  RETURN_IF_ERROR(ParseWbxml(octets, limits, handler));
  Inspected document = {.encoding = Encoding::kWbxml, .xml = std::move(printer).Finish()};
  ASSIGN_OR_RETURN(document.kind,
                   KindOf(handler.root(), handler.has_df_properties(), Encoding::kWbxml));
  if (document.kind == DocumentKind::kNotification) {
    return AtStart("the outermost element is Notification", Encoding::kWbxml);
  }
  RETURN_IF_ERROR(Check(octets, document, limits));
  return document;
}

// Commands that are none of SyncML's cannot be written.
absl::Status CheckCommands(const std::vector<Command>& commands) {
  for (const Command& command : commands) {
    if (command.kind == CommandKind::kUnknown) {
      return absl::InvalidArgumentError(
          absl::StrCat("command ", command.unknown_name, " is none of OMA DM"));
    }
    RETURN_IF_ERROR(CheckCommands(command.children));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ConvertNotification(absl::string_view octets, Encoding from,
                                                Encoding to, const Limits& limits) {
  if (from == Encoding::kWbxml) {
    if (to == Encoding::kWbxml) return std::string(octets);
    return NotificationAsXml(octets);
  }
  ASSIGN_OR_RETURN(const std::string binary, ReadNotificationXml(octets, limits));
  if (to == Encoding::kWbxml) return binary;
  return NotificationAsXml(binary);
}

}  // namespace

absl::StatusOr<Inspected> Inspect(absl::string_view octets, const Limits& limits) {
  const Encoding encoding = Sniff(octets);
  absl::StatusOr<Inspected> document =
      encoding == Encoding::kXml ? InspectXml(octets, limits) : InspectWbxml(octets, limits);
  // Package #0 starts with a digest, so with any octet; what follows is hardly ever met by chance.
  if (document.ok() || !LooksLikeNotification(octets)) return document;
  ASSIGN_OR_RETURN(std::string xml, NotificationAsXml(octets));
  return Inspected{
      .kind = DocumentKind::kNotification, .encoding = Encoding::kWbxml, .xml = std::move(xml)};
}

absl::StatusOr<std::string> Convert(absl::string_view octets, Encoding to, const Limits& limits) {
  ASSIGN_OR_RETURN(const Inspected document, Inspect(octets, limits));
  switch (document.kind) {
    case DocumentKind::kMessage: {
      ASSIGN_OR_RETURN(const Message message, Decode(octets, document.encoding, limits));
      if (const absl::Status known = CheckCommands(message.body); !known.ok()) {
        return AtStart(known.message(), document.encoding);
      }
      return Encode(message, to);
    }
    case DocumentKind::kTnds: {
      ASSIGN_OR_RETURN(const TndsDocument tree, ReadTnds(octets, limits));
      return WriteTnds(tree, to);
    }
    case DocumentKind::kNotification:
      return ConvertNotification(octets, document.encoding, to, limits);
    case DocumentKind::kDdf:
      break;
  }
  return absl::UnimplementedError("a DDF document is never sent, and not converted");
}

absl::StatusOr<std::string> IndentXml(absl::string_view xml, const Limits& limits) {
  XmlPrinter printer;
  XmlReprinter handler(printer);
  RETURN_IF_ERROR(ParseXml(xml, limits, handler));
  return std::move(printer).Finish();
}

}  // namespace virmo::syncml
