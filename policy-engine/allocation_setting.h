// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "policy-engine/policy_store.h"
#include "policy-engine/pools.h"
#include "services/runtime/clock.h"
#include "virmo/v1/policy_service.pb.h"

namespace virmo::policy_engine {

// Decides what a virtual machine is allotted (VirMO-HLF-05). Thread-safe.
class AllocationSetting {
 public:
  // Both must outlive it.
  AllocationSetting(PolicyStore& store, Pools& pools, Clock clock)
      : store_(store), pools_(pools), clock_(std::move(clock)) {}

  // See PolicyService.SetAllocations. VM_NOT_FOUND; STALE_ETAG; INVALID_ARGUMENT; POLICY_FORBIDS
  // beyond a configured bound; INSUFFICIENT_RESOURCES if it holds resources and the pool has too
  // little left; NOT_SUPPORTED for kinds that nothing enforces.
  absl::StatusOr<v1::PolicyStatus> Set(const v1::SetAllocationsRequest& request);

 private:
  absl::Status Decide(const v1::SetAllocationsRequest& request, Record& record);

  PolicyStore& store_;
  Pools& pools_;
  const Clock clock_;
};

}  // namespace virmo::policy_engine
