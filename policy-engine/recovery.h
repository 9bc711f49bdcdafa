// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "policy-engine/disk_keys.h"
#include "policy-engine/policy_store.h"
#include "policy-engine/user_unlock_store.h"
#include "services/runtime/clock.h"
#include "services/runtime/outbox.h"

namespace virmo::policy_engine {

// What happens when the controller knows more than we do: our record was lost, or is older than
// the one it enforces (a database put back from a copy). Then nobody knows any more whether the
// virtual machine is locked, so it is: by `policy-engine`, with a version above the controller's,
// and with an alert `PolicyViolation`. Methods belong in a PolicyStore::Change and leave the
// record to be saved by the caller.
class Recovery {
 public:
  // All must outlive it.
  Recovery(PolicyStore& store, DiskKeys& keys, UserUnlockStore& unlocks, Outbox& outbox,
           Clock clock)
      : store_(store), keys_(keys), unlocks_(unlocks), outbox_(outbox), clock_(std::move(clock)) {}

  // Makes a record for a virtual machine that has none.
  absl::StatusOr<Record> MakeLocked(const std::string& id, const v1::InventoryItem& item);

  // Locks a record whose version is lower than `known_version`.
  absl::Status LockOutdated(Record& record, int64_t known_version);

 private:
  absl::Status Lock(Record& record, int64_t version, const std::string& reason);

  PolicyStore& store_;
  DiskKeys& keys_;
  UserUnlockStore& unlocks_;
  Outbox& outbox_;
  const Clock clock_;
};

}  // namespace virmo::policy_engine
