// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "google/longrunning/operations.pb.h"
#include "policy-engine/enforcement.h"
#include "policy-engine/policy_store.h"
#include "services/runtime/clock.h"
#include "services/runtime/journal.h"

namespace virmo::policy_engine {

// Decides which classes of peripherals a virtual machine has (VirMO-HLF-06). What is not decided
// is denied. A decision is durable, with its operation, when the call returns; Enforcement ends
// the operation with the controller's report of that class. Thread-safe.
class Peripherals {
 public:
  struct Parts {
    PolicyStore& store;
    OperationJournal& journal;
    Enforcement& enforcement;
  };

  Peripherals(const Parts& parts, Clock clock) : parts_(parts), clock_(std::move(clock)) {}

  // Sets the rule of one class. Done at once if it is so and in force already. VM_NOT_FOUND;
  // VM_LOCKED for giving a class to a locked virtual machine; taking one is always legal.
  absl::StatusOr<google::longrunning::Operation> Set(const v1::SetPeripheralRequest& request);

 private:
  absl::Status Decide(const v1::SetPeripheralRequest& request,
                      const v1::OperationMetadata& metadata, const std::string& id);

  const Parts parts_;
  const Clock clock_;
};

}  // namespace virmo::policy_engine
