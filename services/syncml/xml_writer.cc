// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/xml_writer.h"

#include <array>

#include "absl/strings/str_cat.h"
#include "services/syncml/base64.h"
#include "services/syncml/xml_text.h"

namespace virmo::syncml {
namespace {

XmlMarkup MarkupOf(Tag tag) {
  std::string name(NameOf(tag));
  if (name.empty()) return {};
  const std::string end = absl::StrCat("</", name, ">");
  if (tag == Tag::kSyncML) absl::StrAppend(&name, " xmlns=\"SYNCML:SYNCML1.2\"");
  if (tag == Tag::kDdfMgmtTree) absl::StrAppend(&name, " xmlns=\"syncml:dmddf1.2\"");
  if (PageOf(tag) == 1) absl::StrAppend(&name, " xmlns=\"syncml:metinf\"");
  return {
      .start = absl::StrCat("<", name, ">"), .end = end, .empty = absl::StrCat("<", name, "/>")};
}

using MarkupTable = std::array<XmlMarkup, 256>;

const MarkupTable& AllMarkup() {
  static const MarkupTable& all = *new MarkupTable([] {
    MarkupTable markup;
    for (size_t i = 0; i < markup.size(); ++i) markup[i] = MarkupOf(static_cast<Tag>(i));
    return markup;
  }());
  return all;
}

}  // namespace

XmlWriter::XmlWriter(Declaration declaration) : markup_(AllMarkup().data()) {
  if (declaration == Declaration::kYes) text_ = R"(<?xml version="1.0" encoding="UTF-8"?>)";
}

void XmlWriter::Start(Tag tag) { text_.append(Of(tag).start); }
void XmlWriter::End(Tag tag) { text_.append(Of(tag).end); }
void XmlWriter::Empty(Tag tag) { text_.append(Of(tag).empty); }

void XmlWriter::Leaf(Tag tag, absl::string_view text) {
  if (text.empty()) {
    Empty(tag);
    return;
  }
  const XmlMarkup& markup = Of(tag);
  text_.append(markup.start);
  AppendEscapedXml(text, text_);
  text_.append(markup.end);
}

void XmlWriter::OctetLeaf(Tag tag, absl::string_view octets) { Leaf(tag, Base64Encode(octets)); }

XmlSizer::XmlSizer() : markup_(AllMarkup().data()) {}

void XmlSizer::Start(Tag tag) { size_ += Of(tag).start.size(); }
void XmlSizer::End(Tag tag) { size_ += Of(tag).end.size(); }
void XmlSizer::Empty(Tag tag) { size_ += Of(tag).empty.size(); }

void XmlSizer::Leaf(Tag tag, absl::string_view text) {
  if (text.empty()) {
    Empty(tag);
    return;
  }
  const XmlMarkup& markup = Of(tag);
  size_ += markup.start.size() + EscapedXmlSize(text) + markup.end.size();
}

void XmlSizer::OctetLeaf(Tag tag, absl::string_view octets) { Leaf(tag, Base64Encode(octets)); }

}  // namespace virmo::syncml
