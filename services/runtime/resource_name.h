// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace virmo {

// `virtualMachines/{uuid}` to and from the uuid. IdOf fails with INVALID_ARGUMENT naming `field`
// if the name has another form.
std::string VirtualMachineName(absl::string_view id);
absl::StatusOr<std::string> VirtualMachineId(absl::string_view name,
                                             absl::string_view field = "name");

// `operations/{id}` to and from the id.
std::string OperationName(absl::string_view id);
absl::StatusOr<std::string> OperationId(absl::string_view name, absl::string_view field = "name");

}  // namespace virmo
