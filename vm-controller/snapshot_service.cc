// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/snapshot_service.h"

#include "services/runtime/error.h"

namespace virmo::vm_controller {
namespace {

grpc::Status Answer(absl::StatusOr<google::longrunning::Operation> result,
                    google::longrunning::Operation* response) {
  if (!result.ok()) return ToGrpc(result.status());
  *response = *std::move(result);
  return grpc::Status::OK;
}

}  // namespace

grpc::Status SnapshotServiceImpl::CreateSnapshot(grpc::ServerContext*,
                                                 const v1::CreateSnapshotRequest* request,
                                                 google::longrunning::Operation* response) {
  return Answer(requests_.CreateSnapshot(*request), response);
}

grpc::Status SnapshotServiceImpl::ListSnapshots(grpc::ServerContext*,
                                                const v1::ListSnapshotsRequest* request,
                                                v1::ListSnapshotsResponse* response) {
  const absl::StatusOr<std::vector<v1::Snapshot>> all = requests_.ListSnapshots(request->parent());
  if (!all.ok()) return ToGrpc(all.status());
  response->mutable_snapshots()->Assign(all->begin(), all->end());
  return grpc::Status::OK;
}

grpc::Status SnapshotServiceImpl::RevertToSnapshot(grpc::ServerContext*,
                                                   const v1::RevertToSnapshotRequest* request,
                                                   google::longrunning::Operation* response) {
  return Answer(requests_.RevertToSnapshot(*request), response);
}

grpc::Status SnapshotServiceImpl::DeleteSnapshot(grpc::ServerContext*,
                                                 const v1::DeleteSnapshotRequest* request,
                                                 google::longrunning::Operation* response) {
  return Answer(requests_.DeleteSnapshot(*request), response);
}

}  // namespace virmo::vm_controller
