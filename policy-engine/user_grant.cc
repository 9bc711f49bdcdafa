// SPDX-License-Identifier: Apache-2.0
// The grant itself: what the server sets, what the controller has counted, and its time.
#include "policy-engine/user_grant.h"

#include <time.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "policy-engine/user_unlocking.h"
#include "services/runtime/error.h"
#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"

namespace virmo::policy_engine {
namespace {

constexpr int kDefaultAttempts = 5;
constexpr absl::Duration kTick = absl::Minutes(1);

// Goes on while the host sleeps, and cannot be set.
absl::Duration Uptime() {
  timespec time{};
  clock_gettime(CLOCK_BOOTTIME, &time);
  return absl::DurationFromTimespec(time);
}

}  // namespace

v1::UserUnlock& GrantOf(Record& record) {
  return *record.status.mutable_policy()->mutable_lock()->mutable_user_unlock();
}

int MaxAttempts(const v1::UserUnlock& grant) {
  return grant.max_attempts() > 0 ? grant.max_attempts() : kDefaultAttempts;
}

bool IsExhausted(const v1::UserUnlock& grant) { return grant.attempts() >= MaxAttempts(grant); }

bool AwaitsWipe(const v1::UserUnlock& grant) { return grant.attempts() < grant.wipe_after(); }

std::string SecretContext(const std::string& id) { return "virmo disk key 1 secret " + id; }

UserUnlocking::UserUnlocking(const Parts& parts, Clock clock, const Options& options)
    : parts_(parts), clock_(std::move(clock)), options_(options), uptime_(Uptime()) {}

absl::StatusOr<UserUnlocking::NewSecret> UserUnlocking::Prepare(const std::string& secret) const {
  if (secret.size() < kMinSecretBytes || secret.size() > kMaxSecretBytes) {
    return InvalidField("user_secret", absl::StrCat("must have ", kMinSecretBytes, " to ",
                                                    kMaxSecretBytes, " bytes"));
  }
  UserSecret stored = NewUserSecret(options_.memory);
  ASSIGN_OR_RETURN(const Key stretched, Stretch(secret, stored));
  stored.verifier = VerifierOf(stretched);
  return NewSecret{std::move(stored), stretched};
}

absl::Status UserUnlocking::TakeGrant(const v1::UserUnlock& before, bool renewed,
                                      const std::optional<NewSecret>& secret, Record& record) {
  v1::UserUnlock& grant = GrantOf(record);
  bool any = false;
  RETURN_IF_ERROR(AdvanceRows(&any));  // From now on time passes for this one too.
  ASSIGN_OR_RETURN(UserUnlockRow row, parts_.rows.Load(record.id));
  row.latest = std::max(row.latest, clock_());
  if (renewed) {
    grant.clear_attempts();
    row.exhaustion_told = false;
    row.latest = clock_();  // The server's word; a clock that was wrong before ends no new grant.
  }
  const bool withdrawn = before.allowed() && !grant.allowed();
  if (withdrawn) row.secret.reset();
  if (secret) {
    row.secret = secret->stored;
    if (DiskKeys::IsEncrypted(record)) {
      ASSIGN_OR_RETURN(const Key key, parts_.keys.Load(record));
      row.secret->wrap = Wrap(key, WrappingOf(secret->stretched), SecretContext(record.id));
    }
  }
  grant.set_has_secret(row.secret.has_value());
  parts_.store.ScrubAfterCommit();
  RETURN_IF_ERROR(parts_.rows.Save(row));
  if (timer_ != nullptr) timer_->Poke();
  return absl::OkStatus();
}

absl::Status UserUnlocking::TakeInventory(const v1::InventoryItem& item, Record& record) {
  const int64_t theirs = item.unlock_attempts_total();
  v1::EffectivePolicy& policy = *record.status.mutable_policy();
  if (theirs == 0 && policy.unlock_attempts_total() == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(UserUnlockRow row, parts_.rows.Load(record.id));
  const bool ours_is_old = theirs > policy.unlock_attempts_total();
  const bool theirs_is_old = theirs < row.confirmed_total;
  if (theirs == row.confirmed_total && !ours_is_old) return absl::OkStatus();
  row.confirmed_total = theirs;
  RETURN_IF_ERROR(parts_.rows.Save(row));
  if (!ours_is_old && !theirs_is_old) return absl::OkStatus();
  policy.set_unlock_attempts_total(std::max(theirs, policy.unlock_attempts_total()));
  Exhaust(record);
  Renew(record);
  return Tell(
      record, ResultCodeOf(v1::ErrorInfo::REASON_USER_UNLOCK_REFUSED),
      absl::StrCat("the count of attempts was set back in the database of ",
                   ours_is_old ? "policy-engine" : "the controller", "; the grant is used up"));
}

absl::Status UserUnlocking::Settle() {
  return parts_.store.Change([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const std::vector<UserUnlockRow> rows, parts_.rows.List());
    for (UserUnlockRow row : rows) {
      ASSIGN_OR_RETURN(std::optional<Record> record, parts_.store.Find(row.id));
      if (!record || !record->status.policy().lock().locked()) continue;
      RETURN_IF_ERROR(TellIfExhausted(*record, row, "the last attempt was cut short"));
    }
    return absl::OkStatus();
  });
}

void UserUnlocking::Exhaust(Record& record) {
  v1::UserUnlock& grant = GrantOf(record);
  grant.set_attempts(std::max(grant.attempts(), MaxAttempts(grant)));
}

void UserUnlocking::Renew(Record& record) {
  v1::EffectivePolicy& policy = *record.status.mutable_policy();
  policy.set_version(policy.version() + 1);
  *policy.mutable_update_time() = ToTimestamp(clock_());
}

absl::StatusOr<absl::Time> UserUnlocking::Latest(const std::string& id) {
  ASSIGN_OR_RETURN(const UserUnlockRow row, parts_.rows.Load(id));
  return std::max(row.latest, clock_());
}

absl::Duration UserUnlocking::Tick() {
  bool any = false;
  const absl::Status status = parts_.store.Change([&] { return AdvanceRows(&any); });
  if (!status.ok()) spdlog::warn("cannot keep the time of grants error=\"{}\"", status.message());
  return any || !status.ok() ? kTick : absl::InfiniteDuration();
}

absl::Status UserUnlocking::AdvanceRows(bool* any) {
  absl::Duration passed;
  {
    MutexLock lock(mutex_);
    passed = Uptime() - uptime_;
    uptime_ += passed;
  }
  ASSIGN_OR_RETURN(const std::vector<UserUnlockRow> rows, parts_.rows.List());
  for (UserUnlockRow row : rows) {
    ASSIGN_OR_RETURN(const std::optional<Record> record, parts_.store.Find(row.id));
    if (!record || !record->status.policy().lock().user_unlock().has_valid_until()) continue;
    const absl::Time end =
        FromTimestamp(record->status.policy().lock().user_unlock().valid_until());
    if (row.latest >= end) continue;  // It has ended for good.
    *any = true;
    row.latest = std::max(row.latest + passed, clock_());
    RETURN_IF_ERROR(parts_.rows.Save(row));
  }
  return absl::OkStatus();
}

void UserUnlocking::Start() {
  timer_ = std::make_unique<PeriodicTask>([this] { return Tick(); });
}

}  // namespace virmo::policy_engine
