// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/base64.h"

#include <cstdint>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace virmo::syncml {
namespace {

// The six bits of a character of the alphabet; -1 for others.
int ValueOf(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return -1;
}

size_t PaddingOf(absl::string_view text) {
  if (text.empty() || text.back() != '=') return 0;
  return text.size() >= 2 && text[text.size() - 2] == '=' ? 2 : 1;
}

}  // namespace

std::string Base64Encode(absl::string_view octets) { return absl::Base64Escape(octets); }

absl::StatusOr<std::string> Base64Decode(absl::string_view text) {
  // absl::Base64Unescape() takes white space, missing padding and stray bits; we may not.
  if (text.size() % 4 != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("base64 text of ", text.size(), " characters: not a multiple of four"));
  }
  const size_t digits = text.size() - PaddingOf(text);
  std::string octets;
  octets.reserve(text.size() / 4 * 3);
  uint32_t bits = 0;
  int pending = 0;
  for (size_t i = 0; i < digits; ++i) {
    const int value = ValueOf(text[i]);
    if (value < 0) {
      return absl::InvalidArgumentError(absl::StrCat("not base64 at character ", i + 1));
    }
    bits = (bits << 6 | static_cast<uint32_t>(value)) & 0xFFFFFFU;
    pending += 6;
    if (pending < 8) continue;
    pending -= 8;
    octets.push_back(static_cast<char>(bits >> pending & 0xFFU));
  }
  if ((bits & ((1U << pending) - 1U)) != 0) {
    return absl::InvalidArgumentError("base64 text has bits set after its last octet");
  }
  return octets;
}

}  // namespace virmo::syncml
