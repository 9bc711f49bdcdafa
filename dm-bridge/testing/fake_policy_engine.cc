// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/testing/fake_device.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "google/protobuf/util/field_mask_util.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {

using google::longrunning::Operation;

void FakePolicyEngine::Put(const v1::PolicyStatus& status, bool quietly) {
  {
    MutexLock lock(mutex_);
    policies_[status.policy().virtual_machine()] = status;
  }
  if (quietly) return;
  v1::WatchPolicyStatusResponse response;
  *response.mutable_changed() = status;
  events_.Publish(response);
}

std::vector<v1::SetAllocationsRequest> FakePolicyEngine::set_allocations() {
  MutexLock lock(mutex_);
  return set_allocations_;
}
std::vector<v1::LockVirtualMachineRequest> FakePolicyEngine::locks() {
  MutexLock lock(mutex_);
  return locks_;
}

std::vector<std::string> FakePolicyEngine::secrets() {
  MutexLock lock(mutex_);
  return secrets_;
}

std::vector<v1::SetPeripheralRequest> FakePolicyEngine::peripherals() {
  MutexLock lock(mutex_);
  return peripherals_;
}

grpc::Status FakePolicyEngine::SetPeripheral(grpc::ServerContext*,
                                             const v1::SetPeripheralRequest* request,
                                             Operation* operation) {
  MutexLock lock(mutex_);
  peripherals_.push_back(*request);
  v1::EffectivePolicy& policy = *policies_[request->virtual_machine()].mutable_policy();
  policy.clear_peripherals();
  *policy.add_peripherals() = request->rule();
  operation->set_name(absl::StrCat("operations/", request->request_id()));
  return grpc::Status::OK;
}

grpc::Status FakePolicyEngine::GetPolicy(grpc::ServerContext*, const v1::GetPolicyRequest* request,
                                         v1::PolicyStatus* response) {
  MutexLock lock(mutex_);
  const auto found = policies_.find(request->virtual_machine());
  if (found == policies_.end()) {
    return ToGrpc(Error(v1::ErrorInfo::REASON_VM_NOT_FOUND, "no policy"));
  }
  *response = found->second;
  return grpc::Status::OK;
}

grpc::Status FakePolicyEngine::WatchPolicyStatus(
    grpc::ServerContext* context, const v1::WatchPolicyStatusRequest*,
    grpc::ServerWriter<v1::WatchPolicyStatusResponse>* writer) {
  Broadcast<v1::WatchPolicyStatusResponse>::Subscription subscription(events_);
  v1::WatchPolicyStatusResponse response;
  {
    MutexLock lock(mutex_);
    for (const auto& [name, status] : policies_) {
      *response.mutable_changed() = status;
      writer->Write(response);
    }
  }
  response.clear_changed();
  response.set_synchronized(true);
  writer->Write(response);
  using State = decltype(subscription)::State;
  while (!context->IsCancelled()) {
    const State state = subscription.Next(absl::Milliseconds(100), &response);
    if (state == State::kClosed) break;
    if (state == State::kEvent) writer->Write(response);
  }
  return grpc::Status::OK;
}

grpc::Status FakePolicyEngine::SetAllocations(grpc::ServerContext*,
                                              const v1::SetAllocationsRequest* request,
                                              v1::PolicyStatus* response) {
  MutexLock lock(mutex_);
  set_allocations_.push_back(*request);
  v1::PolicyStatus& status = policies_[request->virtual_machine()];
  if (request->etag() != status.etag()) {
    return ToGrpc(Error(v1::ErrorInfo::REASON_STALE_ETAG, "read again"));
  }
  for (const v1::Allocation& set : request->allocations()) {
    for (v1::Allocation& asked : *status.mutable_policy()->mutable_allocations()) {
      if (asked.kind() == set.kind()) asked = set;
    }
  }
  *response = status;
  return grpc::Status::OK;
}

grpc::Status FakePolicyEngine::ListPools(grpc::ServerContext*, const v1::ListPoolsRequest*,
                                         v1::ListPoolsResponse* response) {
  v1::ResourcePool& pool = *response->add_pools();
  pool.set_kind(v1::RESOURCE_KIND_MEMORY);
  pool.set_primordial(true);
  pool.set_capacity(7680);
  pool.set_reserved(1000);
  pool.set_host_reserve(512);
  return grpc::Status::OK;
}

grpc::Status FakePolicyEngine::ListAllocationCapabilities(
    grpc::ServerContext*, const v1::ListAllocationCapabilitiesRequest*,
    v1::ListAllocationCapabilitiesResponse* response) {
  v1::AllocationCapabilities& memory = *response->add_capabilities();
  memory.set_kind(v1::RESOURCE_KIND_MEMORY);
  memory.set_minimum(16);
  memory.set_maximum(4096);
  return grpc::Status::OK;
}

grpc::Status FakePolicyEngine::LockVirtualMachine(grpc::ServerContext*,
                                                  const v1::LockVirtualMachineRequest* request,
                                                  Operation* operation) {
  MutexLock lock(mutex_);
  locks_.push_back(*request);
  policies_[request->virtual_machine()].mutable_policy()->mutable_lock()->set_locked(true);
  operation->set_name(absl::StrCat("operations/", request->request_id()));
  return grpc::Status::OK;
}

grpc::Status FakePolicyEngine::UpdateLockSettings(grpc::ServerContext*,
                                                  const v1::UpdateLockSettingsRequest* request,
                                                  v1::PolicyStatus* response) {
  MutexLock lock(mutex_);
  v1::Lock& held = *policies_[request->virtual_machine()].mutable_policy()->mutable_lock();
  google::protobuf::util::FieldMaskUtil::MergeOptions options;
  options.set_replace_message_fields(true);
  google::protobuf::util::FieldMaskUtil::MergeMessageTo(request->lock(), request->update_mask(),
                                                        options, &held);
  if (!request->user_secret().empty()) secrets_.push_back(request->user_secret());
  *response = policies_[request->virtual_machine()];
  return grpc::Status::OK;
}

std::vector<v1::TransferResourcesRequest> FakePolicyEngine::transfers() {
  MutexLock lock(mutex_);
  return transfers_;
}

grpc::Status FakePolicyEngine::TransferResources(grpc::ServerContext*,
                                                 const v1::TransferResourcesRequest* request,
                                                 Operation* operation) {
  MutexLock lock(mutex_);
  if (request->transfer().memory_mib() > 1000) {
    return ToGrpc(Error(v1::ErrorInfo::REASON_INSUFFICIENT_RESOURCES, "it has not so much"));
  }
  operation->set_name(absl::StrCat("operations/", request->request_id()));
  v1::OperationMetadata metadata;
  metadata.set_alert_id("alert");
  operation->mutable_metadata()->PackFrom(metadata);
  transfers_.push_back(*request);
  on_transfer(*operation);
  return grpc::Status::OK;
}

}  // namespace virmo::dm_bridge
