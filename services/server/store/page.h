// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace virmo::server {

// The number of rows to return: 50 if none is asked for, at most 1000. INVALID_ARGUMENT if
// negative.
absl::StatusOr<int> PageSize(int requested);

// A token of a list that is ordered by a number; `first` for the first page.
absl::StatusOr<int64_t> PageNumber(const std::string& page_token, int64_t first);

}  // namespace virmo::server
