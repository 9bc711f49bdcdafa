// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/operation_plan.h"

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "virmo/v1/virtual_machine_service.pb.h"
#include "vm-controller/state_machine.h"

namespace virmo::vm_controller {
namespace {

absl::Status Damaged() {
  return Error(v1::ErrorInfo::REASON_STORAGE_FAILED, "the recorded request is damaged");
}

absl::StatusOr<Plan> MakeStop(Job& job) {
  v1::StopVirtualMachineRequest request;
  if (!job.entry.request.UnpackTo(&request)) return Damaged();
  const absl::Duration timeout = request.has_timeout()
                                     ? absl::Seconds(request.timeout().seconds()) +
                                           absl::Nanoseconds(request.timeout().nanos())
                                     : absl::Seconds(job.shop.config.stop_timeout_seconds());
  return MakeStopPlan(job, request.force(), request.force_after_timeout(), timeout);
}

absl::StatusOr<Plan> MakeClone(Job& job) {
  v1::CloneVirtualMachineRequest request;
  if (!job.entry.request.UnpackTo(&request)) return Damaged();
  return MakeClonePlan(job, NewMachineId(request.virtual_machine_id(), job.id), request.linked());
}

}  // namespace

absl::StatusOr<Plan> MakePlan(Job& job) {
  switch (job.entry.metadata.kind()) {
    case v1::OPERATION_KIND_START:
      return MakeStartPlan(job);
    case v1::OPERATION_KIND_STOP:
      return MakeStop(job);
    case v1::OPERATION_KIND_PAUSE:
      return MakePausePlan(job);
    case v1::OPERATION_KIND_UNPAUSE:
      return MakeUnpausePlan(job);
    case v1::OPERATION_KIND_SUSPEND:
      return MakeSuspendPlan(job);
    case v1::OPERATION_KIND_RESUME:
      return MakeResumePlan(job);
    case v1::OPERATION_KIND_DELETE:
      return MakeDeletePlan(job);
    case v1::OPERATION_KIND_SNAPSHOT:
      return MakeSnapshotPlan(job);
    case v1::OPERATION_KIND_REVERT:
      return MakeRevertPlan(job);
    case v1::OPERATION_KIND_SNAPSHOT_DELETE:
      return MakeSnapshotDeletePlan(job);
    case v1::OPERATION_KIND_CLONE:
      return MakeClone(job);
    case v1::OPERATION_KIND_DOWNLOAD:
    case v1::OPERATION_KIND_DOWNLOAD_PROVISION:
      return MakeProvisionPlan(job);
    case v1::OPERATION_KIND_EXPORT:
      return MakeExportPlan(job);
    default:
      return Error(
          v1::ErrorInfo::REASON_NOT_SUPPORTED,
          absl::StrCat("this controller cannot ", OperationWord(job.entry.metadata.kind())));
  }
}

}  // namespace virmo::vm_controller
