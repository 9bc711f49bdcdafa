// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/enforcement_pass.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/fault_point.h"
#include "services/runtime/logging.h"
#include "services/runtime/uuid.h"
#include "vm-controller/allocation.h"
#include "vm-controller/operations/launch.h"

namespace virmo::vm_controller {
namespace {

using v1::AppliedItem;
using v1::VirtualMachine;

// The requests that a lock makes, each once for each version of the policy.
std::string RequestId(const std::string& id, const std::string& what, int64_t version) {
  return NameUuid(id, absl::StrCat(what, " by lock, version ", version));
}

}  // namespace

void EnforcementPass::Add(const std::string& item, AppliedItem::Outcome outcome,
                          const std::string& detail) {
  AppliedItem applied;
  applied.set_item(item);
  applied.set_outcome(outcome);
  applied.set_detail(detail);
  items_.push_back(std::move(applied));
  if (outcome == AppliedItem::OUTCOME_FAILED) all_well_ = false;
}

void EnforcementPass::Add(const std::string& item, const absl::Status& status) {
  if (status.ok()) return Add(item, AppliedItem::OUTCOME_APPLIED);
  const bool unsupported = ReasonOf(status) == v1::ErrorInfo::REASON_NOT_SUPPORTED;
  Add(item, unsupported ? AppliedItem::OUTCOME_NOT_ENFORCEABLE : AppliedItem::OUTCOME_FAILED,
      std::string(status.message()));
}

bool EnforcementPass::Run() {
  const auto policy = machines_.store().GetPolicy(id_);
  const absl::StatusOr<MachineRecord> record = machines_.store().Get(id_);
  moot_ = policy.ok() && absl::IsNotFound(record.status());
  if (!policy.ok() || !record.ok()) return false;
  policy_ = *policy;
  record_ = *record;
  const bool locked = IsLocked(policy_);
  if (locked) consoles_.SetBarred(id_, true);  // Needs no hypervisor.
  absl::StatusOr<Domain> domain = hypervisor_.Get(id_);
  if (domain.ok()) {
    domain_ = *std::move(domain);
  } else if (ReasonOf(domain.status()) != v1::ErrorInfo::REASON_VM_NOT_FOUND) {
    return false;
  }
  FaultPoint("lock.enforce");
  if (policy_ && policy_->wipe()) return Wipe();
  locked ? Close() : Open();
  Allocate();
  Record();
  if (!policy_) moot_ = true;  // Nothing was decided: closed, and nobody waits for a report.
  return policy_.has_value() && !items_.empty();
}

// It is closed until it is gone. Returns false: the record's end is the report.
bool EnforcementPass::Wipe() {
  SetChannels(Access::kClosed);
  if (domain_ && IsStarted(*domain_)) HoldByPause();
  items_.clear();
  const absl::Status status = saving_.wipe(id_, RequestId(id_, "wiped", policy_->version()));
  spdlog::warn("wiping vm={} cause=\"{}\"", id_, status.message());
  // Another operation may be under way; when it ends we are called again, and in a second too.
  moot_ = status.ok();
  return false;
}

void EnforcementPass::SetChannels(Access access) {
  if (!domain_ || !IsStarted(*domain_)) {
    Add("lock.network", AppliedItem::OUTCOME_NOT_APPLICABLE, "it does not run");
    Add("lock.agent", AppliedItem::OUTCOME_NOT_APPLICABLE, "it does not run");
    return;
  }
  const AccessReport report = hypervisor_.SetAccess(id_, access);
  Add("lock.network", report.network);
  Add("lock.agent", report.agent);
}

void EnforcementPass::Close() {
  Add("lock.console", AppliedItem::OUTCOME_APPLIED);
  SetChannels(Access::kClosed);
  // Before it is held: a guest that stands still lets go of nothing.
  EnforceParts();
  if (!HoldRun()) items_.clear();
}

void EnforcementPass::Open() {
  consoles_.SetBarred(id_, false);
  Add("lock.console", AppliedItem::OUTCOME_APPLIED);
  SetChannels(Access::kOpen);
  ReleaseRun();
  EnforceParts();
}

void EnforcementPass::EnforceParts() {
  PolicySubject subject = {id_, record_, policy_, domain_};
  subject.locked = IsLocked(policy_);
  subject.started = domain_ && IsStarted(*domain_);
  for (PolicyPart* part : parts_) {
    for (v1::AppliedItem& item : part->Enforce(subject)) {
      if (item.outcome() == AppliedItem::OUTCOME_FAILED) all_well_ = false;
      items_.push_back(std::move(item));
    }
  }
}

// Returns false if the outcome is open: an operation that was begun for it will end.
bool EnforcementPass::HoldRun() {
  if (!domain_ || !IsStarted(*domain_)) {
    Add("lock.run_state", AppliedItem::OUTCOME_NOT_APPLICABLE, "it does not run");
    return true;
  }
  const v1::Lock::Mode mode = policy_ ? policy_->lock().mode() : v1::Lock::MODE_ISOLATE_AND_PAUSE;
  if (mode == v1::Lock::MODE_ISOLATE) {
    Add("lock.run_state", AppliedItem::OUTCOME_APPLIED, "it computes on, isolated");
    return true;
  }
  if (!HoldByPause()) return true;
  return mode != v1::Lock::MODE_SUSPEND || HoldBySaving();
}

// Returns false if it is not held, since it is being stopped: isolated, it may obey to that. When
// the stop ends we are called again.
bool EnforcementPass::HoldByPause() {
  const std::shared_ptr<Mutex> gate = machines_.GateOf(id_);
  MutexLock lock(*gate);
  // Recorded before it is done, so that unlocking undoes it whatever happens in between. An
  // operation that starts it is not to be disturbed in its own pause; it asks the policy itself.
  bool stopping = false;
  absl::Status status = machines_.Change(id_, [&](MachineRecord& record) {
    stopping = record.vm.state() == VirtualMachine::STATE_STOPPING;
    if (record.vm.state() == VirtualMachine::STATE_RUNNING) record.vm.set_paused_by_lock(true);
  });
  if (status.ok() && stopping) {
    Add("lock.run_state", AppliedItem::OUTCOME_APPLIED, "it is being stopped, isolated");
    return false;
  }
  if (status.ok()) status = hypervisor_.Pause(id_);
  Add("lock.run_state", status);
  return true;
}

bool EnforcementPass::HoldBySaving() {
  const std::string request_id = RequestId(id_, "suspended", policy_->version());
  (void)machines_.Change(id_, [](MachineRecord& record) { record.suspended_by_lock = true; });
  const absl::Status status = saving_.suspend(id_, request_id);
  if (status.ok()) return false;  // It runs; when it ends, we are called again.
  if (ReasonOf(status) == v1::ErrorInfo::REASON_BUSY) return false;
  items_.pop_back();
  Add("lock.run_state", AppliedItem::OUTCOME_FAILED,
      absl::StrCat("it stands still, but its state could not be saved: ", status.message()));
  return true;
}

bool EnforcementPass::IsNewest() {
  const auto newest = machines_.store().GetPolicy(id_);
  return newest.ok() && newest->has_value() && (*newest)->version() == policy_->version();
}

void EnforcementPass::ReleaseRun() {
  if (record_.suspended_by_lock && domain_ && domain_->state == DomainState::kSaved) {
    return ReleaseBySavedState();
  }
  if (record_.suspended_by_lock) {
    // It was to be saved, and was unlocked first.
    (void)machines_.Change(id_, [](MachineRecord& record) { record.suspended_by_lock = false; });
  }
  if (!record_.vm.paused_by_lock()) {
    Add("lock.run_state", AppliedItem::OUTCOME_APPLIED);
    return;
  }
  const std::shared_ptr<Mutex> gate = machines_.GateOf(id_);
  MutexLock lock(*gate);
  if (!IsNewest()) return Add("lock.run_state", AppliedItem::OUTCOME_FAILED, "policy changed");
  const absl::StatusOr<MachineRecord> record = machines_.store().Get(id_);
  absl::Status status = record.status();
  // One that is being started or resumed is let run by that operation.
  const bool may_run = status.ok() && !record->vm.paused() && domain_ && IsStarted(*domain_) &&
                       (record->vm.state() == VirtualMachine::STATE_RUNNING ||
                        record->vm.state() == VirtualMachine::STATE_STOPPING);
  if (may_run) status = hypervisor_.Run(id_);
  if (status.ok()) {
    status =
        machines_.Change(id_, [](MachineRecord& changed) { changed.vm.set_paused_by_lock(false); });
  }
  Add("lock.run_state", status);
}

void EnforcementPass::ReleaseBySavedState() {
  const absl::Status status = saving_.resume(id_, RequestId(id_, "resumed", policy_->version()));
  Add("lock.run_state",
      status.ok() || ReasonOf(status) == v1::ErrorInfo::REASON_BUSY ? absl::OkStatus() : status);
}

// What is decided is in the record at once; the domain is defined anew at each start.
void EnforcementPass::Allocate() {
  const bool told = std::any_of(items_.begin(), items_.end(), [](const AppliedItem& item) {
    return item.item() == "allocation.memory";
  });
  if (!policy_ || items_.empty() || told) return;
  const bool started = domain_ && IsStarted(*domain_);
  const auto add = [&](const char* item, v1::ResourceKind kind, int64_t now) {
    const int64_t asked = QuantityOf(policy_->allocations(), kind);
    if (asked == 0) return;
    if (started && asked != now) {
      Add(item, AppliedItem::OUTCOME_NOT_APPLICABLE, "in force from the next start on");
    } else {
      Add(item, AppliedItem::OUTCOME_APPLIED);
    }
  };
  add("allocation.memory", v1::RESOURCE_KIND_MEMORY, domain_ ? domain_->spec.memory_mib : 0);
  add("allocation.processor", v1::RESOURCE_KIND_PROCESSOR, domain_ ? domain_->spec.cpu_count : 0);
}

void EnforcementPass::Record() {
  const absl::Status status = machines_.Change(id_, [&](MachineRecord& record) {
    record.vm.set_locked(IsLocked(policy_));
    if (!policy_) return;
    record.vm.set_policy_version(policy_->version());
    for (const v1::ResourceKind kind : {v1::RESOURCE_KIND_MEMORY, v1::RESOURCE_KIND_PROCESSOR}) {
      const int64_t asked = QuantityOf(policy_->allocations(), kind);
      if (asked > 0) SetQuantity(*record.vm.mutable_allocations(), kind, asked);
    }
  });
  if (!status.ok()) all_well_ = false;
  if (!domain_ || !IsStarted(*domain_)) return;
  // No event tells of a link that changed.
  const absl::StatusOr<Domain> now = hypervisor_.Get(id_);
  if (now.ok()) machines_.SetDomain(*now);
}

}  // namespace virmo::vm_controller
