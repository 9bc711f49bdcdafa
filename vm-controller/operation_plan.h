// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "google/protobuf/message.h"
#include "services/runtime/journal.h"
#include "services/runtime/worker_pool.h"
#include "virmo/config/v1/vm_controller_config.pb.h"
#include "virmo/v1/snapshot_service.pb.h"
#include "vm-controller/console_hub.h"
#include "vm-controller/disk_layers.h"
#include "vm-controller/hypervisor.h"
#include "vm-controller/image/image_store.h"
#include "vm-controller/machine_files.h"
#include "vm-controller/machines.h"
#include "vm-controller/policy_engine.h"
#include "vm-controller/policy_part.h"
#include "vm-controller/snapshot_store.h"

namespace virmo::vm_controller {

// What operations act on. All outlive every operation.
struct Workshop {
  const config::v1::VmControllerConfig& config;
  const MachineFiles& files;
  OperationJournal& journal;
  Machines& machines;
  Hypervisor& hypervisor;
  PolicyEngine& policy;
  ImageStore& images;
  ConsoleHub& consoles;
  SnapshotStore& snapshots;
  DiskLayers& layers;
  // What is done soon after an operation, beside the next; lost if this process ends.
  WorkerPool& errands;
  // What holds beside the lock; asked before a guest is let run and before its state is saved.
  PolicyParts parts;
};

// One operation at work.
struct Job {
  Workshop& shop;
  std::string id;     // The request id.
  std::string vm_id;  // The virtual machine it acts on.
  OperationJournal::Entry entry;
  // Whether it is to end early: cancelled, or this process shuts down.
  std::function<bool()> is_cancelled;
};

// A step: looks whether its work is done already, and does it if not. So it can be repeated.
struct Step {
  std::string name;
  std::function<absl::Status()> act;
};

// How an operation is done. The steps are done in order; after a crash all of them again, from
// the first.
struct Plan {
  enum class Fate { kKeep, kRemove, kRemoveForGood };

  std::vector<Step> steps;
  // Undoes what was done, when a step failed. What it cannot undo the reconciler finds.
  std::function<absl::Status()> roll_back = [] { return absl::OkStatus(); };
  // What becomes of the record (its state is set by kind, unless `on_…` sets it).
  std::function<void(MachineRecord&)> on_success = [](MachineRecord&) {};
  std::function<void(MachineRecord&)> on_failure = [](MachineRecord&) {};
  // Done in the transaction of the end.
  std::function<absl::Status(const absl::Status& outcome)> at_end = [](const absl::Status&) {
    return absl::OkStatus();
  };
  Fate fate_on_success = Fate::kKeep;
  std::function<Fate()> fate_on_failure = [] { return Fate::kKeep; };
  // Done once the end is recorded; not after a crash.
  std::function<void()> after_end = [] {};
  // The virtual machine that the response is; empty: `vm_id`.
  std::string result_id;
  // The response, if it is no virtual machine; filled in by the time `at_end` is done.
  std::shared_ptr<const google::protobuf::Message> response;
};

// The plan of the operation. UNIMPLEMENTED (NOT_SUPPORTED) for a kind there is none for.
absl::StatusOr<Plan> MakePlan(Job& job);

Plan MakeStartPlan(Job& job);
Plan MakeStopPlan(Job& job, bool force, bool force_after_timeout, absl::Duration timeout);
Plan MakePausePlan(Job& job);
Plan MakeUnpausePlan(Job& job);
Plan MakeSuspendPlan(Job& job);
Plan MakeResumePlan(Job& job);
Plan MakeDeletePlan(Job& job);
absl::StatusOr<Plan> MakeSnapshotPlan(Job& job);
absl::StatusOr<Plan> MakeRevertPlan(Job& job);
absl::StatusOr<Plan> MakeSnapshotDeletePlan(Job& job);
Plan MakeClonePlan(Job& job, const std::string& clone_id, bool linked);
absl::StatusOr<Plan> MakeProvisionPlan(Job& job);
absl::StatusOr<Plan> MakeExportPlan(Job& job);

// The id of the virtual machine that a request makes: the one it names, or one that follows from
// its request id, so that a repeat makes the same.
std::string NewMachineId(const std::string& wanted_id, const std::string& request_id);

// The id of the snapshot that a request takes: the one it names, or one made of its request id.
std::string SnapshotIdOf(const v1::CreateSnapshotRequest& request);

}  // namespace virmo::vm_controller
