// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "policy-engine/disk_keys.h"
#include "policy-engine/enforcement.h"
#include "policy-engine/policy_store.h"
#include "policy-engine/user_secret.h"
#include "policy-engine/user_unlock_store.h"
#include "services/runtime/clock.h"
#include "services/runtime/mutex.h"
#include "services/runtime/outbox.h"
#include "services/runtime/periodic_task.h"
#include "services/runtime/process.h"
#include "virmo/v1/user_unlock_service.pb.h"

namespace virmo::policy_engine {

// The user's unlock under the server's grant (VirMO-HLF-16), off line. What an attacker with the
// device may try, and what is done against it:
//   guessing            attempts are counted, durably, before the secret is looked at; the counter
//                       is also in the controller's database before that (see Unlock);
//   killing, rebooting  an attempt that was cut short counts as failed;
//   guessing in parallel  one guess at a time, each counted;
//   an older database   ours below the controller's count, or the controller's below what it has
//                       confirmed to us, uses up the grant (TakeInventory);
//   the clock           time only goes forward for a grant (Tick).
// Both databases put back from copies of the same moment cannot be told from the original: that
// needs a counter in hardware. Thread-safe.
class UserUnlocking {
 public:
  struct Parts {
    PolicyStore& store;
    UserUnlockStore& rows;
    DiskKeys& keys;
    Enforcement& enforcement;
    Outbox& outbox;
  };

  struct Options {
    // What a new secret costs to check, Argon2id: 3 passes over 64 MiB (RFC 9106).
    int64_t memory = int64_t{64} << 20;
    // How long the controller may take to store an attempt.
    absl::Duration confirmation = absl::Seconds(10);
  };

  UserUnlocking(const Parts& parts, Clock clock, const Options& options);

  // A secret of the server's for the user, made slow to guess. Takes time: not for use in a
  // change. INVALID_ARGUMENT if it is too short or too long.
  struct NewSecret {
    UserSecret stored;
    Key stretched;
  };
  absl::StatusOr<NewSecret> Prepare(const std::string& secret) const;

  // In a change: the server has changed the grant from `before` to what is in the record.
  // `renewed`: attempts begin at 0. Withdrawing it destroys the secret. KEY_UNAVAILABLE for a
  // secret of an encrypted virtual machine whose key is not on the device. The caller saves.
  absl::Status TakeGrant(const v1::UserUnlock& before, bool renewed,
                         const std::optional<NewSecret>& secret, Record& record);

  // In a change: compares the controller's count of attempts with ours. The caller saves.
  absl::Status TakeInventory(const v1::InventoryItem& item, Record& record);

  // `name`: the resource name or the display name. VM_NOT_FOUND.
  absl::StatusOr<v1::GetLockResponse> GetLock(const std::string& name);

  // Waits, at most Options.confirmation, until the controller has confirmed that it stored the
  // attempt, and only then looks at the secret; other guesses wait meanwhile, nothing else does.
  // VM_NOT_FOUND; FAILED_PRECONDITION (USER_UNLOCK_REFUSED); UNAVAILABLE without a confirmation:
  // nothing was learnt, and nothing counts.
  absl::StatusOr<v1::UnlockByUserResponse> Unlock(const v1::UnlockByUserRequest& request,
                                                  const Caller& caller);

  // Ends what a crash cut short: attempts under way then have failed.
  absl::Status Settle();

  // Lets time pass for grants that end. Returns how long until it is due again.
  absl::Duration Tick();
  // Calls it when it is due, on a thread of its own, until destruction.
  void Start();

 private:
  struct Attempt {
    std::string id;
    int64_t total = 0;
    int64_t version = 0;
    bool counted = false;    // METHOD_SECRET.
    bool exhausted = false;  // Refused whatever the secret.
    std::optional<UserSecret> secret;
    std::optional<v1::Lock> done;  // There is nothing left to do.
  };

  absl::StatusOr<std::string> IdOf(const std::string& name);
  absl::Status Begin(const Caller& caller, Attempt& attempt);
  absl::Status Count(Record& record, Attempt& attempt);
  absl::Status AwaitConfirmation(const Attempt& attempt);
  absl::Status GiveBack(const Attempt& attempt);
  absl::Status Fail(const Attempt& attempt, const Caller& caller);
  absl::Status Open(Record& record, const std::optional<Key>& stretched, const Caller& caller);
  absl::Status TellIfExhausted(Record& record, UserUnlockRow& row, const std::string& detail);
  absl::Status Tell(const Record& record, int result_code, const std::string& detail);
  void Exhaust(Record& record);
  void Renew(Record& record);
  absl::StatusOr<absl::Time> Latest(const std::string& id);
  absl::Status AdvanceRows(bool* any);

  const Parts parts_;
  const Clock clock_;
  const Options options_;
  Mutex guess_;  // One guess at a time.
  Mutex mutex_;
  absl::Duration uptime_ ABSL_GUARDED_BY(mutex_);  // As of the last Tick.
  std::unique_ptr<PeriodicTask> timer_;
};

}  // namespace virmo::policy_engine
