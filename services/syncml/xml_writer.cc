// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/xml_writer.h"

#include "absl/strings/str_cat.h"
#include "services/syncml/base64.h"
#include "services/syncml/xml_text.h"

namespace virmo::syncml {

XmlWriter::XmlWriter(Declaration declaration) {
  if (declaration == Declaration::kYes) text_ = R"(<?xml version="1.0" encoding="UTF-8"?>)";
}

void XmlWriter::StartName(Tag tag) {
  absl::StrAppend(&text_, "<", NameOf(tag));
  if (tag == Tag::kSyncML) absl::StrAppend(&text_, " xmlns=\"SYNCML:SYNCML1.2\"");
  if (tag == Tag::kDdfMgmtTree) absl::StrAppend(&text_, " xmlns=\"syncml:dmddf1.2\"");
  if (PageOf(tag) == 1) absl::StrAppend(&text_, " xmlns=\"syncml:metinf\"");
}

void XmlWriter::Start(Tag tag) {
  StartName(tag);
  text_.push_back('>');
}

void XmlWriter::End(Tag tag) { absl::StrAppend(&text_, "</", NameOf(tag), ">"); }

void XmlWriter::Empty(Tag tag) {
  StartName(tag);
  absl::StrAppend(&text_, "/>");
}

void XmlWriter::Leaf(Tag tag, absl::string_view text) {
  if (text.empty()) {
    Empty(tag);
    return;
  }
  Start(tag);
  AppendEscapedXml(text, text_);
  End(tag);
}

void XmlWriter::OctetLeaf(Tag tag, absl::string_view octets) { Leaf(tag, Base64Encode(octets)); }

}  // namespace virmo::syncml
