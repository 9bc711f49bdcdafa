// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libvirt/libvirt.h>

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace virmo::vm_controller {

// The XML of each device of a live domain that QEMU cannot save: shared folders by virtiofs, USB
// serial ports and network cards, shared memory of a peer.
std::vector<std::string> DevicesThatBarSaving(const std::string& xml);

// Takes those devices out of a live domain, and notes them in its metadata first, so that they are
// found again after a crash of ours, in its saved state too. HYPERVISOR_FAILED if one stays: the
// guest did not let it go.
absl::Status ParkDevices(virDomainPtr domain);

// Puts the noted devices back. What cannot be put back any more (its folder is gone) is logged.
void ReturnDevices(virDomainPtr domain);

}  // namespace virmo::vm_controller
