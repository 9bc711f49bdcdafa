// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "policy-engine/policy_engine.h"
#include "virmo/v1/policy_enforcement_service.grpc.pb.h"

namespace virmo::policy_engine {

// PolicyEnforcementService, for the controller, over the use cases. Thread-safe; a stream keeps
// its handler's thread.
class PolicyEnforcementService : public v1::PolicyEnforcementService::Service {
 public:
  // `engine` must outlive it.
  explicit PolicyEnforcementService(PolicyEngine& engine) : engine_(engine) {}

  grpc::Status Admit(grpc::ServerContext* context, const v1::AdmitRequest* request,
                     v1::AdmitResponse* response) override;
  grpc::Status WatchEffectivePolicies(
      grpc::ServerContext* context, const v1::WatchEffectivePoliciesRequest* request,
      grpc::ServerWriter<v1::WatchEffectivePoliciesResponse>* writer) override;
  grpc::Status ReportApplied(grpc::ServerContext* context, const v1::ReportAppliedRequest* request,
                             v1::ReportAppliedResponse* response) override;
  grpc::Status ReportInventory(grpc::ServerContext* context,
                               const v1::ReportInventoryRequest* request,
                               v1::ReportInventoryResponse* response) override;

  grpc::Status ObtainDiskKey(grpc::ServerContext* context, const v1::ObtainDiskKeyRequest* request,
                             v1::ObtainDiskKeyResponse* response) override;

 private:
  PolicyEngine& engine_;
};

}  // namespace virmo::policy_engine
