// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/user_unlocking.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "policy-engine/policy_alert.h"
#include "policy-engine/user_grant.h"
#include "services/runtime/error.h"
#include "services/runtime/fault_point.h"
#include "services/runtime/logging.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"

namespace virmo::policy_engine {
namespace {

constexpr absl::Duration kLook = absl::Milliseconds(10);

// The one answer to every failure: it tells a guesser nothing.
absl::Status Refused() {
  return Error(v1::ErrorInfo::REASON_USER_UNLOCK_REFUSED, "unlocking was refused");
}

}  // namespace

absl::StatusOr<std::string> UserUnlocking::IdOf(const std::string& name) {
  if (const auto id = VirtualMachineId(name, "virtual_machine"); id.ok()) return *id;
  ASSIGN_OR_RETURN(const std::optional<std::string> id, parts_.store.FindByDisplayName(name));
  if (id) return *id;
  return Error(v1::ErrorInfo::REASON_VM_NOT_FOUND, "there is no such virtual machine");
}

absl::StatusOr<v1::GetLockResponse> UserUnlocking::GetLock(const std::string& name) {
  v1::GetLockResponse response;
  RETURN_IF_ERROR(parts_.store.Read([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const std::string id, IdOf(name));
    ASSIGN_OR_RETURN(const Record record, parts_.store.Load(id));
    *response.mutable_lock() = record.status.policy().lock();
    return absl::OkStatus();
  }));
  return response;
}

absl::StatusOr<v1::UnlockByUserResponse> UserUnlocking::Unlock(
    const v1::UnlockByUserRequest& request, const Caller& caller) {
  if (request.secret().size() > kMaxSecretBytes) return Refused();
  MutexLock one(guess_);
  Attempt attempt;
  RETURN_IF_ERROR(parts_.store.Read([&]() -> absl::Status {
    ASSIGN_OR_RETURN(attempt.id, IdOf(request.virtual_machine()));
    return absl::OkStatus();
  }));
  (void)Tick();
  bool refused = false;
  RETURN_IF_ERROR(parts_.store.Change([&]() -> absl::Status {
    const absl::Status status = Begin(caller, attempt);
    // What it has recorded (an alert) is kept.
    refused = ReasonOf(status) == v1::ErrorInfo::REASON_USER_UNLOCK_REFUSED;
    return refused ? absl::OkStatus() : status;
  }));
  if (refused) return Refused();
  v1::UnlockByUserResponse response;
  if (attempt.counted) {
    FaultPoint("unlock.counted");
    RETURN_IF_ERROR(AwaitConfirmation(attempt));
    std::optional<Key> stretched;
    if (!attempt.exhausted) {
      ASSIGN_OR_RETURN(stretched, Stretch(request.secret(), *attempt.secret));
    }
    const bool right = stretched && SameOctets(VerifierOf(*stretched), attempt.secret->verifier);
    FaultPoint("unlock.checked");
    RETURN_IF_ERROR(parts_.store.Change([&]() -> absl::Status {
      if (!right) return Fail(attempt, caller);
      ASSIGN_OR_RETURN(Record record, parts_.store.Load(attempt.id));
      ASSIGN_OR_RETURN(const UserUnlockRow row, parts_.rows.Load(attempt.id));
      // The server may have taken the grant back, or given another one, meanwhile.
      const bool same = row.secret && row.secret->verifier == attempt.secret->verifier;
      if (!same || !GrantOf(record).allowed()) return Refused();
      RETURN_IF_ERROR(Open(record, stretched, caller));
      attempt.done = record.status.policy().lock();
      return absl::OkStatus();
    }));
    FaultPoint("unlock.ended");
    if (!right) return Refused();
  }
  *response.mutable_lock() = *attempt.done;
  return response;
}

absl::Status UserUnlocking::Begin(const Caller& caller, Attempt& attempt) {
  ASSIGN_OR_RETURN(Record record, parts_.store.Load(attempt.id));
  const v1::Lock& lock = record.status.policy().lock();
  if (!lock.locked()) {
    attempt.done = lock;
    return absl::OkStatus();
  }
  const v1::UserUnlock grant = lock.user_unlock();
  ASSIGN_OR_RETURN(const absl::Time now, Latest(attempt.id));
  std::string why;
  if (!grant.allowed()) why = "not granted";
  if (grant.has_valid_until() && FromTimestamp(grant.valid_until()) <= now) why = "expired";
  const bool by_secret = grant.method() != v1::UserUnlock::METHOD_NONE;
  if (why.empty() && by_secret && !grant.has_secret()) why = "no secret is set";
  if (why.empty() && by_secret && IsExhausted(grant) && !AwaitsWipe(grant)) {
    why = "attempts are used up";
  }
  if (why.empty() && !by_secret && DiskKeys::IsEncrypted(record)) why = "its key needs the server";
  if (!why.empty()) {
    spdlog::warn("refused unlock by user vm={} uid={} user={} cause=\"{}\"",
                 VirtualMachineName(record.id), caller.uid, caller.name, why);
    return Refused();
  }
  if (by_secret) return Count(record, attempt);
  RETURN_IF_ERROR(Open(record, std::nullopt, caller));
  attempt.done = record.status.policy().lock();
  return absl::OkStatus();
}

absl::Status UserUnlocking::Count(Record& record, Attempt& attempt) {
  ASSIGN_OR_RETURN(const UserUnlockRow row, parts_.rows.Load(attempt.id));
  if (!row.secret) return Refused();
  v1::EffectivePolicy& policy = *record.status.mutable_policy();
  v1::UserUnlock& grant = GrantOf(record);
  attempt.exhausted = IsExhausted(grant);
  attempt.counted = true;
  attempt.secret = row.secret;
  grant.set_attempts(grant.attempts() + 1);
  policy.set_unlock_attempts_total(policy.unlock_attempts_total() + 1);
  Renew(record);
  attempt.total = policy.unlock_attempts_total();
  attempt.version = policy.version();
  return parts_.store.Save(record);
}

absl::Status UserUnlocking::AwaitConfirmation(const Attempt& attempt) {
  const absl::Time deadline = absl::Now() + options_.confirmation;
  while (true) {
    bool confirmed = false;
    RETURN_IF_ERROR(parts_.store.Read([&]() -> absl::Status {
      ASSIGN_OR_RETURN(const Record record, parts_.store.Load(attempt.id));
      ASSIGN_OR_RETURN(const UserUnlockRow row, parts_.rows.Load(attempt.id));
      confirmed = row.confirmed_total >= attempt.total ||
                  record.status.applied_version() >= attempt.version;
      return absl::OkStatus();
    }));
    if (confirmed) return absl::OkStatus();
    if (absl::Now() >= deadline) break;
    absl::SleepFor(kLook);
  }
  RETURN_IF_ERROR(parts_.store.Change([&] { return GiveBack(attempt); }));
  return Error(v1::ErrorInfo::REASON_SERVICE_UNAVAILABLE,
               "the controller does not confirm that it counts attempts; try again when it runs",
               {{"service", "vm-controller"}});
}

// The secret was not looked at. The total never goes down.
absl::Status UserUnlocking::GiveBack(const Attempt& attempt) {
  ASSIGN_OR_RETURN(Record record, parts_.store.Load(attempt.id));
  v1::UserUnlock& grant = GrantOf(record);
  if (grant.attempts() == 0) return absl::OkStatus();
  grant.set_attempts(grant.attempts() - 1);
  Renew(record);
  return parts_.store.Save(record);
}

absl::Status UserUnlocking::Fail(const Attempt& attempt, const Caller& caller) {
  ASSIGN_OR_RETURN(Record record, parts_.store.Load(attempt.id));
  ASSIGN_OR_RETURN(UserUnlockRow row, parts_.rows.Load(attempt.id));
  spdlog::warn("refused unlock by user vm={} uid={} user={} attempts={} cause=\"{}\"",
               VirtualMachineName(record.id), caller.uid, caller.name, GrantOf(record).attempts(),
               attempt.exhausted ? "attempts are used up" : "wrong secret");
  return TellIfExhausted(
      record, row, absl::StrCat("last attempt by user ", caller.name, " (uid ", caller.uid, ")"));
}

absl::Status UserUnlocking::TellIfExhausted(Record& record, UserUnlockRow& row,
                                            const std::string& detail) {
  const v1::UserUnlock grant = GrantOf(record);
  const bool wipe = grant.wipe_after() > 0 && !AwaitsWipe(grant) && !record.status.policy().wipe();
  const bool tell = IsExhausted(grant) && !row.exhaustion_told;
  if (!wipe && !tell) return absl::OkStatus();
  row.exhaustion_told = true;
  if (wipe) {
    record.status.mutable_policy()->set_wipe(true);
    row.secret.reset();
    GrantOf(record).set_has_secret(false);
    Renew(record);
    parts_.store.ScrubAfterCommit();
  }
  RETURN_IF_ERROR(parts_.rows.Save(row));
  RETURN_IF_ERROR(parts_.store.Save(record));
  return Tell(record, ResultCodeOf(v1::ErrorInfo::REASON_USER_UNLOCK_REFUSED),
              absl::StrCat(grant.attempts(), " failed attempts", wipe ? ", it is wiped" : "", "; ",
                           detail));
}

absl::Status UserUnlocking::Open(Record& record, const std::optional<Key>& stretched,
                                 const Caller& caller) {
  ASSIGN_OR_RETURN(UserUnlockRow row, parts_.rows.Load(record.id));
  if (DiskKeys::IsEncrypted(record) && !record.status.key_on_device()) {
    std::optional<Key> key;
    if (stretched && row.secret) {
      key = Unwrap(row.secret->wrap, WrappingOf(*stretched), SecretContext(record.id));
    }
    if (!key) return Refused();
    RETURN_IF_ERROR(parts_.keys.Restore(record, *key));
  }
  v1::Lock& lock = *record.status.mutable_policy()->mutable_lock();
  lock.set_locked(false);
  lock.clear_locked_by();
  lock.clear_reason();
  lock.clear_since();
  lock.mutable_user_unlock()->clear_attempts();
  if (lock.user_unlock().one_time()) {
    lock.mutable_user_unlock()->set_allowed(false);
    lock.mutable_user_unlock()->set_has_secret(false);
    row.secret.reset();
    parts_.store.ScrubAfterCommit();
    RETURN_IF_ERROR(parts_.rows.Save(row));
  }
  Renew(record);
  RETURN_IF_ERROR(parts_.store.Save(record));
  RETURN_IF_ERROR(parts_.enforcement.Supersede(record, v1::OPERATION_KIND_LOCK));
  const std::string who = absl::StrCat("user ", caller.name, " (uid ", caller.uid, ")");
  spdlog::info("unlocked by user vm={} uid={} user={} version={}", VirtualMachineName(record.id),
               caller.uid, caller.name, record.status.policy().version());
  return Tell(record, 1200, absl::StrCat("unlocked by ", who));
}

absl::Status UserUnlocking::Tell(const Record& record, int result_code, const std::string& detail) {
  ASSIGN_OR_RETURN(const auto item, parts_.store.Inventory(record.id));
  v1::Alert alert = MakeAlert(record, item, clock_());
  alert.set_alert_id(NewUuid());
  alert.set_event("UserUnlock");
  alert.set_result_code(result_code);
  alert.set_severity(result_code == 1200 ? v1::Alert::SEVERITY_INFORMATIONAL
                                         : v1::Alert::SEVERITY_WARNING);
  alert.set_detail(detail);
  return parts_.outbox.Add(alert);
}

}  // namespace virmo::policy_engine
