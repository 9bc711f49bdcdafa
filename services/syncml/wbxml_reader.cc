// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/wbxml_reader.h"

#include <string>
#include <utility>

#include "services/runtime/status_macros.h"
#include "services/syncml/base64.h"
#include "services/syncml/wbxml_parser.h"
#include "services/syncml/wbxml_token.h"
#include "services/syncml/xml_text.h"

namespace virmo::syncml {
namespace {

class Reader : public WbxmlHandler {
 public:
  explicit Reader(const Limits& limits) : builder_(limits) {}

  absl::Status OnDialect(WbxmlDialect dialect) override {
    if (dialect != WbxmlDialect::kDdf) return absl::OkStatus();
    return absl::InvalidArgumentError("a DDF document is no SyncML message");
  }

  absl::Status OnStart(const WbxmlElement& element) override {
    builder_.SetPosition(element.octet);
    if (builder_.in_data()) return OnStartInData(element);
    if (element.is_literal()) {
      // A literal that spells a known name means that element.
      return builder_.Start(TagOf(element.literal), element.literal);
    }
    const Tag tag = TagOf(element.page, element.code);
    if (tag != Tag::kUnknown) return builder_.Start(tag, {});
    return builder_.Start(tag, NameOf(element, WbxmlDialect::kSyncMl));
  }

  absl::Status OnText(absl::string_view text) override { return builder_.Text(text); }

  absl::Status OnOctets(absl::string_view octets) override {
    if (!builder_.wants_text()) return absl::OkStatus();
    const bool is_nonce = builder_.innermost() == Tag::kNextNonce;
    const bool is_binary_value = builder_.in_markup() && !IsXmlText(octets);
    return is_nonce || is_binary_value ? builder_.Text(Base64Encode(octets))
                                       : builder_.Text(octets);
  }

  absl::Status OnEnd() override { return builder_.End(); }
  bool wants_text() const override { return builder_.wants_text(); }

  Document Finish() && { return std::move(builder_).Finish(); }

 private:
  absl::Status OnStartInData(const WbxmlElement& element) {
    const std::string name = NameOf(element, WbxmlDialect::kSyncMl);
    if (!IsXmlName(name)) return builder_.Start(Tag::kUnknown, name);
    absl::string_view attributes;
    if (!builder_.in_markup() && !element.is_literal()) {
      if (element.page == wbxml::kPageMetInf) attributes = " xmlns=\"syncml:metinf\"";
      if (element.page == wbxml::kPageDdf) attributes = " xmlns=\"syncml:dmddf1.2\"";
    }
    return builder_.StartMarkup(name, attributes);
  }

  DocumentBuilder builder_;
};

}  // namespace

absl::StatusOr<Document> ReadWbxml(absl::string_view octets, const Limits& limits) {
  Reader reader(limits);
  RETURN_IF_ERROR(ParseWbxml(octets, limits, reader));
  return std::move(reader).Finish();
}

}  // namespace virmo::syncml
