// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/wbxml_parser.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/tag.h"
#include "services/syncml/wbxml_token.h"
#include "services/syncml/xml_text.h"

namespace virmo::syncml {
namespace {

constexpr size_t kMaxLiteralSize = 256;

// An ACL of 200 octets for each node, by way of the string table, comes to half of that.
constexpr size_t kMaxTextPerOctet = 32;

class Parser {
 public:
  Parser(absl::string_view octets, const Limits& limits, WbxmlHandler& handler)
      : scanner_(octets), limits_(limits), handler_(handler) {}

  absl::Status Run();
  absl::Status CheckEnd() const;
  size_t position() const { return scanner_.position(); }

 private:
  absl::Status OnToken(uint8_t token);
  absl::Status OnTag(uint8_t token);
  absl::Status CountElement();
  absl::Status OnEntity();
  absl::Status OnTableString();
  absl::Status OnOpaque();
  absl::Status AddText(absl::string_view text);
  absl::Status AtPosition(const absl::Status& status) const;

  WbxmlScanner scanner_;
  const Limits& limits_;
  WbxmlHandler& handler_;
  int page_ = 0;
  int depth_ = 0;
  size_t elements_ = 0;
  size_t text_ = 0;
};

// The handler's errors have no position yet, the scanner's do.
absl::Status Parser::AtPosition(const absl::Status& status) const {
  if (status.ok()) return status;
  return absl::Status(status.code(), scanner_.Error(status.message()).message());
}

absl::Status Parser::Run() {
  ASSIGN_OR_RETURN(const WbxmlDialect dialect, scanner_.ReadHeader());
  RETURN_IF_ERROR(AtPosition(handler_.OnDialect(dialect)));
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
  while (scanner_.next_is(wbxml::kPi)) {
    RETURN_IF_ERROR(scanner_.TakeOctet().status());
    RETURN_IF_ERROR(scanner_.SkipAttributes());
  }
  return absl::OkStatus();
}

absl::Status Parser::CheckEnd() const {
  return scanner_.at_end() ? absl::OkStatus()
                           : scanner_.Error("content after the outermost element");
}

absl::Status Parser::OnToken(uint8_t token) {
  switch (token) {
    case wbxml::kSwitchPage: {
      ASSIGN_OR_RETURN(page_, scanner_.TakeOctet());
      return absl::OkStatus();
    }
    case wbxml::kEnd:
      --depth_;
      return AtPosition(handler_.OnEnd());
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

absl::Status Parser::CountElement() {
  if (++elements_ > limits_.max_elements) {
    return AtPosition(absl::ResourceExhaustedError(
        absl::StrCat("more than ", limits_.max_elements, " elements")));
  }
  if (++depth_ > limits_.max_depth) {
    return AtPosition(absl::ResourceExhaustedError(
        absl::StrCat("elements nested deeper than ", limits_.max_depth)));
  }
  return absl::OkStatus();
}

absl::Status Parser::OnTag(uint8_t token) {
  WbxmlElement element = {.page = page_,
                          .code = static_cast<uint8_t>(token & wbxml::kTokenMask),
                          .octet = scanner_.position() - 1};
  if (element.code == wbxml::kLiteral) {
    ASSIGN_OR_RETURN(const uint32_t index, scanner_.TakeTableIndex());
    element.literal = scanner_.TableString(index, kMaxLiteralSize);
    if (element.literal.empty()) return scanner_.Error("a literal tag has no name");
  }
  RETURN_IF_ERROR(CountElement());
  RETURN_IF_ERROR(AtPosition(handler_.OnStart(element)));
  if ((token & wbxml::kHasAttributes) != 0) RETURN_IF_ERROR(scanner_.SkipAttributes());
  if ((token & wbxml::kHasContent) != 0) return absl::OkStatus();
  --depth_;
  return AtPosition(handler_.OnEnd());
}

// A string of the table can be named any number of times.
absl::Status Parser::AddText(absl::string_view text) {
  text_ += text.size();
  if (text_ > limits_.max_bytes) {
    return AtPosition(absl::ResourceExhaustedError(
        absl::StrCat("more than ", limits_.max_bytes, " octets of text")));
  }
  return AtPosition(handler_.OnText(text));
}

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
  if (!handler_.wants_text()) return absl::OkStatus();
  return AddText(scanner_.TableString(index, limits_.max_bytes));
}

absl::Status Parser::OnOpaque() {
  ASSIGN_OR_RETURN(const absl::string_view octets, scanner_.TakeOpaque());
  return AtPosition(handler_.OnOctets(octets));
}

}  // namespace

bool IsDdf(const WbxmlElement& element, WbxmlDialect dialect) {
  return !element.is_literal() &&
         (element.page == wbxml::kPageDdf || (element.page == 0 && dialect == WbxmlDialect::kDdf));
}

std::string NameOf(const WbxmlElement& element, WbxmlDialect dialect) {
  if (element.is_literal()) return std::string(element.literal);
  const absl::string_view name =
      IsDdf(element, dialect) ? DdfName(element.code) : NameOf(TagOf(element.page, element.code));
  if (!name.empty()) return std::string(name);
  return absl::StrCat("wbxml-tag-", absl::Hex(element.page, absl::kZeroPad2), "-",
                      absl::Hex(element.code, absl::kZeroPad2));
}

absl::Status ParseWbxml(absl::string_view octets, const Limits& limits, WbxmlHandler& handler) {
  if (octets.size() > limits.max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("document of ", octets.size(), " octets, the limit is ", limits.max_bytes));
  }
  Parser parser(octets, limits, handler);
  RETURN_IF_ERROR(parser.Run());
  return parser.CheckEnd();
}

Limits WithinReason(absl::string_view octets, const Limits& limits) {
  Limits bounded = limits;
  bounded.max_bytes = std::min(limits.max_bytes, octets.size() * kMaxTextPerOctet);
  return bounded;
}

absl::StatusOr<size_t> ParseFirstWbxml(absl::string_view octets, const Limits& limits,
                                       WbxmlHandler& handler) {
  Parser parser(octets.substr(0, limits.max_bytes), limits, handler);
  RETURN_IF_ERROR(parser.Run());
  return parser.position();
}

}  // namespace virmo::syncml
