// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "vm-controller/devices/device_port.h"
#include "vm-controller/hypervisor.h"
#include "vm-controller/machine_store.h"

namespace virmo::vm_controller {

// Whether a device of a live domain was plugged in by somebody else: it leads somewhere that
// neither the virtual machine was made with nor we plugged in.
bool IsForeignDevice(const LiveDevice& device, const MachineRecord& record,
                     const std::optional<Domain>& domain);

}  // namespace virmo::vm_controller
