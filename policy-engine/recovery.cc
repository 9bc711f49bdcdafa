// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/recovery.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "policy-engine/allocation_rules.h"
#include "policy-engine/policy_alert.h"
#include "services/runtime/logging.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"

namespace virmo::policy_engine {

absl::StatusOr<Record> Recovery::MakeLocked(const std::string& id, const v1::InventoryItem& item) {
  ASSIGN_OR_RETURN(const int64_t removed_version, store_.RemovedVersion(id));
  Record record;
  record.id = id;
  // The rest of an admission that was lost may go on; it ends in a locked virtual machine.
  if (item.state() == v1::VirtualMachine::STATE_PROVISIONING ||
      item.state() == v1::VirtualMachine::STATE_CLONING) {
    record.created_by = item.current_operation();
  }
  v1::EffectivePolicy& policy = *record.status.mutable_policy();
  policy.set_virtual_machine(item.virtual_machine());
  *policy.mutable_allocations() = item.allocations();
  AddDefaults(*policy.mutable_allocations());
  policy.mutable_lock()->set_mode(v1::Lock::MODE_ISOLATE_AND_PAUSE);
  RETURN_IF_ERROR(
      Lock(record, std::max(removed_version, item.policy_version()) + 1, "policy record lost"));
  return record;
}

absl::Status Recovery::LockOutdated(Record& record, int64_t known_version) {
  return Lock(record, known_version + 1, "policy record older than the one in force");
}

absl::Status Recovery::Lock(Record& record, int64_t version, const std::string& reason) {
  v1::EffectivePolicy& policy = *record.status.mutable_policy();
  policy.set_version(version);
  *policy.mutable_update_time() = ToTimestamp(clock_());
  v1::Lock& lock = *policy.mutable_lock();
  lock.set_locked(true);
  lock.set_locked_by("policy-engine");
  lock.set_reason(reason);
  *lock.mutable_since() = policy.update_time();
  lock.clear_user_unlock();
  // A copy brings back a key that a later lock had destroyed.
  RETURN_IF_ERROR(keys_.Destroy(record));
  ASSIGN_OR_RETURN(UserUnlockRow row, unlocks_.Load(record.id));
  if (row.secret) {
    row.secret.reset();
    RETURN_IF_ERROR(unlocks_.Save(row));
    store_.ScrubAfterCommit();
  }
  spdlog::error("locked vm={} version={} reason=\"{}\"", policy.virtual_machine(), version, reason);

  ASSIGN_OR_RETURN(const auto item, store_.Inventory(record.id));
  v1::Alert alert = MakeAlert(record, item, clock_());
  alert.set_alert_id(NewUuid());
  alert.set_event("PolicyViolation");
  alert.set_severity(v1::Alert::SEVERITY_CRITICAL);
  alert.set_detail(absl::StrCat("locked: ", reason));
  return outbox_.Add(alert);
}

}  // namespace virmo::policy_engine
