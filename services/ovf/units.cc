// SPDX-License-Identifier: Apache-2.0
#include "services/ovf/units.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace virmo::ovf {
namespace {

constexpr int64_t kKib = 1024;

std::optional<int64_t> Power(int64_t base, int64_t exponent) {
  if (exponent < 0 || exponent > 62) return std::nullopt;
  int64_t power = 1;
  for (int64_t i = 0; i < exponent; ++i) {
    const std::optional<int64_t> next = Multiply(power, base);
    if (!next) return std::nullopt;
    power = *next;
  }
  return power;
}

// The factor of `a * b^c` after its base unit.
std::optional<int64_t> Factor(const std::vector<std::string>& factors) {
  int64_t product = 1;
  for (size_t i = 1; i < factors.size(); ++i) {
    const std::vector<std::string> parts = absl::StrSplit(factors[i], '^');
    if (parts.size() > 2) return std::nullopt;
    std::optional<int64_t> value = ParseQuantity(parts[0]);
    if (value && parts.size() == 2) {
      const std::optional<int64_t> exponent = ParseQuantity(parts[1]);
      value = exponent ? Power(*value, *exponent) : std::nullopt;
    }
    if (!value || *value == 0) return std::nullopt;
    const std::optional<int64_t> next = Multiply(product, *value);
    if (!next) return std::nullopt;
    product = *next;
  }
  return product;
}

std::vector<std::string> Factors(absl::string_view unit) {
  std::string lower = absl::AsciiStrToLower(unit);
  lower.erase(std::remove_if(lower.begin(), lower.end(), absl::ascii_isspace), lower.end());
  return absl::StrSplit(lower, '*');
}

std::optional<int64_t> BytesOfWord(absl::string_view word) {
  absl::ConsumeSuffix(&word, "s");
  if (word == "byte" || word == "b") return 1;
  struct Word {
    absl::string_view long_name, short_name, binary_name;
  };
  constexpr Word kWords[] = {{"kilobyte", "kb", "kib"},
                             {"megabyte", "mb", "mib"},
                             {"gigabyte", "gb", "gib"},
                             {"terabyte", "tb", "tib"}};
  int64_t bytes = 1;
  for (const Word& known : kWords) {
    bytes *= kKib;
    if (word == known.long_name || word == known.short_name || word == known.binary_name ||
        (word.size() > 4 && absl::EndsWith(word, "byte") && word[0] == known.long_name[0])) {
      return bytes;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<int64_t> Multiply(int64_t a, int64_t b) {
  int64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

std::optional<int64_t> ParseQuantity(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  const size_t point = text.find('.');
  if (point != absl::string_view::npos && point > 0 &&
      text.find_first_not_of('0', point + 1) == absl::string_view::npos) {
    text = text.substr(0, point);
  }
  int64_t value = 0;
  const bool read = absl::StartsWithIgnoreCase(text, "0x") ? absl::SimpleHexAtoi(text, &value)
                                                           : absl::SimpleAtoi(text, &value);
  if (!read || value < 0) return std::nullopt;
  return value;
}

std::optional<int64_t> BytesOfUnit(absl::string_view unit) {
  const std::vector<std::string> factors = Factors(unit);
  const std::optional<int64_t> base = BytesOfWord(factors[0]);
  const std::optional<int64_t> factor = Factor(factors);
  if (!base || !factor) return std::nullopt;
  return Multiply(*base, *factor);
}

std::optional<double> MegahertzOfUnit(absl::string_view unit) {
  const std::vector<std::string> factors = Factors(unit);
  const std::optional<int64_t> factor = Factor(factors);
  if (!factor) return std::nullopt;
  if (factors[0] == "mhz" || factors[0] == "megahertz") return static_cast<double>(*factor);
  if (factors[0] == "ghz" || factors[0] == "gigahertz")
    return 1000.0 * static_cast<double>(*factor);
  if (factors[0] == "hertz" || factors[0] == "hz") return static_cast<double>(*factor) / 1e6;
  return std::nullopt;
}

}  // namespace virmo::ovf
