// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace virmo::vm_controller {

// The MAC address of a virtual machine's interface to a device of the host: always the same for
// the same two, in QEMU's range.
std::string MacAddressFor(const std::string& vm_id, const std::string& device_id);

}  // namespace virmo::vm_controller
