// SPDX-License-Identifier: Apache-2.0
#include "services/ovf/property_value.h"

#include <algorithm>
#include <limits>
#include <map>
#include <vector>

#include "absl/numeric/int128.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace virmo::ovf {
namespace {

struct Range {
  absl::int128 low, high;
};

const std::map<std::string, Range>& IntegerTypes() {
  const auto bits = [](int count, bool is_signed) -> Range {
    const absl::int128 one = 1;
    if (is_signed) return {-(one << (count - 1)), (one << (count - 1)) - 1};
    return {0, (one << count) - 1};
  };
  static const std::map<std::string, Range> types = {
      {"uint8", bits(8, false)},   {"sint8", bits(8, true)},    {"uint16", bits(16, false)},
      {"sint16", bits(16, true)},  {"uint32", bits(32, false)}, {"sint32", bits(32, true)},
      {"uint64", bits(64, false)}, {"sint64", bits(64, true)},  {"int", bits(32, true)},
      {"integer", bits(64, true)}};
  return types;
}

// `MinLen(1) MaxLen(8) ValueMap{"a","b"}`: the argument of one, as written.
std::string Qualifier(const std::string& qualifiers, const std::string& name) {
  const size_t at = qualifiers.find(name);
  if (at == std::string::npos) return "";
  const size_t open = qualifiers.find_first_of("({", at + name.size());
  if (open == std::string::npos) return "";
  const size_t close = qualifiers.find(qualifiers[open] == '(' ? ')' : '}', open);
  if (close == std::string::npos) return "";
  return qualifiers.substr(open + 1, close - open - 1);
}

std::vector<std::string> QuotedValues(const std::string& list) {
  std::vector<std::string> values;
  for (size_t at = list.find('"'); at != std::string::npos; at = list.find('"', at)) {
    const size_t end = list.find('"', at + 1);
    if (end == std::string::npos) break;
    values.push_back(list.substr(at + 1, end - at - 1));
    at = end + 1;
  }
  return values;
}

bool ToInteger(const std::string& text, absl::int128& value) {
  int64_t small = 0;
  uint64_t large = 0;
  if (absl::SimpleAtoi(text, &small)) {
    value = small;
  } else if (absl::SimpleAtoi(text, &large)) {
    value = absl::int128(large);
  } else {
    return false;
  }
  return true;
}

std::string WhyNotInteger(const Range& range, const Property& property, const std::string& value) {
  absl::int128 number = 0;
  if (!ToInteger(value, number)) return "is not a whole number";
  if (number < range.low || number > range.high) {
    return absl::StrCat("is beyond a ", property.type);
  }
  absl::int128 bound = 0;
  const std::string low = Qualifier(property.qualifiers, "MinValue");
  if (ToInteger(low, bound) && number < bound) return absl::StrCat("is less than ", low);
  const std::string high = Qualifier(property.qualifiers, "MaxValue");
  if (ToInteger(high, bound) && number > bound) return absl::StrCat("is more than ", high);
  return "";
}

std::string WhyNotString(const Property& property, const std::string& value) {
  int64_t length = 0;
  const std::string shortest = Qualifier(property.qualifiers, "MinLen");
  if (absl::SimpleAtoi(shortest, &length) && static_cast<int64_t>(value.size()) < length) {
    return absl::StrCat("is shorter than ", shortest, " characters");
  }
  const std::string longest = Qualifier(property.qualifiers, "MaxLen");
  if (absl::SimpleAtoi(longest, &length) && static_cast<int64_t>(value.size()) > length) {
    return absl::StrCat("is longer than ", longest, " characters");
  }
  const std::vector<std::string> allowed = QuotedValues(Qualifier(property.qualifiers, "ValueMap"));
  if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), value) == allowed.end()) {
    return absl::StrCat("is none of ", absl::StrJoin(allowed, ", "));
  }
  return "";
}

}  // namespace

bool IsPropertyType(const std::string& type) {
  return IntegerTypes().count(absl::AsciiStrToLower(type)) > 0 ||
         absl::StartsWithIgnoreCase(type, "string") ||
         absl::StartsWithIgnoreCase(type, "boolean") || absl::StartsWithIgnoreCase(type, "real") ||
         absl::StartsWithIgnoreCase(type, "ip") || absl::EqualsIgnoreCase(type, "password") ||
         absl::EqualsIgnoreCase(type, "datetime") || absl::EqualsIgnoreCase(type, "expression");
}

std::string WhyNotValue(const Property& property, const std::string& value) {
  const std::string type = absl::AsciiStrToLower(property.type);
  const auto integer = IntegerTypes().find(type);
  if (integer != IntegerTypes().end()) return WhyNotInteger(integer->second, property, value);
  if (absl::StartsWith(type, "boolean")) {
    const bool known = absl::EqualsIgnoreCase(value, "true") ||
                       absl::EqualsIgnoreCase(value, "false") || value == "0" || value == "1";
    return known ? "" : "is neither true nor false";
  }
  if (absl::StartsWith(type, "real")) {
    double number = 0;
    return absl::SimpleAtod(value, &number) ? "" : "is not a number";
  }
  return WhyNotString(property, value);
}

}  // namespace virmo::ovf
