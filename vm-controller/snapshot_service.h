// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "virmo/v1/snapshot_service.grpc.pb.h"
#include "vm-controller/requests.h"

namespace virmo::vm_controller {

// SnapshotService: messages in, messages out. Thread-safe.
class SnapshotServiceImpl : public v1::SnapshotService::Service {
 public:
  // `requests` must outlive it.
  explicit SnapshotServiceImpl(Requests& requests) : requests_(requests) {}

  grpc::Status CreateSnapshot(grpc::ServerContext* context,
                              const v1::CreateSnapshotRequest* request,
                              google::longrunning::Operation* response) override;
  grpc::Status ListSnapshots(grpc::ServerContext* context, const v1::ListSnapshotsRequest* request,
                             v1::ListSnapshotsResponse* response) override;
  grpc::Status RevertToSnapshot(grpc::ServerContext* context,
                                const v1::RevertToSnapshotRequest* request,
                                google::longrunning::Operation* response) override;
  grpc::Status DeleteSnapshot(grpc::ServerContext* context,
                              const v1::DeleteSnapshotRequest* request,
                              google::longrunning::Operation* response) override;

 private:
  Requests& requests_;
};

}  // namespace virmo::vm_controller
