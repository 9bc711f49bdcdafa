// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace virmo::vm_controller {

// The SHA-256 of a file, 64 lower-case hex digits.
absl::StatusOr<std::string> FileSha256(const std::string& path);

}  // namespace virmo::vm_controller
