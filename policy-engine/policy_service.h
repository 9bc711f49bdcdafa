// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "policy-engine/policy_engine.h"
#include "virmo/v1/policy_service.grpc.pb.h"

namespace virmo::policy_engine {

// PolicyService over the use cases. What is not overridden (TransferResources) answers
// UNIMPLEMENTED. Thread-safe; a stream keeps its handler's thread.
class PolicyService : public v1::PolicyService::Service {
 public:
  // `engine` must outlive it.
  explicit PolicyService(PolicyEngine& engine) : engine_(engine) {}

  grpc::Status GetPolicy(grpc::ServerContext* context, const v1::GetPolicyRequest* request,
                         v1::PolicyStatus* response) override;
  grpc::Status ListPolicies(grpc::ServerContext* context, const v1::ListPoliciesRequest* request,
                            v1::ListPoliciesResponse* response) override;
  grpc::Status WatchPolicyStatus(
      grpc::ServerContext* context, const v1::WatchPolicyStatusRequest* request,
      grpc::ServerWriter<v1::WatchPolicyStatusResponse>* writer) override;
  grpc::Status SetAllocations(grpc::ServerContext* context,
                              const v1::SetAllocationsRequest* request,
                              v1::PolicyStatus* response) override;
  grpc::Status ListPools(grpc::ServerContext* context, const v1::ListPoolsRequest* request,
                         v1::ListPoolsResponse* response) override;
  grpc::Status ListAllocationCapabilities(
      grpc::ServerContext* context, const v1::ListAllocationCapabilitiesRequest* request,
      v1::ListAllocationCapabilitiesResponse* response) override;
  grpc::Status LockVirtualMachine(grpc::ServerContext* context,
                                  const v1::LockVirtualMachineRequest* request,
                                  google::longrunning::Operation* response) override;
  grpc::Status UnlockVirtualMachine(grpc::ServerContext* context,
                                    const v1::UnlockVirtualMachineRequest* request,
                                    google::longrunning::Operation* response) override;
  grpc::Status UpdateLockSettings(grpc::ServerContext* context,
                                  const v1::UpdateLockSettingsRequest* request,
                                  v1::PolicyStatus* response) override;
  grpc::Status TransferResources(grpc::ServerContext* context,
                                 const v1::TransferResourcesRequest* request,
                                 google::longrunning::Operation* response) override;

  grpc::Status SetPeripheral(grpc::ServerContext* context, const v1::SetPeripheralRequest* request,
                             google::longrunning::Operation* response) override;
  grpc::Status SetSharing(grpc::ServerContext* context, const v1::SetSharingRequest* request,
                          v1::PolicyStatus* response) override;
  grpc::Status GetDevicePolicy(grpc::ServerContext* context,
                               const v1::GetDevicePolicyRequest* request,
                               v1::DevicePolicy* response) override;
  grpc::Status UpdateDevicePolicy(grpc::ServerContext* context,
                                  const v1::UpdateDevicePolicyRequest* request,
                                  v1::DevicePolicy* response) override;

 private:
  PolicyEngine& engine_;
};

}  // namespace virmo::policy_engine
