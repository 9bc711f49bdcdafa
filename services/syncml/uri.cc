// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/uri.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/codec.h"

namespace virmo::syncml {
namespace {

constexpr absl::string_view kHexDigits = "0123456789ABCDEF";

// RFC 2396 pchar without escapes: these stand for themselves in a segment.
constexpr std::array<bool, 256> kIsPlain = [] {
  std::array<bool, 256> is_plain = {};
  for (size_t c = '0'; c <= '9'; ++c) is_plain[c] = true;
  for (size_t c = 'A'; c <= 'Z'; ++c) is_plain[c] = is_plain[c + ('a' - 'A')] = true;
  for (const char c : std::string_view("-_.!~*'():@&=+$,")) is_plain[static_cast<size_t>(c)] = true;
  return is_plain;
}();

bool IsPlain(char c) { return kIsPlain[static_cast<unsigned char>(c)]; }

bool IsAllPlain(absl::string_view text) { return std::ranges::all_of(text, IsPlain); }

bool IsRawUtf8(char c) { return (static_cast<unsigned char>(c) & 0x80U) != 0; }

void AppendEscaped(char c, std::string& to) {
  const auto octet = static_cast<unsigned char>(c);
  to.push_back('%');
  to.push_back(kHexDigits[octet >> 4]);
  to.push_back(kHexDigits[octet & 0xFU]);
}

int HexValue(char c) {
  const size_t at = kHexDigits.find(absl::ascii_toupper(static_cast<unsigned char>(c)));
  return at == absl::string_view::npos ? -1 : static_cast<int>(at);
}

// The octet that the escape at text[at] stands for; -1 if it is none.
int EscapeAt(absl::string_view text, size_t at) {
  if (at + 2 >= text.size()) return -1;
  const int high = HexValue(text[at + 1]);
  const int low = HexValue(text[at + 2]);
  return high < 0 || low < 0 ? -1 : (high * 16) + low;
}

bool IsReserved(absl::string_view name) { return name == "." || name == ".." || name == "*"; }

// A segment in canonical form.
absl::StatusOr<std::string> NormaliseSegment(absl::string_view segment) {
  std::string name;
  for (size_t i = 0; i < segment.size(); ++i) {
    if (segment[i] != '%') {
      if (!IsPlain(segment[i]) && !IsRawUtf8(segment[i])) {
        return absl::InvalidArgumentError(
            absl::StrCat("segment ", segment, " has a character that needs %-escaping"));
      }
      name.push_back(segment[i]);
      continue;
    }
    const int octet = EscapeAt(segment, i);
    if (octet < 0) {
      return absl::InvalidArgumentError(absl::StrCat("segment ", segment, " has a bad %-escape"));
    }
    name.push_back(static_cast<char>(octet));
    i += 2;
  }
  if (name.find('/') != std::string::npos || !IsXmlText(name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("segment ", segment, " has a character that no node name may have"));
  }
  if (IsReserved(name)) {
    return absl::InvalidArgumentError(absl::StrCat("segment ", name, " is no node name"));
  }
  return EscapeSegment(name);
}

absl::Status ParseQuery(absl::string_view query, NodeUri& uri) {
  const size_t equals = query.find('=');
  const absl::string_view key = query.substr(0, equals);
  if (key == "prop") uri.query = NodeUri::Query::kProp;
  if (key == "list") uri.query = NodeUri::Query::kList;
  if (uri.query == NodeUri::Query::kNone || equals == absl::string_view::npos ||
      equals + 1 == query.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("query ?", query, " is neither ?prop=... nor ?list=..."));
  }
  uri.argument = std::string(query.substr(equals + 1));
  if (!IsXmlText(uri.argument)) {
    return absl::InvalidArgumentError("query with a character that XML cannot hold");
  }
  return absl::OkStatus();
}

absl::Status ParsePath(absl::string_view path, NodeUri& uri) {
  if (path.empty()) return absl::InvalidArgumentError("empty node URI");
  if (path == ".") return absl::OkStatus();
  if (absl::StartsWith(path, "/") || absl::EndsWith(path, "/")) {
    return absl::InvalidArgumentError(
        absl::StrCat("node URI ", path, " must neither start nor end with a slash"));
  }
  absl::ConsumePrefix(&path, "./");
  uri.segments.reserve(1 + static_cast<size_t>(std::ranges::count(path, '/')));
  for (const absl::string_view segment : absl::StrSplit(path, '/')) {
    if (segment.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("node URI ", path, " has an empty segment"));
    }
    if (IsAllPlain(segment) && !IsReserved(segment)) {  // nearly all that we see
      uri.segments.emplace_back(segment);
      continue;
    }
    ASSIGN_OR_RETURN(std::string normalised, NormaliseSegment(segment));
    uri.segments.push_back(std::move(normalised));
  }
  return absl::OkStatus();
}

bool Exceeds(size_t value, int limit) { return limit > 0 && value > static_cast<size_t>(limit); }

size_t PathSize(const NodeUri& uri) {
  size_t size = 1;  // the dot
  for (const std::string& segment : uri.segments) size += 1 + segment.size();
  return size;
}

absl::Status CheckLimits(const NodeUri& uri, const UriLimits& limits) {
  if (Exceeds(uri.segments.size(), limits.max_depth)) {
    return absl::OutOfRangeError(absl::StrCat("node URI is ", uri.segments.size(),
                                              " levels deep, the limit is ", limits.max_depth));
  }
  for (const std::string& segment : uri.segments) {
    if (Exceeds(segment.size(), limits.max_segment_length)) {
      return absl::OutOfRangeError(absl::StrCat(
          "segment of ", segment.size(), " octets, the limit is ", limits.max_segment_length));
    }
  }
  const size_t total = PathSize(uri);
  if (Exceeds(total, limits.max_total_length)) {
    return absl::OutOfRangeError(
        absl::StrCat("node URI of ", total, " octets, the limit is ", limits.max_total_length));
  }
  return absl::OkStatus();
}

}  // namespace

std::string NodeUri::Path() const {
  std::string path;
  path.reserve(PathSize(*this));
  path.push_back('.');
  for (const std::string& segment : segments) {
    path.push_back('/');
    path.append(segment);
  }
  return path;
}

std::string NodeUri::ToString() const {
  switch (query) {
    case Query::kNone:
      break;
    case Query::kProp:
      return absl::StrCat(Path(), "?prop=", argument);
    case Query::kList:
      return absl::StrCat(Path(), "?list=", argument);
  }
  return Path();
}

absl::StatusOr<NodeUri> ParseNodeUri(absl::string_view uri, const UriLimits& limits) {
  uri = absl::StripAsciiWhitespace(uri);
  NodeUri parsed;
  const size_t mark = uri.find('?');
  RETURN_IF_ERROR(ParsePath(uri.substr(0, mark), parsed));
  if (mark != absl::string_view::npos) {
    RETURN_IF_ERROR(ParseQuery(uri.substr(mark + 1), parsed));
  }
  RETURN_IF_ERROR(CheckLimits(parsed, limits));
  return parsed;
}

std::string EscapeSegment(absl::string_view name) {
  if (IsAllPlain(name)) return std::string(name);
  std::string segment;
  for (const char c : name) {
    if (IsPlain(c)) {
      segment.push_back(c);
    } else {
      AppendEscaped(c, segment);
    }
  }
  return segment;
}

std::string UnescapeSegment(absl::string_view segment) {
  if (!absl::StrContains(segment, '%')) return std::string(segment);
  std::string name;
  for (size_t i = 0; i < segment.size(); ++i) {
    const int octet = segment[i] == '%' ? EscapeAt(segment, i) : -1;
    name.push_back(octet < 0 ? segment[i] : static_cast<char>(octet));
    if (octet >= 0) i += 2;
  }
  return name;
}

bool IsWithin(absl::string_view path, absl::string_view ancestor) {
  if (ancestor == ".") return true;
  return absl::ConsumePrefix(&path, ancestor) && (path.empty() || path.front() == '/');
}

}  // namespace virmo::syncml
