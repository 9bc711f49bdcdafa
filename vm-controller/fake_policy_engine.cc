// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/fake_policy_engine.h"

#include <utility>

#include "services/runtime/error.h"
#include "services/runtime/resource_name.h"

namespace virmo::vm_controller {
namespace {

absl::Status Away() {
  return Error(v1::ErrorInfo::REASON_SERVICE_UNAVAILABLE, "the fake policy-engine is away",
               {{"service", "policy-engine"}});
}

}  // namespace

v1::EffectivePolicy FakePolicyEngine::SetLock(const std::string& id, bool locked,
                                              v1::Lock::Mode mode) {
  MutexLock lock(mutex_);
  v1::EffectivePolicy& policy = policies_[VirtualMachineName(id)];
  policy.set_virtual_machine(VirtualMachineName(id));
  policy.set_version(policy.version() + 1);
  policy.mutable_lock()->set_locked(locked);
  policy.mutable_lock()->set_mode(mode);
  return policy;
}

void FakePolicyEngine::SetReachable(bool reachable) {
  MutexLock lock(mutex_);
  reachable_ = reachable;
}

void FakePolicyEngine::RefuseNext(const absl::Status& status) {
  MutexLock lock(mutex_);
  refusal_ = status;
}

void FakePolicyEngine::OnAdmit(std::function<void(int, const v1::AdmitRequest&)> hook) {
  MutexLock lock(mutex_);
  hook_ = std::move(hook);
  admits_ = 0;
}

v1::AppliedItem::Outcome FakePolicyEngine::OutcomeOf(const std::string& id,
                                                     const std::string& item) {
  MutexLock lock(mutex_);
  for (const v1::AppliedItem& applied : applied_[VirtualMachineName(id)].items()) {
    if (applied.item() == item) return applied.outcome();
  }
  return v1::AppliedItem::OUTCOME_UNSPECIFIED;
}

int64_t FakePolicyEngine::AppliedVersion(const std::string& id) {
  MutexLock lock(mutex_);
  return applied_[VirtualMachineName(id)].policy_version();
}

std::vector<v1::ReportInventoryRequest> FakePolicyEngine::Inventories() {
  MutexLock lock(mutex_);
  return inventories_;
}

absl::StatusOr<v1::AdmitResponse> FakePolicyEngine::Admit(const v1::AdmitRequest& request) {
  std::function<void(int, const v1::AdmitRequest&)> hook;
  int calls = 0;
  {
    MutexLock lock(mutex_);
    hook = hook_;
    calls = ++admits_;
  }
  if (hook) hook(calls, request);
  MutexLock lock(mutex_);
  if (!reachable_) return Away();
  if (!refusal_.ok()) return std::exchange(refusal_, absl::OkStatus());
  v1::EffectivePolicy& policy = policies_[request.virtual_machine()];
  policy.set_virtual_machine(request.virtual_machine());
  if (policy.version() == 0) policy.set_version(1);
  if (policy.lock().locked() && request.kind() != v1::OPERATION_KIND_DOWNLOAD_PROVISION) {
    return Error(v1::ErrorInfo::REASON_VM_LOCKED, "locked");
  }
  v1::AdmitResponse response;
  response.set_policy_version(policy.version());
  *response.mutable_policy() = policy;
  return response;
}

absl::StatusOr<v1::ReportAppliedResponse> FakePolicyEngine::ReportApplied(
    const v1::ReportAppliedRequest& request) {
  MutexLock lock(mutex_);
  if (!reachable_) return Away();
  applied_[request.virtual_machine()] = request;
  return v1::ReportAppliedResponse();
}

absl::StatusOr<v1::ReportInventoryResponse> FakePolicyEngine::ReportInventory(
    const v1::ReportInventoryRequest& request) {
  MutexLock lock(mutex_);
  if (!reachable_) return Away();
  inventories_.push_back(request);
  return v1::ReportInventoryResponse();
}

}  // namespace virmo::vm_controller
