// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace virmo::cli {

// Reads a file, or standard input if `path` is empty or `-`; never more than a little over
// `max_bytes`, whatever the file's size. NOT_FOUND or PERMISSION_DENIED if it cannot be opened,
// RESOURCE_EXHAUSTED, naming the octet, if it is longer.
absl::StatusOr<std::string> ReadInput(const std::string& path, size_t max_bytes);

// What the input is called in messages.
std::string InputName(const std::string& path);

}  // namespace virmo::cli
