// SPDX-License-Identifier: Apache-2.0
#include "services/server/http/byte_range.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"

namespace virmo::server {
namespace {

bool ReadNumber(absl::string_view text, int64_t* number) {
  return !text.empty() && text.find_first_not_of("0123456789") == absl::string_view::npos &&
         absl::SimpleAtoi(text, number);
}

ByteRange Part(int64_t offset, int64_t size) {
  if (size <= 0) return {ByteRange::Kind::kUnsatisfiable, 0, 0};
  return {ByteRange::Kind::kPart, offset, size};
}

}  // namespace

ByteRange ParseByteRange(absl::string_view header, int64_t total) {
  absl::string_view range = absl::StripAsciiWhitespace(header);
  const size_t dash = range.find('-');
  if (!absl::ConsumePrefix(&range, "bytes=") || dash == absl::string_view::npos) return {};
  const absl::string_view first = absl::StripAsciiWhitespace(range.substr(0, range.find('-')));
  const absl::string_view last = absl::StripAsciiWhitespace(range.substr(range.find('-') + 1));
  int64_t begin = 0;
  int64_t end = 0;
  if (first.empty()) {
    if (!ReadNumber(last, &end)) return {};
    const int64_t size = std::min(end, total);
    return Part(total - size, size);
  }
  if (!ReadNumber(first, &begin)) return {};
  if (last.empty()) return Part(begin, total - begin);
  if (!ReadNumber(last, &end) || end < begin) return {};
  return Part(begin, std::min(end, total - 1) - begin + 1);
}

}  // namespace virmo::server
