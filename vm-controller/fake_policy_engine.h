// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "services/runtime/mutex.h"
#include "vm-controller/policy_engine.h"

namespace virmo::vm_controller {

// A policy-engine in memory, for tests: admits whatever is not locked.
class FakePolicyEngine : public PolicyEngine {
 public:
  // Decides, and returns what its stream would bring.
  v1::EffectivePolicy SetLock(const std::string& id, bool locked,
                              v1::Lock::Mode mode = v1::Lock::MODE_ISOLATE_AND_PAUSE);
  void SetReachable(bool reachable);
  // The next Admit is refused.
  void RefuseNext(const absl::Status& status);
  // Called in each Admit, with the number of calls so far, before it decides.
  void OnAdmit(std::function<void(int calls, const v1::AdmitRequest& request)> hook);

  // The outcome last reported of an item; UNSPECIFIED if none.
  v1::AppliedItem::Outcome OutcomeOf(const std::string& id, const std::string& item);
  int64_t AppliedVersion(const std::string& id);
  std::vector<v1::ReportInventoryRequest> Inventories();

  absl::StatusOr<v1::AdmitResponse> Admit(const v1::AdmitRequest& request) override;
  absl::StatusOr<v1::ReportAppliedResponse> ReportApplied(
      const v1::ReportAppliedRequest& request) override;
  absl::StatusOr<v1::ReportInventoryResponse> ReportInventory(
      const v1::ReportInventoryRequest& request) override;

 private:
  Mutex mutex_;
  std::map<std::string, v1::EffectivePolicy> policies_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, v1::ReportAppliedRequest> applied_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::ReportInventoryRequest> inventories_ ABSL_GUARDED_BY(mutex_);
  std::function<void(int, const v1::AdmitRequest&)> hook_ ABSL_GUARDED_BY(mutex_);
  absl::Status refusal_ ABSL_GUARDED_BY(mutex_);
  int admits_ ABSL_GUARDED_BY(mutex_) = 0;
  bool reachable_ ABSL_GUARDED_BY(mutex_) = true;
};

}  // namespace virmo::vm_controller
