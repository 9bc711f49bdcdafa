// SPDX-License-Identifier: Apache-2.0
// Snapshot, Revert, and removing a snapshot.
#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "virmo/v1/snapshot_service.pb.h"
#include "vm-controller/operation_plan.h"
#include "vm-controller/operations/disk_room.h"
#include "vm-controller/operations/launch.h"

namespace virmo::vm_controller {
namespace {

using v1::VirtualMachine;

absl::Status Damaged() {
  return Error(v1::ErrorInfo::REASON_STORAGE_FAILED, "the recorded request is damaged");
}

// The memory of a running guest goes into its disk.
absl::Status CheckRoom(const Job& job) {
  ASSIGN_OR_RETURN(const Domain domain, job.shop.hypervisor.Get(job.vm_id));
  return CheckDiskRoom(job.shop, domain.memory_mib << 20);
}

// A guest that stood still while its memory was written, and whose controller was killed just
// then, is to run on.
absl::Status RunOn(const Job& job) {
  ASSIGN_OR_RETURN(const Domain domain, job.shop.hypervisor.Get(job.vm_id));
  ASSIGN_OR_RETURN(const MachineRecord record, job.shop.machines.store().Get(job.vm_id));
  if (domain.state != DomainState::kPaused || record.vm.paused_by_lock()) return absl::OkStatus();
  const absl::Status status = LetRun(job);
  return ReasonOf(status) == v1::ErrorInfo::REASON_VM_LOCKED ? absl::OkStatus() : status;
}

absl::Status Count(const Job& job) {
  ASSIGN_OR_RETURN(const std::vector<v1::Snapshot> all, job.shop.snapshots.List(job.vm_id));
  return job.shop.machines.Change(job.vm_id, [&](MachineRecord& record) {
    record.vm.set_snapshot_count(static_cast<int>(all.size()));
  });
}

absl::Status Revert(const Job& job, const SnapshotPath& path) {
  ASSIGN_OR_RETURN(const v1::Snapshot snapshot, job.shop.snapshots.Get(path));
  if (snapshot.with_memory()) {
    RETURN_IF_ERROR(Admit(job, v1::OPERATION_KIND_START));
  }
  const std::shared_ptr<Mutex> gate = job.shop.machines.GateOf(job.vm_id);
  MutexLock lock(*gate);
  ASSIGN_OR_RETURN(const auto policy, job.shop.machines.store().GetPolicy(job.vm_id));
  if (IsLocked(policy)) return Error(v1::ErrorInfo::REASON_VM_LOCKED, "it was locked meanwhile");
  return job.shop.hypervisor.RevertToSnapshot(job.vm_id, path.snapshot_id);
}

// As it was at the snapshot: a guest that ran then runs on from there.
absl::Status GoOn(const Job& job, const SnapshotPath& path) {
  ASSIGN_OR_RETURN(const v1::Snapshot snapshot, job.shop.snapshots.Get(path));
  if (!snapshot.with_memory()) {
    job.shop.consoles.Detach(job.vm_id);
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(job.shop.machines.Change(
      job.vm_id, [](MachineRecord& record) { record.vm.set_paused(false); }));
  job.shop.consoles.Attach(job.vm_id);
  RETURN_IF_ERROR(OpenChannels(job));
  return LetRun(job);
}

VirtualMachine::State StateSeen(const Job& job, VirtualMachine::State unknown) {
  const absl::StatusOr<Domain> domain = job.shop.hypervisor.Get(job.vm_id);
  if (!domain.ok()) return unknown;
  return IsStarted(*domain) ? VirtualMachine::STATE_RUNNING : VirtualMachine::STATE_STOPPED;
}

}  // namespace

std::string SnapshotIdOf(const v1::CreateSnapshotRequest& request) {
  return request.snapshot_id().empty() ? absl::StrCat("s-", request.request_id().substr(0, 8))
                                       : request.snapshot_id();
}

absl::StatusOr<Plan> MakeSnapshotPlan(Job& job) {
  v1::CreateSnapshotRequest request;
  if (!job.entry.request.UnpackTo(&request)) return Damaged();
  const auto snapshot = std::make_shared<v1::Snapshot>();
  const std::string id = SnapshotIdOf(request);
  snapshot->set_name(SnapshotName(job.vm_id, id));
  snapshot->set_description(request.description());
  *snapshot->mutable_create_time() = job.entry.metadata.create_time();
  Plan plan;
  plan.steps = {{"take",
                 [&job, id]() -> absl::Status {
                   RETURN_IF_ERROR(CheckRoom(job));
                   return job.shop.hypervisor.TakeSnapshot(job.vm_id, id);
                 }},
                {"run", [&job] { return RunOn(job); }}};
  plan.roll_back = [&job, id]() -> absl::Status {
    RETURN_IF_ERROR(job.shop.hypervisor.DeleteSnapshot(job.vm_id, id));
    return RunOn(job);
  };
  plan.at_end = [&job, id, snapshot](const absl::Status& outcome) -> absl::Status {
    if (!outcome.ok()) return absl::OkStatus();
    ASSIGN_OR_RETURN(const MachineRecord record, job.shop.machines.store().Get(job.vm_id));
    snapshot->set_with_memory(record.vm.state() == VirtualMachine::STATE_RUNNING);
    RETURN_IF_ERROR(job.shop.snapshots.Add({job.vm_id, id}, *snapshot));
    return Count(job);
  };
  plan.response = snapshot;
  return plan;
}

absl::StatusOr<Plan> MakeRevertPlan(Job& job) {
  v1::RevertToSnapshotRequest request;
  if (!job.entry.request.UnpackTo(&request)) return Damaged();
  ASSIGN_OR_RETURN(const SnapshotPath path, ParseSnapshotName(request.name()));
  Plan plan;
  plan.steps = {{"revert", [&job, path] { return Revert(job, path); }},
                {"run", [&job, path] { return GoOn(job, path); }}};
  // What was before is gone: the state is what is seen.
  const auto settle = [&job](MachineRecord& record) {
    record.vm.set_state(StateSeen(job, record.vm.state()));
    record.vm.set_requested_state(record.vm.state());
    record.vm.set_paused(false);
    record.vm.set_state_detail("");
  };
  plan.on_success = [&job, settle](MachineRecord& record) {
    settle(record);
    if (record.vm.state() == VirtualMachine::STATE_RUNNING) SetClockSoon(job);
  };
  plan.on_failure = settle;
  return plan;
}

absl::StatusOr<Plan> MakeSnapshotDeletePlan(Job& job) {
  v1::DeleteSnapshotRequest request;
  if (!job.entry.request.UnpackTo(&request)) return Damaged();
  ASSIGN_OR_RETURN(const SnapshotPath path, ParseSnapshotName(request.name()));
  Plan plan;
  plan.steps = {{"drop", [&job, path] {
                   return job.shop.hypervisor.DeleteSnapshot(job.vm_id, path.snapshot_id);
                 }}};
  plan.at_end = [&job, path](const absl::Status& outcome) -> absl::Status {
    if (!outcome.ok()) return absl::OkStatus();
    RETURN_IF_ERROR(job.shop.snapshots.Remove(path));
    return Count(job);
  };
  return plan;
}

}  // namespace virmo::vm_controller
