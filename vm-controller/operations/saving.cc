// SPDX-License-Identifier: Apache-2.0
// Suspend and Resume (VirMO-HLF-12, HLF-13).
#include <algorithm>

#include "services/runtime/error.h"
#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"
#include "vm-controller/operation_plan.h"
#include "vm-controller/operations/launch.h"

namespace virmo::vm_controller {
namespace {

using v1::VirtualMachine;

absl::Status Save(const Job& job) {
  ActWatch watch;
  watch.is_cancelled = job.is_cancelled;
  watch.on_progress = [&job](int64_t done, int64_t total) {
    const int percent = total > 0 ? static_cast<int>(std::min(done, total) * 99 / total) : 0;
    job.shop.journal.SetProgress(job.id, percent, done, total);
  };
  return job.shop.hypervisor.Save(job.vm_id, watch);
}

// A save that failed half-way may leave the guest standing still: it is to run on, unless
// something holds it.
absl::Status RunOn(const Job& job) {
  ASSIGN_OR_RETURN(const Domain domain, job.shop.hypervisor.Get(job.vm_id));
  if (domain.state != DomainState::kPaused) return absl::OkStatus();
  const absl::Status status = LetRun(job);
  return ReasonOf(status) == v1::ErrorInfo::REASON_VM_LOCKED ||
                 ReasonOf(status) == v1::ErrorInfo::REASON_CANCELLED
             ? absl::OkStatus()
             : status;
}

// What may be gone or forbidden when the state is loaded again must not be in it. It comes back
// with the policy's next enforcement, also when the save fails.
absl::Status TakeDevicesOut(const Job& job) {
  ASSIGN_OR_RETURN(const Domain domain, job.shop.hypervisor.Get(job.vm_id));
  if (!IsStarted(domain)) return absl::OkStatus();
  for (PolicyPart* part : job.shop.parts) RETURN_IF_ERROR(part->BeforeSave(job.vm_id));
  return absl::OkStatus();
}

// A start from the saved state uses it up. What may not run after it is saved again.
absl::Status SaveAgain(const Job& job) {
  ASSIGN_OR_RETURN(const Domain domain, job.shop.hypervisor.Get(job.vm_id));
  if (!IsStarted(domain)) return absl::OkStatus();
  return job.shop.hypervisor.Save(job.vm_id);
}

}  // namespace

// A guest that has no agent keeps the time it had; one that is locked has none.
void SetClockSoon(const Job& job) {
  job.shop.errands.Run(job.vm_id, [&hypervisor = job.shop.hypervisor, id = job.vm_id] {
    const absl::Status status = hypervisor.SetGuestClock(id);
    if (!status.ok()) spdlog::info("kept its clock vm={} cause=\"{}\"", id, status.message());
  });
}

Plan MakeSuspendPlan(Job& job) {
  Plan plan;
  plan.steps = {{"devices", [&job] { return TakeDevicesOut(job); }},
                {"save", [&job] { return Save(job); }}};
  plan.roll_back = [&job] { return RunOn(job); };
  plan.on_success = [&job](MachineRecord& record) {
    record.vm.set_paused_by_lock(false);
    job.shop.consoles.Detach(job.vm_id);
  };
  plan.on_failure = [](MachineRecord& record) { record.suspended_by_lock = false; };
  return plan;
}

Plan MakeResumePlan(Job& job) {
  Plan plan;
  plan.steps = LaunchSteps(job, StartFrom::kSavedState, v1::OPERATION_KIND_RESUME);
  plan.roll_back = [&job] { return SaveAgain(job); };
  plan.on_success = [&job](MachineRecord& record) {
    record.suspended_by_lock = false;
    SetClockSoon(job);
  };
  plan.on_failure = [](MachineRecord& record) {
    record.vm.set_state(VirtualMachine::STATE_SUSPENDED);
  };
  return plan;
}

}  // namespace virmo::vm_controller
