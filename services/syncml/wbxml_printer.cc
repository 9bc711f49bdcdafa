// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/wbxml_printer.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/syncml/base64.h"
#include "services/syncml/codec.h"
#include "services/syncml/wbxml_token.h"
#include "services/syncml/xml_text.h"

namespace virmo::syncml {
namespace {

constexpr int kSyncMl = 0;
constexpr int kMetInf = 1;
constexpr int kDdf = 2;

int SpaceOf(const WbxmlElement& element, WbxmlDialect dialect) {
  if (IsDdf(element, dialect)) return kDdf;
  return element.page == wbxml::kPageMetInf && !element.is_literal() ? kMetInf : kSyncMl;
}

}  // namespace

absl::Status WbxmlPrinter::OnDialect(WbxmlDialect dialect) {
  dialect_ = dialect;
  return absl::OkStatus();
}

bool WbxmlPrinter::IsInside(absl::string_view name) const {
  return std::ranges::any_of(open_, [name](const Open& open) { return open.name == name; });
}

std::string WbxmlPrinter::Attributes(int space) const {
  constexpr absl::string_view kNames[] = {"SYNCML:SYNCML1.2", "syncml:metinf", "syncml:dmddf1.2"};
  const bool changes = open_.empty() || open_.back().space != space;
  return changes ? absl::StrCat(" xmlns=\"", kNames[space], "\"") : "";
}

absl::Status WbxmlPrinter::OnStart(const WbxmlElement& element) {
  const std::string name = NameOf(element, dialect_);
  if (!IsXmlName(name)) {
    return absl::InvalidArgumentError("a literal tag whose name XML cannot hold");
  }
  if (open_.empty()) root_ = name;
  if (name == "DFProperties") has_df_properties_ = true;
  const int space = SpaceOf(element, dialect_);
  if (space == kDdf && !open_.empty() && open_.back().name == "Format") format_ = name;
  if (name == "Item") format_ = command_format_;
  if (name == "Node") format_.clear();
  const bool is_command = root_ == "SyncML" && !open_.empty() &&
                          (open_.back().name == "SyncBody" || open_.back().name == "Atomic" ||
                           open_.back().name == "Sequence");
  if (is_command && name != "Meta" && name != "CmdID") {
    format_.clear();
    command_format_.clear();
  }
  text_.clear();
  const bool is_value = name == "Data" || (space == kDdf && name == "Value");
  const bool is_exact =
      is_value || (out_.layout() == XmlPrinter::Layout::kExact && name != "MgmtTree");
  out_.Start(name, Attributes(space),
             is_exact ? XmlPrinter::Layout::kExact : XmlPrinter::Layout::kIndented);
  open_.push_back({.name = name, .space = space});
  return absl::OkStatus();
}

absl::Status WbxmlPrinter::OnText(absl::string_view text) {
  out_.Text(text);
  if (!open_.empty() && open_.back().name == "Format") text_.append(text.data(), text.size());
  return absl::OkStatus();
}

// A whole document within Data, most likely TNDS.
bool WbxmlPrinter::ShowDocument(absl::string_view octets) {
  if (Sniff(octets) != Encoding::kWbxml) return false;
  Limits inner = WithinReason(octets, limits_);
  inner.max_bytes = std::min(inner.max_bytes, room_);
  inner.max_depth -= static_cast<int>(open_.size());
  XmlPrinter scratch;
  WbxmlPrinter trial(inner, scratch);
  // Only a DDF or TNDS document, which holds no further ones, so that this ends.
  if (!ParseWbxml(octets, inner, trial).ok() || trial.root() != "MgmtTree") return false;
  room_ -= std::min(room_, std::move(scratch).Finish().size());
  WbxmlPrinter printer(inner, out_);
  return ParseWbxml(octets, inner, printer).ok();
}

absl::Status WbxmlPrinter::OnOctets(absl::string_view octets) {
  const std::string name = open_.empty() ? "" : open_.back().name;
  const bool is_value = name == "Data" || name == "Value";
  if (name == "Data" && dialect_ != WbxmlDialect::kDdf && ShowDocument(octets)) {
    return absl::OkStatus();
  }
  const bool is_binary = is_value && absl::EqualsIgnoreCase(format_, "bin");
  if (is_binary || name == "NextNonce" || !IsXmlText(octets)) {
    out_.Text(Base64Encode(octets));
    return absl::OkStatus();
  }
  return OnText(octets);
}

// Format of a command counts for its items, but not the other way round.
void WbxmlPrinter::NoteFormat() {
  if (open_.back().name != "Format" || open_.back().space != kMetInf) return;
  format_ = std::string(absl::StripAsciiWhitespace(text_));
  if (!IsInside("Item")) command_format_ = format_;
}

absl::Status WbxmlPrinter::OnEnd() {
  NoteFormat();
  open_.pop_back();
  out_.End();
  return absl::OkStatus();
}

}  // namespace virmo::syncml
