// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "policy-engine/disk_keys.h"
#include "policy-engine/policy_store.h"
#include "policy-engine/pools.h"
#include "policy-engine/sharing.h"
#include "services/runtime/clock.h"
#include "virmo/v1/policy_enforcement_service.pb.h"

namespace virmo::policy_engine {

// Decides whether a transition may happen, and reserves what it needs. Each decision is one change
// of the store, so that a lock comes wholly before or wholly after it. Thread-safe.
class Admission {
 public:
  // All must outlive it.
  Admission(PolicyStore& store, Pools& pools, DiskKeys& keys, Sharing& sharing, Clock clock)
      : store_(store), pools_(pools), keys_(keys), sharing_(sharing), clock_(std::move(clock)) {}

  // See PolicyEnforcementService.Admit. Repeating with the same operation checks the lock again
  // and reserves nothing more; of one that makes a virtual machine it may change, once, what is
  // asked. FAILED_PRECONDITION (VM_LOCKED): locked, or without a record, which counts as locked;
  // RESOURCE_EXHAUSTED (INSUFFICIENT_RESOURCES); ALREADY_EXISTS: another operation made a virtual
  // machine of this id; FAILED_PRECONDITION (KEY_UNAVAILABLE): encrypted, and its key is not on
  // the device or, if it is new, could not be kept.
  absl::StatusOr<v1::AdmitResponse> Admit(const v1::AdmitRequest& request);

 private:
  absl::StatusOr<Record> AdmitNew(const std::string& id, const v1::AdmitRequest& request);
  absl::StatusOr<Record> AdmitExisting(const std::string& id, const v1::AdmitRequest& request);
  absl::Status Amend(Record& record, const v1::AdmitRequest& request);
  absl::StatusOr<Record> MakeRecord(const std::string& id, const v1::AdmitRequest& request,
                                    const Record& source);

  PolicyStore& store_;
  Pools& pools_;
  DiskKeys& keys_;
  Sharing& sharing_;
  const Clock clock_;
};

}  // namespace virmo::policy_engine
