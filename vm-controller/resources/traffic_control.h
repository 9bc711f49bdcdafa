// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "virmo/v1/allocation.pb.h"

namespace virmo::vm_controller {

// Limits what passes through a guest's tap interfaces, by the kernel's traffic control: a token
// bucket on the tap for what goes to the guest, and one on an intermediate device for what comes
// from it. libvirt's own setting needs kernel parts (police, sfq) that are not everywhere, and a
// domain that has it does not start without them. The rules end with the tap; the intermediate
// device is removed when nothing is limited.

// `taps` share the rate to the guest equally, and have the rate from it together. Idempotent.
// NOT_SUPPORTED with tc's own words if the kernel or our rights do not allow it.
absl::Status LimitTraffic(const std::string& vm_id, const std::vector<std::string>& taps,
                          const v1::NetworkRates& rates);

// Removes what is left of a virtual machine that does not run.
void RemoveTrafficLimits(const std::string& vm_id);

}  // namespace virmo::vm_controller
