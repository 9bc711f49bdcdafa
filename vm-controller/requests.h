// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "google/longrunning/operations.pb.h"
#include "virmo/v1/snapshot_service.pb.h"
#include "virmo/v1/virtual_machine_service.pb.h"
#include "vm-controller/operation_runner.h"
#include "vm-controller/policy_reporter.h"
#include "vm-controller/state_machine.h"

namespace virmo::vm_controller {

// Accepts or refuses requests to change virtual machines. What it accepts is durable when it
// returns, and begun. A repeated request id returns the first outcome. Thread-safe.
class Requests {
 public:
  using Operation = google::longrunning::Operation;

  // A request to change one virtual machine.
  struct Change {
    v1::OperationKind kind = v1::OPERATION_KIND_UNSPECIFIED;
    std::string name;
    std::string request_id;
    v1::Initiator initiator;
    bool force = false;
    std::string etag;
  };

  // All must outlive it.
  Requests(Workshop& shop, Database& database, PolicyReporter& reporter, OperationRunner& runner)
      : shop_(shop), database_(database), reporter_(reporter), runner_(runner) {}

  // Start, Stop, Pause, Unpause, Suspend, Resume, Delete; `request` is what is recorded.
  absl::StatusOr<Operation> Accept(const Change& change, const google::protobuf::Message& request);

  absl::StatusOr<Operation> Clone(const v1::CloneVirtualMachineRequest& request);
  absl::StatusOr<Operation> Create(const v1::CreateVirtualMachineRequest& request);
  absl::StatusOr<Operation> CreateSnapshot(const v1::CreateSnapshotRequest& request);
  absl::StatusOr<std::vector<v1::Snapshot>> ListSnapshots(const std::string& parent);
  absl::StatusOr<Operation> RevertToSnapshot(const v1::RevertToSnapshotRequest& request);
  absl::StatusOr<Operation> DeleteSnapshot(const v1::DeleteSnapshotRequest& request);
  absl::StatusOr<v1::VirtualMachine> Update(const v1::UpdateVirtualMachineRequest& request);

 private:
  absl::StatusOr<Verdict> Check(const Change& change, const MachineRecord& record);
  absl::StatusOr<Operation> Begin(const Change& change, const std::string& vm_id,
                                  const google::protobuf::Message& request);
  absl::StatusOr<Operation> NothingToDo(const Change& change, const std::string& vm_id,
                                        const google::protobuf::Message& request);
  absl::Status CheckReachable();
  absl::Status Admit(const v1::AdmitRequest& request);
  absl::StatusOr<MachineRecord> MakeRecord(const v1::CreateVirtualMachineRequest& request);
  absl::Status CheckCreate(const v1::CreateVirtualMachineRequest& request);
  absl::StatusOr<Operation> Download(const v1::CreateVirtualMachineRequest& request);
  absl::Status CheckLinked(const v1::CloneVirtualMachineRequest& request,
                           const MachineRecord& source);
  absl::StatusOr<MachineRecord> MakeCopy(const v1::CloneVirtualMachineRequest& request,
                                         const MachineRecord& source);
  absl::StatusOr<std::string> FreeCloneName(const std::string& source_name);
  absl::StatusOr<Operation> BeginNew(const MachineRecord& record, const Change& change,
                                     const std::string& target, v1::AdmitRequest admit,
                                     const google::protobuf::Message& request);
  absl::Status CheckRoomForOneMore();
  absl::Status CheckFeatures(const v1::VirtualMachine& wanted);

  Workshop& shop_;
  Database& database_;
  PolicyReporter& reporter_;
  OperationRunner& runner_;
};

}  // namespace virmo::vm_controller
