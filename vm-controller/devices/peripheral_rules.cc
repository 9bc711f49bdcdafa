// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/devices/peripheral_rules.h"

#include <algorithm>

#include "vm-controller/devices/device_map.h"

namespace virmo::vm_controller {
namespace {

bool IsExcepted(const v1::PeripheralRule& rule, const v1::HostDevice& device) {
  return std::any_of(rule.exceptions().begin(), rule.exceptions().end(),
                     [&](const std::string& exception) { return NamesDevice(exception, device); });
}

bool IsExclusive(const v1::EffectivePolicy& policy, const v1::HostDevice& device) {
  return std::any_of(device.classes().begin(), device.classes().end(), [&](int one) {
    const auto rule = RuleOf(policy, static_cast<v1::PeripheralClass>(one));
    return rule && rule->exclusive();
  });
}

// One of `candidates`: who has it already, if it is among them.
std::string Choose(const std::set<std::string>& candidates, const std::set<std::string>& holders) {
  for (const std::string& id : candidates) {
    if (holders.count(id) > 0) return id;
  }
  return *candidates.begin();
}

}  // namespace

std::optional<v1::PeripheralRule> RuleOf(const v1::EffectivePolicy& policy,
                                         v1::PeripheralClass peripheral_class) {
  for (const v1::PeripheralRule& rule : policy.peripherals()) {
    if (rule.peripheral_class() == peripheral_class) return rule;
  }
  return std::nullopt;
}

bool GivesDevice(const v1::EffectivePolicy& policy, const v1::HostDevice& device) {
  if (device.classes().empty()) return false;
  return std::all_of(device.classes().begin(), device.classes().end(), [&](int one) {
    const auto rule = RuleOf(policy, static_cast<v1::PeripheralClass>(one));
    return rule && rule->enabled() != IsExcepted(*rule, device);
  });
}

std::set<std::string> HandOut(const HostDeviceRecord& record,
                              const std::map<std::string, PeripheralClaim>& claims,
                              const std::set<std::string>& holders) {
  std::set<std::string> all, exclusive;
  if (!record.device.present()) return all;
  for (const auto& [id, claim] : claims) {
    if (!claim.started || claim.locked || !GivesDevice(claim.policy, record.device)) continue;
    all.insert(id);
    if (IsExclusive(claim.policy, record.device)) exclusive.insert(id);
  }
  if (!exclusive.empty()) return {Choose(exclusive, holders)};
  if (all.empty() || record.spec.shareable) return all;
  return {Choose(all, holders)};
}

}  // namespace virmo::vm_controller
