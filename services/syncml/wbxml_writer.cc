// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/wbxml_writer.h"

#include "services/syncml/wbxml_token.h"

namespace virmo::syncml {

WbxmlWriter::WbxmlWriter(WbxmlDialect dialect) {
  Put(wbxml::kVersion13);
  if (dialect == WbxmlDialect::kDdf) {
    PutNumber(wbxml::kPublicIdInTable);
    PutNumber(0);  // at this index
    PutNumber(wbxml::kCharsetUtf8);
    PutNumber(static_cast<uint32_t>(wbxml::kDdf12Name.size() + 1));
    octets_.append(wbxml::kDdf12Name.data(), wbxml::kDdf12Name.size());
    Put(0);
    return;
  }
  PutNumber(wbxml::kPublicIdSyncMl12);
  PutNumber(wbxml::kCharsetUtf8);
  PutNumber(0);  // length of the string table
}

// mb_u_int32: seven bits an octet, the highest first, bit 7 set but in the last.
void WbxmlWriter::PutNumber(uint32_t number) {
  int shift = 28;
  while (shift > 0 && number >> shift == 0) shift -= 7;
  for (; shift > 0; shift -= 7) Put(static_cast<uint8_t>(0x80U | (number >> shift & 0x7FU)));
  Put(static_cast<uint8_t>(number & 0x7FU));
}

void WbxmlWriter::PutTag(Tag tag, bool has_content) {
  if (PageOf(tag) != page_) {
    page_ = PageOf(tag);
    Put(wbxml::kSwitchPage);
    Put(static_cast<uint8_t>(page_));
  }
  Put(has_content ? TokenOf(tag) | wbxml::kHasContent : TokenOf(tag));
}

void WbxmlWriter::Start(Tag tag) { PutTag(tag, true); }
void WbxmlWriter::End(Tag) { Put(wbxml::kEnd); }
void WbxmlWriter::Empty(Tag tag) { PutTag(tag, false); }

void WbxmlWriter::Leaf(Tag tag, absl::string_view text) {
  if (text.empty()) {
    Empty(tag);
    return;
  }
  if (text.find('\0') != absl::string_view::npos) {
    OctetLeaf(tag, text);
    return;
  }
  Start(tag);
  Put(wbxml::kStrI);
  octets_.append(text.data(), text.size());
  Put(0);
  End(tag);
}

void WbxmlWriter::OctetLeaf(Tag tag, absl::string_view octets) {
  if (octets.empty()) {
    Empty(tag);
    return;
  }
  Start(tag);
  Put(wbxml::kOpaque);
  PutNumber(static_cast<uint32_t>(octets.size()));
  octets_.append(octets.data(), octets.size());
  End(tag);
}

}  // namespace virmo::syncml
