// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/excerpt.h"

#include "absl/strings/str_cat.h"
#include "services/syncml/codec.h"

namespace virmo::syncml {
namespace {

constexpr absl::string_view kGap = " ... ";

bool IsInnerOctet(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

}  // namespace

std::string Excerpt(absl::string_view all, size_t max_size) {
  const std::string valid = ToXmlText(all);
  if (valid.size() <= max_size || max_size < 2 * kGap.size()) return valid;
  const absl::string_view text = valid;
  size_t head = (max_size - kGap.size()) / 2;
  size_t tail = text.size() - (max_size - kGap.size() - head);
  while (head > 0 && IsInnerOctet(text[head])) --head;
  while (tail < text.size() && IsInnerOctet(text[tail])) ++tail;
  return absl::StrCat(text.substr(0, head), kGap, text.substr(tail));
}

}  // namespace virmo::syncml
