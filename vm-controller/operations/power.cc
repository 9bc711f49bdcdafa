// SPDX-License-Identifier: Apache-2.0
// Start, Stop, Pause, Unpause.
#include <algorithm>

#include "absl/time/clock.h"
#include "google/protobuf/util/time_util.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "vm-controller/operation_plan.h"
#include "vm-controller/operations/launch.h"

namespace virmo::vm_controller {
namespace {

using v1::VirtualMachine;

constexpr absl::Duration kLookEvery = absl::Milliseconds(100);
// A guest that is still booting ignores the power button: it is pressed again.
constexpr absl::Duration kAskAgainAfter = absl::Seconds(5);

void ForgetRun(MachineRecord& record) {
  record.vm.set_paused(false);
  record.vm.set_paused_by_lock(false);
  record.suspended_by_lock = false;
}

absl::Status CutPower(const Job& job) {
  const absl::Status status = job.shop.hypervisor.Destroy(job.vm_id);
  // No domain: nothing runs.
  if (ReasonOf(status) == v1::ErrorInfo::REASON_VM_NOT_FOUND) return absl::OkStatus();
  return status;
}

absl::StatusOr<bool> IsOff(const Job& job) {
  const absl::StatusOr<Domain> domain = job.shop.hypervisor.Get(job.vm_id);
  if (ReasonOf(domain.status()) == v1::ErrorInfo::REASON_VM_NOT_FOUND) return true;
  RETURN_IF_ERROR(domain.status());
  return !IsStarted(*domain);
}

// A guest that stands still cannot obey: a pause is ended for it. That of a lock too, since the
// lock has closed every channel to it, and the enforcer lets a guest that is to stop run as long as
// this operation does; it stands still again if it does not stop.
absl::Status Wake(const Job& job) {
  const std::shared_ptr<Mutex> gate = job.shop.machines.GateOf(job.vm_id);
  MutexLock lock(*gate);
  ASSIGN_OR_RETURN(const MachineRecord record, job.shop.machines.store().Get(job.vm_id));
  ASSIGN_OR_RETURN(const auto policy, job.shop.machines.store().GetPolicy(job.vm_id));
  ASSIGN_OR_RETURN(const bool off, IsOff(job));
  if (off || (!record.vm.paused() && !record.vm.paused_by_lock())) return absl::OkStatus();
  if (IsLocked(policy)) {
    const AccessReport closed = job.shop.hypervisor.SetAccess(job.vm_id, Access::kClosed);
    for (const absl::Status& status : {closed.network, closed.agent}) {
      if (!status.ok() && ReasonOf(status) != v1::ErrorInfo::REASON_NOT_SUPPORTED) return status;
    }
  }
  RETURN_IF_ERROR(job.shop.machines.Change(job.vm_id, [](MachineRecord& changed) {
    changed.vm.set_paused(false);
    changed.vm.set_paused_by_lock(false);
  }));
  return job.shop.hypervisor.Run(job.vm_id);
}

struct Patience {
  absl::Time deadline;
  absl::Time usual_deadline;
  bool force = false;
};

// A locked guest computes, isolated, only to stop: no longer than is usual, whatever was asked.
absl::StatusOr<absl::Time> DeadlineOf(const Job& job, const Patience& patience) {
  ASSIGN_OR_RETURN(const auto policy, job.shop.machines.store().GetPolicy(job.vm_id));
  return IsLocked(policy) ? std::min(patience.deadline, patience.usual_deadline)
                          : patience.deadline;
}

absl::Status GiveUp(const Job& job, const Patience& patience) {
  if (patience.force) return CutPower(job);
  return Error(v1::ErrorInfo::REASON_TIMED_OUT,
               "the guest did not stop in time; use force to cut its power");
}

absl::Status AwaitOff(const Job& job, const Patience& patience) {
  absl::Time ask_again = absl::Now() + kAskAgainAfter;
  while (true) {
    ASSIGN_OR_RETURN(const bool off, IsOff(job));
    if (off) return absl::OkStatus();
    if (job.is_cancelled()) {
      return Error(v1::ErrorInfo::REASON_CANCELLED, "cancelled while the guest was to stop");
    }
    ASSIGN_OR_RETURN(const absl::Time deadline, DeadlineOf(job, patience));
    if (absl::Now() > deadline) return GiveUp(job, patience);
    if (absl::Now() > ask_again) {
      RETURN_IF_ERROR(job.shop.hypervisor.RequestShutdown(job.vm_id));
      ask_again = absl::Now() + kAskAgainAfter;
    }
    absl::SleepFor(kLookEvery);
  }
}

absl::Status AskToStop(const Job& job) {
  ASSIGN_OR_RETURN(const bool off, IsOff(job));
  if (off) return absl::OkStatus();
  const absl::Status status = job.shop.hypervisor.RequestShutdown(job.vm_id);
  if (status.ok()) return status;
  // It stands still, or ended by itself at this moment: the next step finds out.
  ASSIGN_OR_RETURN(const Domain domain, job.shop.hypervisor.Get(job.vm_id));
  return domain.state == DomainState::kRunning ? status : absl::OkStatus();
}

absl::Status Pause(const Job& job) {
  const std::shared_ptr<Mutex> gate = job.shop.machines.GateOf(job.vm_id);
  MutexLock lock(*gate);
  return job.shop.hypervisor.Pause(job.vm_id);
}

// The pause is taken back in the record first: LetRun lets nothing run that a pause holds.
absl::Status Unpause(const Job& job) {
  RETURN_IF_ERROR(Admit(job, v1::OPERATION_KIND_UNPAUSE));
  RETURN_IF_ERROR(job.shop.machines.Change(
      job.vm_id, [](MachineRecord& record) { record.vm.set_paused(false); }));
  return LetRun(job);
}

}  // namespace

Plan MakeStartPlan(Job& job) {
  Plan plan;
  plan.steps = LaunchSteps(job, StartFrom::kBoot, v1::OPERATION_KIND_START);
  plan.roll_back = [&job] { return CutPower(job); };
  plan.on_success = [](MachineRecord& record) { record.vm.set_state_detail(""); };
  plan.on_failure = [](MachineRecord& record) {
    record.vm.set_state(VirtualMachine::STATE_STOPPED);
    ForgetRun(record);
  };
  return plan;
}

Plan MakeStopPlan(Job& job, bool force, bool force_after_timeout, absl::Duration timeout) {
  Plan plan;
  if (force) {
    plan.steps = {{"destroy", [&job] { return CutPower(job); }}};
  } else {
    // From the acceptance on, also after a restart of ours.
    const absl::Time accepted =
        absl::FromUnixMicros(google::protobuf::util::TimeUtil::TimestampToMicroseconds(
            job.entry.metadata.create_time()));
    const absl::Duration usual = absl::Seconds(job.shop.config.stop_timeout_seconds());
    const Patience patience = {accepted + timeout, accepted + usual, force_after_timeout};
    plan.steps = {{"wake", [&job] { return Wake(job); }},
                  {"ask", [&job] { return AskToStop(job); }},
                  {"await", [&job, patience] { return AwaitOff(job, patience); }}};
  }
  plan.on_success = [&job](MachineRecord& record) {
    ForgetRun(record);
    record.vm.set_state_detail("");
    job.shop.consoles.Detach(job.vm_id);
  };
  return plan;
}

Plan MakePausePlan(Job& job) {
  Plan plan;
  plan.steps = {{"pause", [&job] { return Pause(job); }}};
  plan.on_success = [](MachineRecord& record) { record.vm.set_paused(true); };
  return plan;
}

Plan MakeUnpausePlan(Job& job) {
  Plan plan;
  plan.steps = {{"run", [&job] { return Unpause(job); }}};
  plan.on_success = [](MachineRecord& record) { record.vm.set_paused(false); };
  plan.on_failure = [](MachineRecord& record) { record.vm.set_paused(true); };
  return plan;
}

}  // namespace virmo::vm_controller
