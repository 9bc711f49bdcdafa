// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/policy_alert.h"

#include "services/runtime/clock.h"
#include "services/runtime/resource_name.h"

namespace virmo::policy_engine {
namespace {

// The tree's Lock/State (LAWMO's numbers).
constexpr int kLocked = 10;
constexpr int kUnlocked = 30;

}  // namespace

v1::Alert MakeAlert(const Record& record, const std::optional<v1::InventoryItem>& item,
                    absl::Time now) {
  v1::Alert alert;
  alert.set_virtual_machine(VirtualMachineName(record.id));
  if (item) alert.set_state(item->state());
  alert.set_lock_state(record.status.policy().lock().locked() ? kLocked : kUnlocked);
  *alert.mutable_create_time() = ToTimestamp(now);
  return alert;
}

}  // namespace virmo::policy_engine
