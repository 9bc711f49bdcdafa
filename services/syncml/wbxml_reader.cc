// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/wbxml_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/base64.h"
#include "services/syncml/wbxml_scanner.h"
#include "services/syncml/wbxml_token.h"
#include "services/syncml/xml_text.h"

namespace virmo::syncml {
namespace {

constexpr size_t kMaxLiteralSize = 256;

// Whether a literal can stand as an element's name in XML text.
bool IsElementName(absl::string_view name) {
  const auto is_inner = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.';
  };
  return !name.empty() &&
         (absl::ascii_isalpha(static_cast<unsigned char>(name[0])) || name[0] == '_') &&
         std::ranges::all_of(name, is_inner);
}

// Tells a builder what the octets say, element by element, without recursion.
class Parser {
 public:
  Parser(absl::string_view octets, const Limits& limits, DocumentBuilder& builder)
      : scanner_(octets), limits_(limits), builder_(builder) {}

  absl::Status ParseSyncMl();
  absl::Status ParseTnds();

 private:
  absl::Status ParseRoot();
  absl::Status OnToken(uint8_t token);
  absl::Status OnTag(uint8_t token);
  absl::Status StartElement(Tag tag, absl::string_view name);
  absl::Status EndElement();
  absl::Status OnEntity();
  absl::Status OnTableString();
  absl::Status OnOpaque();
  absl::Status AddText(absl::string_view text);

  absl::StatusOr<std::string> NameOfTag(uint8_t token);
  absl::Status AtPosition(const absl::Status& status) const;

  WbxmlScanner scanner_;
  const Limits& limits_;
  DocumentBuilder& builder_;
  bool is_tnds_ = false;
  int page_ = 0;
  int depth_ = 0;
};

// The builder's errors have no position yet, the scanner's do.
absl::Status Parser::AtPosition(const absl::Status& status) const {
  if (status.ok()) return status;
  return absl::Status(status.code(), scanner_.Error(status.message()).message());
}

absl::Status Parser::ParseSyncMl() {
  ASSIGN_OR_RETURN(const WbxmlDialect dialect, scanner_.ReadHeader());
  if (dialect == WbxmlDialect::kDdf) return scanner_.Error("a DDF document is no SyncML message");
  return ParseRoot();
}

absl::Status Parser::ParseTnds() {
  ASSIGN_OR_RETURN(const WbxmlDialect dialect, scanner_.ReadHeader());
  is_tnds_ = dialect != WbxmlDialect::kSyncMl;
  // All of it is markup, as it would be within an Item's Data.
  RETURN_IF_ERROR(AtPosition(builder_.Start(Tag::kData, "Data")));
  RETURN_IF_ERROR(ParseRoot());
  return AtPosition(builder_.End());
}

absl::Status Parser::ParseRoot() {
  bool has_root = false;
  while (!has_root || depth_ > 0) {
    ASSIGN_OR_RETURN(const uint8_t token, scanner_.TakeOctet());
    const bool is_tag = (token & wbxml::kTokenMask) >= wbxml::kLiteral;
    if (depth_ == 0 && !is_tag && token != wbxml::kSwitchPage && token != wbxml::kPi) {
      return scanner_.Error("content outside the outermost element");
    }
    has_root = has_root || is_tag;
    RETURN_IF_ERROR(OnToken(token));
  }
  while (!scanner_.at_end()) {
    ASSIGN_OR_RETURN(const uint8_t token, scanner_.TakeOctet());
    if (token != wbxml::kPi) return scanner_.Error("content after the outermost element");
    RETURN_IF_ERROR(scanner_.SkipAttributes());
  }
  return absl::OkStatus();
}

absl::Status Parser::OnToken(uint8_t token) {
  switch (token) {
    case wbxml::kSwitchPage: {
      ASSIGN_OR_RETURN(page_, scanner_.TakeOctet());
      return absl::OkStatus();
    }
    case wbxml::kEnd:
      return EndElement();
    case wbxml::kEntity:
      return OnEntity();
    case wbxml::kStrI: {
      ASSIGN_OR_RETURN(const absl::string_view text, scanner_.TakeString());
      return AddText(text);
    }
    case wbxml::kStrT:
      return OnTableString();
    case wbxml::kOpaque:
      return OnOpaque();
    case wbxml::kPi:
      return scanner_.SkipAttributes();
    case wbxml::kExtI0:
    case wbxml::kExtI0 + 1:
    case wbxml::kExtI2:
      return scanner_.TakeString().status();
    case wbxml::kExtT0:
    case wbxml::kExtT0 + 1:
    case wbxml::kExtT2:
      return scanner_.TakeNumber().status();
    case wbxml::kExt0:
    case wbxml::kExt0 + 1:
    case wbxml::kExt2:
      return absl::OkStatus();
    default:
      return OnTag(token);
  }
}

// The element's name; of a tag that no table has, one made of its page and token.
absl::StatusOr<std::string> Parser::NameOfTag(uint8_t token) {
  const uint8_t code = token & wbxml::kTokenMask;
  if (code == wbxml::kLiteral) {
    ASSIGN_OR_RETURN(const uint32_t index, scanner_.TakeTableIndex());
    return std::string(scanner_.TableString(index, kMaxLiteralSize));
  }
  absl::string_view name = NameOf(TagOf(page_, code));
  if (page_ == wbxml::kPageDdf || (is_tnds_ && page_ == 0)) name = DdfName(code);
  return name.empty() ? absl::StrCat("wbxml-tag-", absl::Hex(page_, absl::kZeroPad2), "-",
                                     absl::Hex(code, absl::kZeroPad2))
                      : std::string(name);
}

absl::Status Parser::OnTag(uint8_t token) {
  const bool is_literal = (token & wbxml::kTokenMask) == wbxml::kLiteral;
  const bool is_ours = !is_literal && !builder_.in_data();
  const Tag tag = is_ours ? TagOf(page_, token & wbxml::kTokenMask) : Tag::kUnknown;
  std::string name;
  if (tag == Tag::kUnknown) {
    ASSIGN_OR_RETURN(name, NameOfTag(token));
  }
  ++depth_;
  // A literal that spells a known name means that element.
  RETURN_IF_ERROR(StartElement(is_literal ? TagOf(name) : tag, name));
  if ((token & wbxml::kHasAttributes) != 0) RETURN_IF_ERROR(scanner_.SkipAttributes());
  return (token & wbxml::kHasContent) != 0 ? absl::OkStatus() : EndElement();
}

absl::Status Parser::StartElement(Tag tag, absl::string_view name) {
  if (!builder_.in_data() || !IsElementName(name)) {
    return AtPosition(builder_.Start(builder_.in_data() ? Tag::kUnknown : tag, name));
  }
  absl::string_view attributes;
  if (!builder_.in_markup()) {
    if (page_ == wbxml::kPageMetInf) attributes = " xmlns=\"syncml:metinf\"";
    if (page_ == wbxml::kPageDdf || is_tnds_) attributes = " xmlns=\"syncml:dmddf1.2\"";
  }
  return AtPosition(builder_.StartMarkup(name, attributes));
}

absl::Status Parser::EndElement() {
  --depth_;
  return AtPosition(builder_.End());
}

absl::Status Parser::AddText(absl::string_view text) { return AtPosition(builder_.Text(text)); }

absl::Status Parser::OnEntity() {
  ASSIGN_OR_RETURN(const uint32_t code, scanner_.TakeNumber());
  if (code == 0 || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
    return scanner_.Error(absl::StrCat("entity ", code, " is no character"));
  }
  std::string character;
  AppendUtf8(code, character);
  return AddText(character);
}

absl::Status Parser::OnTableString() {
  ASSIGN_OR_RETURN(const uint32_t index, scanner_.TakeTableIndex());
  // Looking for the end costs time, so not where nobody asks for the string.
  if (!builder_.wants_text()) return absl::OkStatus();
  return AddText(scanner_.TableString(index, limits_.max_bytes));
}

absl::Status Parser::OnOpaque() {
  ASSIGN_OR_RETURN(const absl::string_view octets, scanner_.TakeOpaque());
  if (!builder_.wants_text()) return absl::OkStatus();
  const bool is_nonce = builder_.innermost() == Tag::kNextNonce;
  const bool is_binary_value = builder_.in_markup() && !IsXmlText(octets);
  return AddText(is_nonce || is_binary_value ? Base64Encode(octets) : std::string(octets));
}

absl::Status CheckSize(absl::string_view octets, const Limits& limits) {
  if (octets.size() <= limits.max_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("document of ", octets.size(), " octets, the limit is ", limits.max_bytes));
}

}  // namespace

absl::StatusOr<Document> ReadWbxml(absl::string_view octets, const Limits& limits) {
  RETURN_IF_ERROR(CheckSize(octets, limits));
  DocumentBuilder builder(limits);
  RETURN_IF_ERROR(Parser(octets, limits, builder).ParseSyncMl());
  return std::move(builder).Finish();
}

absl::StatusOr<std::string> ReadWbxmlTnds(absl::string_view octets, const Limits& limits) {
  RETURN_IF_ERROR(CheckSize(octets, limits));
  DocumentBuilder builder(limits);
  RETURN_IF_ERROR(Parser(octets, limits, builder).ParseTnds());
  const Document document = std::move(builder).Finish();
  return std::string(document.Text(document.root()));
}

}  // namespace virmo::syncml
