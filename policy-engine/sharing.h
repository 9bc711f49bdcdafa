// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "policy-engine/policy_store.h"
#include "services/runtime/clock.h"
#include "services/runtime/sqlite.h"

namespace virmo::policy_engine {

// Decides which data virtual machines may exchange (VirMO-HLF-07), and keeps the resolved
// decisions of every pair up to date. Thread-safe.
class Sharing {
 public:
  static Schema GetSchema();

  // `database` is that of `store`; both must outlive it.
  Sharing(Database& database, PolicyStore& store, Clock clock)
      : database_(database), store_(store), clock_(std::move(clock)) {}

  // Replaces the rules of one virtual machine. VM_NOT_FOUND; NOT_ENFORCEABLE for opening a channel
  // that the controller says this host does not have.
  absl::StatusOr<v1::PolicyStatus> Set(const v1::SetSharingRequest& request);

  absl::StatusOr<v1::DevicePolicy> GetDevice();
  // A repeated request of the same content changes nothing.
  absl::StatusOr<v1::DevicePolicy> UpdateDevice(const v1::UpdateDevicePolicyRequest& request);

  // In a change, after `record` was changed or made: resolves it against all others, which are
  // saved where their decisions change. The caller saves `record`.
  absl::Status Resolve(Record& record);

  // In a change, after a virtual machine was removed: nobody shares with it any more.
  absl::Status Forget(const std::string& id);

 private:
  absl::Status Decide(const v1::SetSharingRequest& request, Record& record);
  absl::Status CheckEnforceable(const v1::SetSharingRequest& request);
  absl::Status SaveNewVersion(Record& record);

  Database& database_;
  PolicyStore& store_;
  const Clock clock_;
};

}  // namespace virmo::policy_engine
