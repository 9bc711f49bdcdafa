// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/policy_service.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "policy-engine/policy_stream.h"
#include "services/runtime/error.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"

namespace virmo::policy_engine {
namespace {

constexpr int kDefaultPage = 50;
constexpr int kMaxPage = 1000;

template <typename Message>
grpc::Status Answer(absl::StatusOr<Message> result, Message* response) {
  if (!result.ok()) return ToGrpc(result.status());
  *response = *std::move(result);
  return grpc::Status::OK;
}

absl::StatusOr<v1::PolicyStatus> Get(PolicyStore& store, const std::string& name) {
  ASSIGN_OR_RETURN(const std::string id, VirtualMachineId(name, "virtual_machine"));
  ASSIGN_OR_RETURN(Record record, store.Load(id));
  return std::move(record.status);
}

absl::StatusOr<v1::ListPoliciesResponse> List(PolicyStore& store,
                                              const v1::ListPoliciesRequest& request) {
  if (request.page_size() < 0) return InvalidField("page_size", "must not be negative");
  if (!request.page_token().empty() && !IsUuid(request.page_token())) {
    return InvalidField("page_token", "is not one that ListPolicies returned");
  }
  const int size =
      request.page_size() == 0 ? kDefaultPage : std::min(request.page_size(), kMaxPage);
  ASSIGN_OR_RETURN(const std::vector<Record> records, store.List(request.page_token(), size + 1));
  v1::ListPoliciesResponse response;
  for (const Record& record : records) {
    if (response.policies_size() == size) {
      const std::string& last = response.policies(size - 1).policy().virtual_machine();
      response.set_next_page_token(*VirtualMachineId(last));
      break;
    }
    *response.add_policies() = record.status;
  }
  return response;
}

}  // namespace

grpc::Status PolicyService::GetPolicy(grpc::ServerContext* /*context*/,
                                      const v1::GetPolicyRequest* request,
                                      v1::PolicyStatus* response) {
  return Answer(Get(engine_.store, request->virtual_machine()), response);
}

grpc::Status PolicyService::ListPolicies(grpc::ServerContext* /*context*/,
                                         const v1::ListPoliciesRequest* request,
                                         v1::ListPoliciesResponse* response) {
  return Answer(List(engine_.store, *request), response);
}

grpc::Status PolicyService::WatchPolicyStatus(
    grpc::ServerContext* context, const v1::WatchPolicyStatusRequest* /*request*/,
    grpc::ServerWriter<v1::WatchPolicyStatusResponse>* writer) {
  return StreamPolicies(engine_.store, *context,
                        [&](const PolicyChange& change) { return writer->Write(change); });
}

grpc::Status PolicyService::SetAllocations(grpc::ServerContext* /*context*/,
                                           const v1::SetAllocationsRequest* request,
                                           v1::PolicyStatus* response) {
  return Answer(engine_.allocations.Set(*request), response);
}

grpc::Status PolicyService::ListPools(grpc::ServerContext* /*context*/,
                                      const v1::ListPoolsRequest* /*request*/,
                                      v1::ListPoolsResponse* response) {
  return ToGrpc(engine_.store.Read([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const std::vector<v1::ResourcePool> pools, engine_.pools.List());
    for (const v1::ResourcePool& pool : pools) *response->add_pools() = pool;
    return absl::OkStatus();
  }));
}

grpc::Status PolicyService::ListAllocationCapabilities(
    grpc::ServerContext* /*context*/, const v1::ListAllocationCapabilitiesRequest* /*request*/,
    v1::ListAllocationCapabilitiesResponse* response) {
  return ToGrpc(engine_.store.Read([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const auto capabilities, engine_.pools.Capabilities());
    for (const auto& one : capabilities) *response->add_capabilities() = one;
    return absl::OkStatus();
  }));
}

grpc::Status PolicyService::LockVirtualMachine(grpc::ServerContext* /*context*/,
                                               const v1::LockVirtualMachineRequest* request,
                                               google::longrunning::Operation* response) {
  return Answer(engine_.locking.Lock(*request), response);
}

grpc::Status PolicyService::UnlockVirtualMachine(grpc::ServerContext* /*context*/,
                                                 const v1::UnlockVirtualMachineRequest* request,
                                                 google::longrunning::Operation* response) {
  return Answer(engine_.locking.Unlock(*request), response);
}

grpc::Status PolicyService::SetPeripheral(grpc::ServerContext* /*context*/,
                                          const v1::SetPeripheralRequest* request,
                                          google::longrunning::Operation* response) {
  return Answer(engine_.peripherals.Set(*request), response);
}

grpc::Status PolicyService::SetSharing(grpc::ServerContext* /*context*/,
                                       const v1::SetSharingRequest* request,
                                       v1::PolicyStatus* response) {
  return Answer(engine_.sharing.Set(*request), response);
}

grpc::Status PolicyService::GetDevicePolicy(grpc::ServerContext* /*context*/,
                                            const v1::GetDevicePolicyRequest* /*request*/,
                                            v1::DevicePolicy* response) {
  return Answer(engine_.sharing.GetDevice(), response);
}

grpc::Status PolicyService::UpdateDevicePolicy(grpc::ServerContext* /*context*/,
                                               const v1::UpdateDevicePolicyRequest* request,
                                               v1::DevicePolicy* response) {
  return Answer(engine_.sharing.UpdateDevice(*request), response);
}

grpc::Status PolicyService::UpdateLockSettings(grpc::ServerContext* /*context*/,
                                               const v1::UpdateLockSettingsRequest* request,
                                               v1::PolicyStatus* response) {
  return Answer(engine_.locking.UpdateSettings(*request), response);
}

grpc::Status PolicyService::TransferResources(grpc::ServerContext* /*context*/,
                                              const v1::TransferResourcesRequest* request,
                                              google::longrunning::Operation* response) {
  return Answer(engine_.transfers.Transfer(*request), response);
}

}  // namespace virmo::policy_engine
