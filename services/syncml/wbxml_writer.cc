// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/wbxml_writer.h"

#include <algorithm>

#include "services/syncml/wbxml_token.h"

namespace virmo::syncml {

namespace {

// Below this a table is not worth what a simple reader might make of it.
constexpr size_t kLeastSaving = 32;
constexpr size_t kMostShared = 16;

// Elements whose texts are few and come again and again.
bool HoldsSharedText(Tag tag) {
  return tag == Tag::kType || tag == Tag::kFormat || tag == Tag::kMark || tag == Tag::kCmd ||
         tag == Tag::kDdfMIME || tag == Tag::kDdfDDFName || tag == Tag::kDdfACL;
}

size_t NumberSize(size_t number) {
  size_t size = 1;
  for (; number >= 0x80; number >>= 7) ++size;
  return size;
}

}  // namespace

WbxmlWriter::WbxmlWriter(WbxmlDialect dialect) : dialect_(dialect) {}

void WbxmlWriter::PutHeader(absl::string_view table) {
  Put(wbxml::kVersion13);
  const bool is_ddf = dialect_ == WbxmlDialect::kDdf;
  PutNumber(is_ddf ? wbxml::kPublicIdInTable : wbxml::kPublicIdSyncMl12);
  if (is_ddf) PutNumber(0);  // at this index
  PutNumber(wbxml::kCharsetUtf8);
  PutNumber(static_cast<uint32_t>(table.size()));
  octets_.append(table.data(), table.size());
}

void WbxmlWriter::NoteUse(absl::string_view text) {
  const auto known =
      std::ranges::find_if(shared_, [text](const Shared& shared) { return shared.text == text; });
  if (known != shared_.end()) {
    known->uses.push_back(octets_.size());
  } else if (shared_.size() < kMostShared) {
    shared_.push_back({.text = std::string(text), .uses = {octets_.size()}});
  }
}

// The texts that are shorter by being shared; none if all of them save too little.
std::vector<WbxmlWriter::Shared> WbxmlWriter::WorthSharing() {
  // Those used most get the shortest indices.
  std::ranges::stable_sort(
      shared_, [](const Shared& a, const Shared& b) { return a.uses.size() > b.uses.size(); });
  size_t table = dialect_ == WbxmlDialect::kDdf ? wbxml::kDdf12Name.size() + 1 : 0;
  size_t saving = 0;
  std::vector<Shared> worth;
  for (Shared& shared : shared_) {
    const size_t inline_size = shared.uses.size() * (shared.text.size() + 2);
    const size_t shared_size =
        shared.uses.size() * (1 + NumberSize(table)) + shared.text.size() + 1;
    if (shared_size >= inline_size) continue;
    saving += inline_size - shared_size;
    shared.index = table;
    table += shared.text.size() + 1;
    worth.push_back(std::move(shared));
  }
  if (saving < kLeastSaving) worth.clear();
  return worth;
}

std::string WbxmlWriter::Finish() && {
  const std::vector<Shared> shared = WorthSharing();
  std::string table;
  if (dialect_ == WbxmlDialect::kDdf) {
    table.append(wbxml::kDdf12Name.data(), wbxml::kDdf12Name.size());
    table.push_back('\0');
  }
  std::vector<std::pair<size_t, const Shared*>> uses;
  for (const Shared& one : shared) {
    table.append(one.text);
    table.push_back('\0');
    for (const size_t offset : one.uses) uses.emplace_back(offset, &one);
  }
  std::ranges::sort(uses);
  const std::string body = std::move(octets_);
  octets_.clear();
  octets_.reserve(body.size() + table.size() + 16);
  PutHeader(table);
  size_t copied = 0;
  for (const auto& [offset, one] : uses) {
    octets_.append(body, copied, offset - copied);
    Put(wbxml::kStrT);
    PutNumber(static_cast<uint32_t>(one->index));
    copied = offset + one->text.size() + 2;  // STR_I and NUL
  }
  octets_.append(body, copied);
  return std::move(octets_);
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
  if (HoldsSharedText(tag)) NoteUse(text);
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
