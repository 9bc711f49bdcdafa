// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "grpcpp/channel.h"
#include "virmo/v1/policy_enforcement_service.grpc.pb.h"
#include "vm-controller/policy_engine.h"

namespace virmo::vm_controller {

// policy-engine over gRPC.
class PolicyClient : public PolicyEngine {
 public:
  explicit PolicyClient(std::shared_ptr<grpc::Channel> channel);

  absl::StatusOr<v1::AdmitResponse> Admit(const v1::AdmitRequest& request) override;
  absl::StatusOr<v1::ReportAppliedResponse> ReportApplied(
      const v1::ReportAppliedRequest& request) override;
  absl::StatusOr<v1::ReportInventoryResponse> ReportInventory(
      const v1::ReportInventoryRequest& request) override;

 private:
  const std::unique_ptr<v1::PolicyEnforcementService::Stub> stub_;
};

}  // namespace virmo::vm_controller
