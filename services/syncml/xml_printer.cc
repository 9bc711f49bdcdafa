// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/xml_printer.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "services/syncml/xml_text.h"

namespace virmo::syncml {

void XmlPrinter::NewLine(size_t level) {
  out_.push_back('\n');
  out_.append(level * 2, ' ');
}

// Text before a child, or after the last one.
void XmlPrinter::FlushText(Open& open, bool at_end) {
  if (open.layout == Layout::kExact) {
    AppendEscapedXml(open.text, out_);
  } else {
    const absl::string_view text = absl::StripAsciiWhitespace(open.text);
    if (!text.empty()) {
      NewLine(open_.size());
      AppendEscapedXml(text, out_);
    }
    NewLine(at_end ? open_.size() - 1 : open_.size());
  }
  open.text.clear();
}

void XmlPrinter::Start(absl::string_view name, absl::string_view attributes, Layout layout) {
  if (open_.empty()) {
    NewLine(0);
  } else {
    Open& parent = open_.back();
    if (!parent.has_child) out_.push_back('>');
    parent.has_child = true;
    FlushText(parent, /*at_end=*/false);
  }
  absl::StrAppend(&out_, "<", name, attributes);
  open_.push_back({.name = std::string(name), .layout = layout});
}

void XmlPrinter::Text(absl::string_view text) {
  if (!open_.empty()) open_.back().text.append(text.data(), text.size());
}

void XmlPrinter::End() {
  Open& open = open_.back();
  const bool is_blank =
      open.layout == Layout::kIndented && absl::StripAsciiWhitespace(open.text).empty();
  if (open.has_child) {
    FlushText(open, /*at_end=*/true);
    absl::StrAppend(&out_, "</", open.name, ">");
  } else if (open.text.empty() || is_blank) {
    out_.append("/>");
  } else {
    out_.push_back('>');
    AppendEscapedXml(open.text, out_);
    absl::StrAppend(&out_, "</", open.name, ">");
  }
  open_.pop_back();
}

}  // namespace virmo::syncml
