// SPDX-License-Identifier: Apache-2.0
#include "services/cli/width.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace virmo::cli {
namespace {

struct Range {
  uint32_t first;
  uint32_t last;
};

// Sorted. Combining marks, joiners and other characters without a column of their own.
constexpr Range kZero[] = {
    {0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x05BF, 0x05BF},   {0x05C1, 0x05C2},
    {0x05C4, 0x05C5}, {0x0610, 0x061A}, {0x064B, 0x065F}, {0x0670, 0x0670},   {0x06D6, 0x06DC},
    {0x06DF, 0x06E4}, {0x06E7, 0x06E8}, {0x06EA, 0x06ED}, {0x0900, 0x0902},   {0x093A, 0x093A},
    {0x093C, 0x093C}, {0x0941, 0x0948}, {0x094D, 0x094D}, {0x0E31, 0x0E31},   {0x0E34, 0x0E3A},
    {0x0E47, 0x0E4E}, {0x1160, 0x11FF}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF},   {0x200B, 0x200F},
    {0x202A, 0x202E}, {0x2060, 0x206F}, {0x20D0, 0x20FF}, {0x302A, 0x302D},   {0x3099, 0x309A},
    {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xFEFF, 0xFEFF}, {0xE0100, 0xE01EF},
};

// Sorted. East Asian Width W and F, and emoji shown as pictures.
constexpr Range kWide[] = {
    {0x1100, 0x115F},   {0x231A, 0x231B},   {0x23E9, 0x23EC},   {0x2614, 0x2615},
    {0x26A1, 0x26A1},   {0x2705, 0x2705},   {0x274C, 0x274C},   {0x2E80, 0x303E},
    {0x3041, 0x33FF},   {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xA000, 0xA4CF},
    {0xA960, 0xA97F},   {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},
    {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},   {0x1F300, 0x1F64F}, {0x1F680, 0x1F6FF},
    {0x1F7E0, 0x1F7EB}, {0x1F900, 0x1F9FF}, {0x1FA70, 0x1FAFF}, {0x20000, 0x3FFFD},
};

template <size_t N>
bool Contains(const Range (&ranges)[N], uint32_t code_point) {
  const Range* after =
      std::upper_bound(std::begin(ranges), std::end(ranges), code_point,
                       [](uint32_t value, const Range& range) { return value < range.first; });
  return after != std::begin(ranges) && code_point <= std::prev(after)->last;
}

// Takes one character off the front of `text`. False, taking one octet, if it is not UTF-8.
bool TakeCharacter(absl::string_view& text, uint32_t* code_point) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const int length = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 0;
  uint32_t value = length == 1 ? lead : lead & (0x7F >> length);
  bool good = length > 0 && lead < 0xF5 && text.size() >= static_cast<size_t>(length);
  for (int i = 1; good && i < length; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    good = (next & 0xC0) == 0x80;
    value = (value << 6) | (next & 0x3F);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  good = good && value >= kSmallest[length] && value <= 0x10FFFF &&
         !(value >= 0xD800 && value <= 0xDFFF);
  text.remove_prefix(good ? length : 1);
  *code_point = value;
  return good;
}

}  // namespace

size_t DisplayWidth(absl::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    uint32_t code_point = 0;
    const bool good = TakeCharacter(text, &code_point);
    width += !good ? 1 : Contains(kZero, code_point) ? 0 : Contains(kWide, code_point) ? 2 : 1;
  }
  return width;
}

std::string Printable(absl::string_view text) {
  std::string printable;
  while (!text.empty()) {
    const absl::string_view rest = text;
    uint32_t code_point = 0;
    if (!TakeCharacter(text, &code_point)) {
      printable += "\xEF\xBF\xBD";
    } else if (code_point < 0x20 || (code_point >= 0x7F && code_point < 0xA0)) {
      absl::StrAppend(&printable, "\\x", absl::Hex(code_point, absl::kZeroPad2));
    } else if (code_point >= 0x202A && code_point <= 0x202E) {
      continue;  // Would turn the direction of what follows.
    } else {
      printable.append(rest.data(), rest.size() - text.size());
    }
  }
  return printable;
}

}  // namespace virmo::cli
