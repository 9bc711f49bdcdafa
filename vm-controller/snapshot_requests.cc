// SPDX-License-Identifier: Apache-2.0
// The part of Requests that deals with snapshots.
#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"
#include "vm-controller/machine_validation.h"
#include "vm-controller/requests.h"

namespace virmo::vm_controller {
namespace {

template <typename Request>
Requests::Change ChangeOf(v1::OperationKind kind, const std::string& vm_id,
                          const Request& request) {
  return {kind, VirtualMachineName(vm_id), request.request_id(), request.initiator(), false, ""};
}

}  // namespace

absl::StatusOr<std::vector<v1::Snapshot>> Requests::ListSnapshots(const std::string& parent) {
  ASSIGN_OR_RETURN(const std::string vm_id, VirtualMachineId(parent, "parent"));
  RETURN_IF_ERROR(shop_.machines.store().Get(vm_id).status());
  return shop_.snapshots.List(vm_id);
}

absl::StatusOr<Requests::Operation> Requests::CreateSnapshot(
    const v1::CreateSnapshotRequest& request) {
  ASSIGN_OR_RETURN(const std::string vm_id, VirtualMachineId(request.parent(), "parent"));
  RETURN_IF_ERROR(CheckRequestId(request.request_id()));
  ASSIGN_OR_RETURN(const std::optional<Operation> first,
                   shop_.journal.FindRequest(request.request_id(), request));
  if (first) return *first;
  RETURN_IF_ERROR(CheckDescription(request.description()));
  const std::string id = SnapshotIdOf(request);
  if (!ParseSnapshotName(SnapshotName(vm_id, id)).ok()) {
    return InvalidField("snapshot_id", "want 1 to 63 of [a-z0-9-]");
  }
  if (shop_.snapshots.Get({vm_id, id}).ok()) {
    return Error(v1::ErrorInfo::REASON_ALREADY_EXISTS,
                 absl::StrCat("there is already ", SnapshotName(vm_id, id)));
  }
  return Accept(ChangeOf(v1::OPERATION_KIND_SNAPSHOT, vm_id, request), request);
}

absl::StatusOr<Requests::Operation> Requests::RevertToSnapshot(
    const v1::RevertToSnapshotRequest& request) {
  ASSIGN_OR_RETURN(const SnapshotPath path, ParseSnapshotName(request.name()));
  RETURN_IF_ERROR(CheckRequestId(request.request_id()));
  ASSIGN_OR_RETURN(const std::optional<Operation> first,
                   shop_.journal.FindRequest(request.request_id(), request));
  if (first) return *first;
  RETURN_IF_ERROR(shop_.machines.store().Get(path.vm_id).status());
  RETURN_IF_ERROR(shop_.snapshots.Get(path).status());
  return Accept(ChangeOf(v1::OPERATION_KIND_REVERT, path.vm_id, request), request);
}

absl::StatusOr<Requests::Operation> Requests::DeleteSnapshot(
    const v1::DeleteSnapshotRequest& request) {
  ASSIGN_OR_RETURN(const SnapshotPath path, ParseSnapshotName(request.name()));
  RETURN_IF_ERROR(CheckRequestId(request.request_id()));
  ASSIGN_OR_RETURN(const std::optional<Operation> first,
                   shop_.journal.FindRequest(request.request_id(), request));
  if (first) return *first;
  RETURN_IF_ERROR(shop_.machines.store().Get(path.vm_id).status());
  RETURN_IF_ERROR(shop_.snapshots.Get(path).status());
  return Accept(ChangeOf(v1::OPERATION_KIND_SNAPSHOT_DELETE, path.vm_id, request), request);
}

}  // namespace virmo::vm_controller
