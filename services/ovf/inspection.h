// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "services/ovf/descriptor.h"
#include "services/ovf/findings.h"

namespace virmo::ovf {

struct InspectOptions {
  std::string deployment_option;  // Empty: the default.
  std::string locale;             // Empty: as written.
};

// Reads and checks the package at `path`, a descriptor (with what lies beside it) or an archive,
// and changes nothing. Nothing is returned if there is a fault; `findings` say which.
std::optional<Descriptor> Inspect(const std::string& path, const InspectOptions& options,
                                  Findings& findings);

// What is in a package, as JSON: {"vms": […], "networks", "properties", "eulas",
// "deployment_options", "warnings"}. Passwords are not shown.
std::string InspectionJson(const Descriptor& descriptor, const Findings& findings);

}  // namespace virmo::ovf
