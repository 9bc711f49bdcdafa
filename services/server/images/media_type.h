// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace virmo::server {

// The media types that a package may have (PkgType of the VirMO tree).
bool IsPackageType(absl::string_view media_type);
std::string PackageTypes();

// The media type of octets that begin with `head`: as told, if that can be; told by the octets if
// `told` is empty. FAILED_PRECONDITION (PACKAGE_INVALID) if they contradict each other.
absl::StatusOr<std::string> MediaTypeOf(absl::string_view head, absl::string_view told);

// 64 lower-case hex digits.
bool IsSha256(absl::string_view text);

}  // namespace virmo::server
