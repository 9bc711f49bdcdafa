// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/ddf.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "services/syncml/tag.h"
#include "services/syncml/xml_text.h"

namespace virmo::syncml {
namespace {

Tag TagOf(DdfOccurrence occurrence) {
  switch (occurrence) {
    case DdfOccurrence::kOne:
      return Tag::kDdfOne;
    case DdfOccurrence::kZeroOrOne:
      return Tag::kDdfZeroOrOne;
    case DdfOccurrence::kZeroOrMore:
      return Tag::kDdfZeroOrMore;
    case DdfOccurrence::kOneOrMore:
      return Tag::kDdfOneOrMore;
    case DdfOccurrence::kZeroOrN:
      return Tag::kDdfZeroOrN;
    case DdfOccurrence::kOneOrN:
      return Tag::kDdfOneOrN;
  }
  return Tag::kDdfOne;
}

class Writer {
 public:
  explicit Writer(int indent) : indent_(indent) {}

  void Write(const DdfDocument& document);
  std::string Finish() && { return std::move(text_); }

 private:
  void WriteNode(const DdfNode& node);
  void WriteProperties(const DdfNode& node);
  void WriteAccess(const DdfAccess& access);
  void WriteOccurrence(const DdfNode& node);
  void WriteType(const DdfNode& node);

  void NewLine() {
    if (indent_ == 0) return;
    text_.push_back('\n');
    text_.append(static_cast<size_t>(depth_ * indent_), ' ');
  }
  void Start(Tag tag, absl::string_view attributes = "") {
    NewLine();
    absl::StrAppend(&text_, "<", NameOf(tag), attributes, ">");
    ++depth_;
  }
  void End(Tag tag) {
    --depth_;
    NewLine();
    absl::StrAppend(&text_, "</", NameOf(tag), ">");
  }
  void Empty(Tag tag) {
    NewLine();
    absl::StrAppend(&text_, "<", NameOf(tag), "/>");
  }
  void Leaf(Tag tag, absl::string_view text) {
    if (text.empty()) return Empty(tag);
    NewLine();
    absl::StrAppend(&text_, "<", NameOf(tag), ">");
    AppendEscapedXml(text, text_);
    absl::StrAppend(&text_, "</", NameOf(tag), ">");
  }
  void LeafUnlessEmpty(Tag tag, absl::string_view text) {
    if (!text.empty()) Leaf(tag, text);
  }
  // An element that holds one empty element.
  void Choice(Tag tag, Tag choice) {
    Start(tag);
    Empty(choice);
    End(tag);
  }

  const int indent_;
  int depth_ = 0;
  std::string text_ = R"(<?xml version="1.0" encoding="UTF-8"?>)";
};

void Writer::Write(const DdfDocument& document) {
  Start(Tag::kDdfMgmtTree, R"( xmlns="syncml:dmddf1.2")");
  Leaf(Tag::kDdfVerDTD, "1.2");
  LeafUnlessEmpty(Tag::kDdfMan, document.man);
  LeafUnlessEmpty(Tag::kDdfMod, document.mod);
  for (const DdfNode& node : document.nodes) WriteNode(node);
  End(Tag::kDdfMgmtTree);
  if (indent_ != 0) text_.push_back('\n');
}

void Writer::WriteNode(const DdfNode& node) {
  Start(Tag::kDdfNode);
  Leaf(Tag::kDdfNodeName, node.name);
  LeafUnlessEmpty(Tag::kDdfPath, node.path);
  WriteProperties(node);
  for (const DdfNode& child : node.children) WriteNode(child);
  End(Tag::kDdfNode);
}

void Writer::WriteProperties(const DdfNode& node) {
  Start(Tag::kDdfDFProperties);
  WriteAccess(node.access);
  if (node.default_value) Leaf(Tag::kDdfDefaultValue, *node.default_value);
  LeafUnlessEmpty(Tag::kDdfDescription, node.description);
  const Tag format = DdfTagOf(node.format);
  Choice(Tag::kDdfDFFormat, format == Tag::kUnknown ? Tag::kDdfFormatChr : format);
  WriteOccurrence(node);
  Choice(Tag::kDdfScope,
         node.scope == DdfScope::kPermanent ? Tag::kDdfPermanent : Tag::kDdfDynamic);
  LeafUnlessEmpty(Tag::kDdfDFTitle, node.title);
  WriteType(node);
  End(Tag::kDdfDFProperties);
}

void Writer::WriteAccess(const DdfAccess& access) {
  Start(Tag::kDdfAccessType);
  if (access.add) Empty(Tag::kDdfAdd);
  if (access.copy) Empty(Tag::kDdfCopy);
  if (access.remove) Empty(Tag::kDdfDelete);
  if (access.exec) Empty(Tag::kDdfExec);
  if (access.get) Empty(Tag::kDdfGet);
  if (access.replace) Empty(Tag::kDdfReplace);
  End(Tag::kDdfAccessType);
}

void Writer::WriteOccurrence(const DdfNode& node) {
  const bool counted =
      node.occurrence == DdfOccurrence::kZeroOrN || node.occurrence == DdfOccurrence::kOneOrN;
  if (!counted) return Choice(Tag::kDdfOccurrence, TagOf(node.occurrence));
  Start(Tag::kDdfOccurrence);
  Leaf(TagOf(node.occurrence), absl::StrCat(node.max_occurrence));
  End(Tag::kDdfOccurrence);
}

void Writer::WriteType(const DdfNode& node) {
  Start(Tag::kDdfDFType);
  for (const std::string& type : node.mime_types) Leaf(Tag::kDdfMIME, type);
  if (node.mime_types.empty()) Leaf(Tag::kDdfDDFName, node.ddf_name);
  End(Tag::kDdfDFType);
}

}  // namespace

std::string WriteDdf(const DdfDocument& document, int indent) {
  Writer writer(indent);
  writer.Write(document);
  return std::move(writer).Finish();
}

}  // namespace virmo::syncml
