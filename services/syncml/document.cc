// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/document.h"

#include "absl/strings/str_cat.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/xml_text.h"

namespace virmo::syncml {
namespace {

// Elements whose character data means something.
bool HoldsText(Tag tag) {
  switch (tag) {
    case Tag::kCmd:
    case Tag::kCmdID:
    case Tag::kCmdRef:
    case Tag::kCorrelator:
    case Tag::kData:
    case Tag::kLocName:
    case Tag::kLocURI:
    case Tag::kMsgID:
    case Tag::kMsgRef:
    case Tag::kRespURI:
    case Tag::kSessionID:
    case Tag::kSourceRef:
    case Tag::kTargetRef:
    case Tag::kVerDTD:
    case Tag::kVerProto:
    case Tag::kFormat:
    case Tag::kType:
    case Tag::kMark:
    case Tag::kSize:
    case Tag::kNextNonce:
    case Tag::kMaxMsgSize:
    case Tag::kMaxObjSize:
      return true;
    default:
      return false;
  }
}

// Elements whose children are commands.
bool HoldsCommands(Tag tag) {
  return tag == Tag::kSyncBody || tag == Tag::kAtomic || tag == Tag::kSequence;
}

}  // namespace

absl::Status DocumentBuilder::Start(Tag tag, absl::string_view name) {
  RETURN_IF_ERROR(CountElement());
  const bool is_command = !open_.empty() && HoldsCommands(open_.back().tag);
  if (skipped_depth_ > 0 || (tag == Tag::kUnknown && !is_command && !open_.empty()) ||
      (!open_.empty() && HoldsText(open_.back().tag))) {
    ++skipped_depth_;
    return absl::OkStatus();
  }
  AddNode(tag);
  if (tag != Tag::kUnknown) return absl::OkStatus();
  if (!IsXmlText(name)) {
    return absl::InvalidArgumentError("element with a name that XML cannot hold");
  }
  document_.nodes_.back().text_size = static_cast<uint32_t>(name.size());
  document_.texts_.append(name.data(), name.size());
  return CheckText();
}

absl::Status DocumentBuilder::Text(absl::string_view text) {
  if (!wants_text()) return absl::OkStatus();
  CloseMarkupTag();
  if (markup_seen_) {
    AppendEscapedXml(text, document_.texts_);
  } else {
    document_.texts_.append(text.data(), text.size());
  }
  return CheckText();
}

absl::Status DocumentBuilder::End() {
  if (skipped_depth_ > 0) {
    --skipped_depth_;
    return absl::OkStatus();
  }
  if (!markup_.empty()) return EndMarkup();
  Document::Node& node = document_.nodes_[open_.back().node];
  if (HoldsText(node.tag)) {
    node.text_size = static_cast<uint32_t>(document_.texts_.size()) - node.text_begin;
    // XML cannot bring such text, WBXML can. Data may be binary, names and codes may not.
    if (node.tag != Tag::kData && !IsXmlText(document_.Text(node))) {
      return absl::InvalidArgumentError(
          absl::StrCat(NameOf(node.tag), " holds octets that are not text"));
    }
  }
  open_.pop_back();
  markup_seen_ = false;
  return absl::OkStatus();
}

bool DocumentBuilder::wants_text() const {
  return skipped_depth_ == 0 && !open_.empty() && HoldsText(open_.back().tag);
}

bool DocumentBuilder::in_data() const {
  return skipped_depth_ == 0 && !open_.empty() && open_.back().tag == Tag::kData;
}

absl::Status DocumentBuilder::StartMarkup(absl::string_view name, absl::string_view attributes) {
  RETURN_IF_ERROR(CountElement());
  std::string& texts = document_.texts_;
  if (!markup_seen_) {
    // What came before was taken for plain text.
    const uint32_t begin = document_.nodes_[open_.back().node].text_begin;
    const std::string before = texts.substr(begin);
    texts.resize(begin);
    AppendEscapedXml(before, texts);
    markup_seen_ = true;
  }
  CloseMarkupTag();
  absl::StrAppend(&texts, "<", name, attributes);
  markup_tag_open_ = true;
  markup_.emplace_back(name);
  return CheckText();
}

void DocumentBuilder::CloseMarkupTag() {
  if (markup_tag_open_) document_.texts_.push_back('>');
  markup_tag_open_ = false;
}

absl::Status DocumentBuilder::EndMarkup() {
  if (markup_tag_open_) {
    absl::StrAppend(&document_.texts_, "/>");
  } else {
    absl::StrAppend(&document_.texts_, "</", markup_.back(), ">");
  }
  markup_tag_open_ = false;
  markup_.pop_back();
  return CheckText();
}

absl::Status DocumentBuilder::CountElement() {
  if (++elements_ > limits_.max_elements) {
    return absl::ResourceExhaustedError(
        absl::StrCat("more than ", limits_.max_elements, " elements"));
  }
  const size_t depth = open_.size() + markup_.size() + static_cast<size_t>(skipped_depth_);
  if (depth >= static_cast<size_t>(limits_.max_depth)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("elements nested deeper than ", limits_.max_depth));
  }
  return absl::OkStatus();
}

absl::Status DocumentBuilder::CheckText() const {
  if (document_.texts_.size() <= limits_.max_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("more than ", limits_.max_bytes, " octets of text"));
}

void DocumentBuilder::AddNode(Tag tag) {
  const auto index = static_cast<uint32_t>(document_.nodes_.size());
  if (!open_.empty()) {
    Open& parent = open_.back();
    if (parent.last_child == 0) {
      document_.nodes_[parent.node].first_child = index;
    } else {
      document_.nodes_[parent.last_child].next_sibling = index;
    }
    parent.last_child = index;
  }
  document_.nodes_.push_back({.tag = tag,
                              .text_begin = static_cast<uint32_t>(document_.texts_.size()),
                              .position = position_});
  open_.push_back({.tag = tag, .node = index});
}

}  // namespace virmo::syncml
