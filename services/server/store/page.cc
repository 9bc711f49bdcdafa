// SPDX-License-Identifier: Apache-2.0
#include "services/server/store/page.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "services/runtime/error.h"

namespace virmo::server {

absl::StatusOr<int> PageSize(int requested) {
  if (requested < 0) return InvalidField("page_size", "page_size must not be negative");
  return requested == 0 ? 50 : std::min(requested, 1000);
}

absl::StatusOr<int64_t> PageNumber(const std::string& page_token, int64_t first) {
  if (page_token.empty()) return first;
  int64_t number = 0;
  if (absl::SimpleAtoi(page_token, &number) && number >= 0) return number;
  return InvalidField("page_token", "page_token is none that this server gave");
}

}  // namespace virmo::server
