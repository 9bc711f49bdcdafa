// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/peripheral_progress.h"

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/peripheral_class.h"

namespace virmo::policy_engine {
namespace {

bool IsEnabled(const v1::EffectivePolicy& policy, v1::PeripheralClass peripheral_class) {
  for (const v1::PeripheralRule& rule : policy.peripherals()) {
    if (rule.peripheral_class() == peripheral_class) return rule.enabled();
  }
  return false;
}

}  // namespace

PeripheralProgress PeripheralProgressOf(const v1::PolicyStatus& status,
                                        v1::PeripheralClass peripheral_class) {
  PeripheralProgress progress;
  if (status.applied_version() < status.policy().version()) return progress;
  for (const v1::AppliedItem& item : status.applied_items()) {
    if (item.item() != PeripheralItem(peripheral_class)) continue;
    progress.detail = item.detail();
    progress.ended = item.outcome() == v1::AppliedItem::OUTCOME_APPLIED ||
                     item.outcome() == v1::AppliedItem::OUTCOME_NOT_APPLICABLE;
    // What the host cannot give is taken already.
    if (item.outcome() == v1::AppliedItem::OUTCOME_NOT_ENFORCEABLE) {
      progress.ended = true;
      if (IsEnabled(status.policy(), peripheral_class)) {
        progress.outcome =
            Error(v1::ErrorInfo::REASON_NOT_ENFORCEABLE,
                  absl::StrCat(item.item(), ": ", item.detail()), {{"resource", item.item()}});
      }
    }
  }
  return progress;
}

}  // namespace virmo::policy_engine
