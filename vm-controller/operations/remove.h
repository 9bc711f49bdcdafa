// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "vm-controller/hypervisor.h"
#include "vm-controller/machine_files.h"

namespace virmo::vm_controller {

// Wipes a virtual machine's disk, console log and whatever else its folder holds, and removes it.
// Succeeds if there is none.
absl::Status RemoveMachineFiles(const MachineFiles& files, const std::string& vm_id);

// Cuts its power and removes its domain with any saved state. Succeeds if there is none.
absl::Status RemoveDomain(Hypervisor& hypervisor, const std::string& vm_id);

}  // namespace virmo::vm_controller
