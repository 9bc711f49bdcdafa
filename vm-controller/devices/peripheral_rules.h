// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "virmo/v1/policy.pb.h"
#include "vm-controller/devices/host_scan.h"

namespace virmo::vm_controller {

// What counts of a virtual machine when devices are handed out.
struct PeripheralClaim {
  v1::EffectivePolicy policy;  // Its peripherals.
  bool started = false;
  bool locked = true;
};

// The rule of a class; nothing if there is none, which denies it.
std::optional<v1::PeripheralRule> RuleOf(const v1::EffectivePolicy& policy,
                                         v1::PeripheralClass peripheral_class);

// Whether a policy gives this device: every class of it must be allowed. A device that a rule
// excepts has the opposite of what the rule says.
bool GivesDevice(const v1::EffectivePolicy& policy, const v1::HostDevice& device);

// Which virtual machines (ids) are to have this device, of those that run, are not locked and may.
// One alone, unless it is shareable and nobody claims it exclusively: an exclusive claim first,
// then who has it already (`holders`), then the first by id.
std::set<std::string> HandOut(const HostDeviceRecord& record,
                              const std::map<std::string, PeripheralClaim>& claims,
                              const std::set<std::string>& holders);

}  // namespace virmo::vm_controller
