// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/wbxml_scanner.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/wbxml_token.h"

namespace virmo::syncml {
namespace {

constexpr size_t kMaxPublicIdSize = 64;
constexpr int kMaxNumberOctets = 5;

WbxmlDialect DialectOf(uint32_t public_id) {
  switch (public_id) {
    case wbxml::kPublicIdSyncMl10:
    case wbxml::kPublicIdSyncMl11:
    case wbxml::kPublicIdSyncMl12:
      return WbxmlDialect::kSyncMl;
    default:
      return WbxmlDialect::kUnknown;
  }
}

WbxmlDialect DialectOf(absl::string_view public_id) {
  if (absl::StartsWith(public_id, wbxml::kSyncMlName)) return WbxmlDialect::kSyncMl;
  if (absl::StartsWith(public_id, wbxml::kDdfName)) return WbxmlDialect::kDdf;
  return WbxmlDialect::kUnknown;
}

}  // namespace

absl::Status WbxmlScanner::Error(absl::string_view what) const {
  return absl::InvalidArgumentError(absl::StrCat("octet ", at_, ": ", what));
}

absl::StatusOr<absl::string_view> WbxmlScanner::Take(size_t size) {
  if (size > octets_.size() - at_) {
    return Error(absl::StrCat(size, " octets wanted, ", octets_.size() - at_, " left"));
  }
  const absl::string_view taken = octets_.substr(at_, size);
  at_ += size;
  return taken;
}

absl::StatusOr<uint8_t> WbxmlScanner::TakeOctet() {
  if (at_end()) return Error("the document ends too early");
  return static_cast<uint8_t>(octets_[at_++]);
}

absl::StatusOr<uint32_t> WbxmlScanner::TakeNumber() {
  uint64_t number = 0;
  for (int i = 0; i < kMaxNumberOctets; ++i) {
    ASSIGN_OR_RETURN(const uint8_t octet, TakeOctet());
    number = number << 7 | (octet & 0x7FU);
    if ((octet & 0x80U) != 0) continue;
    if (number > UINT32_MAX) break;
    return static_cast<uint32_t>(number);
  }
  return Error("a number does not fit 32 bits");
}

absl::StatusOr<absl::string_view> WbxmlScanner::TakeString() {
  const size_t end = octets_.find('\0', at_);
  if (end == absl::string_view::npos) return Error("an inline string has no end");
  const absl::string_view text = octets_.substr(at_, end - at_);
  at_ = end + 1;
  return text;
}

absl::StatusOr<absl::string_view> WbxmlScanner::TakeOpaque() {
  ASSIGN_OR_RETURN(const uint32_t size, TakeNumber());
  return Take(size);
}

absl::StatusOr<uint32_t> WbxmlScanner::TakeTableIndex() {
  ASSIGN_OR_RETURN(const uint32_t index, TakeNumber());
  if (index >= table_.size()) {
    return Error(absl::StrCat("string ", index, " is outside the string table of ", table_.size(),
                              " octets"));
  }
  return index;
}

absl::string_view WbxmlScanner::TableString(uint32_t index, size_t max_size) const {
  const absl::string_view window = table_.substr(index, max_size);
  return window.substr(0, window.find('\0'));
}

absl::StatusOr<WbxmlDialect> WbxmlScanner::ReadHeader() {
  ASSIGN_OR_RETURN(const uint8_t version, TakeOctet());
  if (version >> 4 != 0) return Error("not WBXML 1.x");
  ASSIGN_OR_RETURN(const uint32_t public_id, TakeNumber());
  uint32_t name_index = 0;
  if (public_id == wbxml::kPublicIdInTable) {
    ASSIGN_OR_RETURN(name_index, TakeNumber());
  }
  ASSIGN_OR_RETURN(const uint32_t charset, TakeNumber());
  if (charset != wbxml::kCharsetUtf8 && charset != wbxml::kCharsetAscii &&
      charset != wbxml::kCharsetUnknown) {
    return Error(absl::StrCat("charset ", charset, " is not UTF-8 (106)"));
  }
  ASSIGN_OR_RETURN(table_, TakeOpaque());
  if (public_id != wbxml::kPublicIdInTable) return DialectOf(public_id);
  if (name_index >= table_.size()) return Error("the public id is outside the string table");
  return DialectOf(TableString(name_index, kMaxPublicIdSize));
}

absl::Status WbxmlScanner::SkipAttributes() {
  while (true) {
    ASSIGN_OR_RETURN(const uint8_t token, TakeOctet());
    if (token == wbxml::kEnd) return absl::OkStatus();
    RETURN_IF_ERROR(SkipAttributePart(token));
  }
}

// Any token but these is an attribute's name or value without operand.
absl::Status WbxmlScanner::SkipAttributePart(uint8_t token) {
  switch (token) {
    case wbxml::kSwitchPage:
      return TakeOctet().status();
    case wbxml::kStrI:
    case wbxml::kExtI0:
    case wbxml::kExtI0 + 1:
    case wbxml::kExtI2:
      return TakeString().status();
    case wbxml::kEntity:
    case wbxml::kLiteral:
    case wbxml::kStrT:
    case wbxml::kExtT0:
    case wbxml::kExtT0 + 1:
    case wbxml::kExtT2:
      return TakeNumber().status();
    case wbxml::kOpaque:
      return TakeOpaque().status();
    default:
      return absl::OkStatus();
  }
}

}  // namespace virmo::syncml
