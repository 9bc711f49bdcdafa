// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/longrunning/operations.pb.h"
#include "policy-engine/disk_keys.h"
#include "policy-engine/enforcement.h"
#include "policy-engine/policy_store.h"
#include "policy-engine/user_unlocking.h"
#include "services/runtime/clock.h"
#include "services/runtime/journal.h"

namespace virmo::policy_engine {

// Decides locks (VirMO-HLF-14, HLF-15). A decision is durable, with its operation, when the call
// returns; Enforcement ends the operation. A later contrary decision ends an unfinished operation
// as CANCELLED. Thread-safe.
class Locking {
 public:
  struct Parts {
    PolicyStore& store;
    OperationJournal& journal;
    Enforcement& enforcement;
    DiskKeys& keys;
    UserUnlocking& unlocking;
  };

  Locking(const Parts& parts, Clock clock) : parts_(parts), clock_(std::move(clock)) {}

  // Legal in every state. The operation is done at once if the virtual machine is locked that way
  // already and the lock is in force. VM_NOT_FOUND; POLICY_FORBIDS for the management virtual
  // machine.
  absl::StatusOr<google::longrunning::Operation> Lock(const v1::LockVirtualMachineRequest& request);

  // As Lock. Of an encrypted virtual machine whose key is not on the device: KEY_UNAVAILABLE
  // without `released_key`, INVALID_ARGUMENT if that is another key.
  absl::StatusOr<google::longrunning::Operation> Unlock(
      const v1::UnlockVirtualMachineRequest& request);

  // Takes `mode`, `reason`, the grant to the user and its secret. KEY_UNAVAILABLE for a secret of
  // an encrypted virtual machine whose key is not on the device.
  absl::StatusOr<v1::PolicyStatus> UpdateSettings(const v1::UpdateLockSettingsRequest& request);

 private:
  // Runs `decide` unless the request was answered before. `decide` changes the record and returns
  // whether it did. `request` is stored: it holds no secret.
  template <typename Request, typename Decide>
  absl::StatusOr<google::longrunning::Operation> Run(const Request& request, v1::OperationKind kind,
                                                     Decide decide);
  absl::StatusOr<bool> DecideUnlock(const v1::UnlockVirtualMachineRequest& request, Record& record);
  absl::Status DecideSettings(const v1::UpdateLockSettingsRequest& request,
                              const std::optional<UserUnlocking::NewSecret>& secret,
                              Record& record);
  absl::Status CheckNotManagement(const Record& record);
  void Renew(Record& record);

  const Parts parts_;
  const Clock clock_;
};

}  // namespace virmo::policy_engine
