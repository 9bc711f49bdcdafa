// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "google/longrunning/operations.grpc.pb.h"
#include "services/runtime/journal.h"

namespace virmo {

// google.longrunning.Operations over a journal. DeleteOperation is UNIMPLEMENTED: an outcome is
// kept until it is old. WaitOperation waits for at most a minute.
class OperationsService : public google::longrunning::Operations::Service {
 public:
  explicit OperationsService(OperationJournal& journal) : journal_(journal) {}

  grpc::Status ListOperations(grpc::ServerContext* context,
                              const google::longrunning::ListOperationsRequest* request,
                              google::longrunning::ListOperationsResponse* response) override;
  grpc::Status GetOperation(grpc::ServerContext* context,
                            const google::longrunning::GetOperationRequest* request,
                            google::longrunning::Operation* response) override;
  grpc::Status CancelOperation(grpc::ServerContext* context,
                               const google::longrunning::CancelOperationRequest* request,
                               google::protobuf::Empty* response) override;
  grpc::Status WaitOperation(grpc::ServerContext* context,
                             const google::longrunning::WaitOperationRequest* request,
                             google::longrunning::Operation* response) override;

 private:
  OperationJournal& journal_;
};

}  // namespace virmo
