// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/xml_text.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "services/syncml/codec.h"

namespace virmo::syncml {
namespace {

constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

unsigned OctetAt(absl::string_view text, size_t at) { return static_cast<unsigned char>(text[at]); }

bool IsXmlAscii(unsigned octet) {
  return octet >= 0x20 || octet == '\t' || octet == '\n' || octet == '\r';
}

bool IsXmlChar(uint32_t code) {
  return code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF) && code != 0xFFFE && code != 0xFFFF;
}

// Octets of the sequence that `lead` starts; 0 if it starts none.
size_t SequenceLength(unsigned lead) {
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

// Octets of the XML character at text[at]; 0 if there is none.
size_t CharacterAt(absl::string_view text, size_t at) {
  const unsigned lead = OctetAt(text, at);
  if (lead < 0x80) return IsXmlAscii(lead) ? 1 : 0;
  const size_t length = SequenceLength(lead);
  if (length == 0 || at + length > text.size()) return 0;
  uint32_t code = lead & (0x7FU >> length);
  for (size_t i = 1; i < length; ++i) {
    const unsigned octet = OctetAt(text, at + i);
    if ((octet & 0xC0U) != 0x80) return 0;
    code = code << 6 | (octet & 0x3FU);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  return code >= kSmallest[length] && IsXmlChar(code) ? length : 0;
}

absl::string_view EscapeOf(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '\r':
      return "&#13;";
    default:
      return "";
  }
}

void Append(absl::string_view piece, std::string& to) { to.append(piece.data(), piece.size()); }

// The octets that stand for themselves in character data: nearly all that we see.
constexpr std::array<bool, 256> kIsPlain = [] {
  std::array<bool, 256> is_plain = {};
  for (size_t octet = 0x20; octet < 0x80; ++octet) is_plain[octet] = true;
  for (const char c : {'\t', '\n'}) is_plain[static_cast<size_t>(c)] = true;
  for (const char c : {'&', '<', '>'}) is_plain[static_cast<size_t>(c)] = false;
  return is_plain;
}();

// Cuts `text` into runs that are taken as they are, told to `plain`, and what is escaped or
// replaced, told to `instead`.
template <typename Plain, typename Instead>
void EscapeXml(absl::string_view text, Plain plain, Instead instead) {
  size_t begin = 0;  // of what can be taken as it is
  for (size_t at = 0; at < text.size();) {
    if (kIsPlain[OctetAt(text, at)]) {
      ++at;
      continue;
    }
    const size_t length = CharacterAt(text, at);
    const absl::string_view escape = length == 0 ? kReplacement : EscapeOf(text[at]);
    if (escape.empty()) {
      at += length;
      continue;
    }
    plain(text.substr(begin, at - begin));
    instead(escape);
    begin = ++at;
  }
  plain(text.substr(begin));
}

}  // namespace

bool IsXmlText(absl::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const unsigned octet = OctetAt(text, at);
    const bool is_plain = octet >= 0x20 && octet < 0x80;  // nearly all that we see
    const size_t length = is_plain ? 1 : CharacterAt(text, at);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

std::string ToXmlText(absl::string_view text) {
  if (IsXmlText(text)) return std::string(text);
  std::string valid;
  for (size_t at = 0; at < text.size();) {
    const size_t length = CharacterAt(text, at);
    Append(length == 0 ? kReplacement : text.substr(at, length), valid);
    at += length == 0 ? 1 : length;
  }
  return valid;
}

void AppendEscapedXml(absl::string_view text, std::string& to) {
  const auto append = [&to](absl::string_view piece) { Append(piece, to); };
  EscapeXml(text, append, append);
}

size_t EscapedXmlSize(absl::string_view text) {
  if (std::ranges::all_of(text, [](char c) { return kIsPlain[static_cast<uint8_t>(c)]; })) {
    return text.size();
  }
  size_t size = 0;
  const auto add = [&size](absl::string_view piece) { size += piece.size(); };
  EscapeXml(text, add, add);
  return size;
}

void AppendEscapedAttribute(absl::string_view text, std::string& to) {
  for (size_t at = 0; at < text.size(); ++at) {
    switch (text[at]) {
      case '"':
        Append("&quot;", to);
        break;
      case '\t':
        Append("&#9;", to);
        break;
      case '\n':
        Append("&#10;", to);
        break;
      default: {
        const size_t length = CharacterAt(text, at);
        AppendEscapedXml(text.substr(at, length == 0 ? 1 : length), to);
        at += length == 0 ? 0 : length - 1;
      }
    }
  }
}

bool IsXmlName(absl::string_view name) {
  const auto is_inner = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.';
  };
  return !name.empty() &&
         (absl::ascii_isalpha(static_cast<unsigned char>(name[0])) || name[0] == '_') &&
         std::ranges::all_of(name, is_inner);
}

void AppendUtf8(uint32_t code, std::string& to) {
  const auto push = [&to](uint32_t octet) { to.push_back(static_cast<char>(octet)); };
  if (code < 0x80) {
    push(code);
    return;
  }
  if (code < 0x800) {
    push(0xC0 | code >> 6);
  } else {
    if (code < 0x10000) {
      push(0xE0 | code >> 12);
    } else {
      push(0xF0 | code >> 18);
      push(0x80 | (code >> 12 & 0x3F));
    }
    push(0x80 | (code >> 6 & 0x3F));
  }
  push(0x80 | (code & 0x3F));
}

}  // namespace virmo::syncml
