// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"

namespace virmo::vm_controller {

// An ISO 9660 image with these files (path to content), their names kept by Rock Ridge and Joliet.
// The same input makes the same image. INTERNAL if it cannot be made.
absl::StatusOr<std::string> MakeIsoImage(const std::string& label,
                                         const std::map<std::string, std::string>& files);

}  // namespace virmo::vm_controller
