// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/xml_reader.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/xml_parser.h"
#include "services/syncml/xml_text.h"

namespace virmo::syncml {
namespace {

std::string AttributesAsText(const char* const* attributes) {
  std::string text;
  for (; *attributes != nullptr; attributes += 2) {
    absl::StrAppend(&text, " ", attributes[0], "=\"");
    AppendEscapedAttribute(attributes[1], text);
    text.push_back('"');
  }
  return text;
}

class Reader : public XmlHandler {
 public:
  explicit Reader(const Limits& limits) : builder_(limits) {}

  absl::Status OnStart(absl::string_view name, const char* const* attributes) override {
    in_ddf_.push_back(IsDdf(attributes));
    if (builder_.in_data()) return builder_.StartMarkup(name, AttributesAsText(attributes));
    const absl::string_view local = LocalName(name);
    builder_.SetPosition(position());
    // Of DDF's elements some are named as SyncML's are. They mean nothing here, nor in WBXML.
    return builder_.Start(in_ddf_.back() ? Tag::kUnknown : TagOf(local), local);
  }
  absl::Status OnText(absl::string_view text) override { return builder_.Text(text); }
  absl::Status OnEnd(absl::string_view) override {
    in_ddf_.pop_back();
    return builder_.End();
  }

  Document Finish() && { return std::move(builder_).Finish(); }

 private:
  // Whether the default namespace of an element with these attributes is that of DDF.
  bool IsDdf(const char* const* attributes) const {
    for (; *attributes != nullptr; attributes += 2) {
      if (absl::string_view(attributes[0]) != "xmlns") continue;
      return absl::StartsWithIgnoreCase(attributes[1], "syncml:dmddf");
    }
    return !in_ddf_.empty() && in_ddf_.back();
  }

  std::vector<bool> in_ddf_;  // of each open element
  DocumentBuilder builder_;
};

}  // namespace

absl::StatusOr<Document> ReadXml(absl::string_view octets, const Limits& limits) {
  Reader reader(limits);
  RETURN_IF_ERROR(ParseXml(octets, limits, reader));
  return std::move(reader).Finish();
}

}  // namespace virmo::syncml
