// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/locking.h"

#include <algorithm>
#include <array>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/util/field_mask_util.h"
#include "services/runtime/error.h"
#include "services/runtime/fault_point.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"

namespace virmo::policy_engine {
namespace {

using google::longrunning::Operation;

constexpr size_t kMaxReasonBytes = 1024;
constexpr std::array kSettings = {
    "mode",
    "reason",
    "user_unlock",
    "user_unlock.allowed",
    "user_unlock.method",
    "user_unlock.valid_until",
    "user_unlock.max_attempts",
    "user_unlock.one_time",
    "user_unlock.wipe_after",
};

absl::Status CheckMode(v1::Lock::Mode mode, const char* field) {
  if (v1::Lock::Mode_IsValid(mode)) return absl::OkStatus();
  return InvalidField(field, absl::StrCat(mode, " is not a mode; 10, 20 and 30 are"));
}

absl::Status CheckReason(const std::string& reason, const char* field) {
  if (reason.size() <= kMaxReasonBytes) return absl::OkStatus();
  return InvalidField(field, absl::StrCat("has ", reason.size(), " bytes; at most ",
                                          kMaxReasonBytes, " are taken"));
}

absl::Status CheckSettings(const v1::UpdateLockSettingsRequest& request) {
  if (request.update_mask().paths().empty() && request.user_secret().empty()) {
    return InvalidField("update_mask", "must name the fields to take");
  }
  for (const std::string& path : request.update_mask().paths()) {
    if (std::find(kSettings.begin(), kSettings.end(), path) == kSettings.end()) {
      return InvalidField("update_mask", absl::StrCat("`", path, "` cannot be set"));
    }
  }
  RETURN_IF_ERROR(CheckMode(request.lock().mode(), "lock.mode"));
  if (!v1::UserUnlock::Method_IsValid(request.lock().user_unlock().method())) {
    return InvalidField(
        "lock.user_unlock.method",
        absl::StrCat(request.lock().user_unlock().method(), " is not a method; 10 and 20 are"));
  }
  if (request.lock().user_unlock().max_attempts() < 0 ||
      request.lock().user_unlock().wipe_after() < 0) {
    return InvalidField("lock.user_unlock", "numbers of attempts must not be negative");
  }
  return CheckReason(request.lock().reason(), "lock.reason");
}

// Whether the server gives the grant anew, so that the count of attempts begins again.
bool RenewsGrant(const v1::UpdateLockSettingsRequest& request) {
  if (!request.user_secret().empty()) return true;
  for (const std::string& path : request.update_mask().paths()) {
    if (path == "user_unlock") return true;
    if (path == "user_unlock.allowed" && request.lock().user_unlock().allowed()) return true;
  }
  return false;
}

bool ChangesGrant(const v1::UpdateLockSettingsRequest& request) {
  for (const std::string& path : request.update_mask().paths()) {
    if (absl::StartsWith(path, "user_unlock")) return true;
  }
  return !request.user_secret().empty();
}

// Returns whether the policy changed.
bool LockPolicy(const v1::LockVirtualMachineRequest& request,
                const google::protobuf::Timestamp& now, v1::Lock& lock) {
  const v1::Lock before = lock;
  if (!lock.locked()) *lock.mutable_since() = now;
  if (!lock.locked() || lock.locked_by() == "policy-engine") {
    lock.set_locked_by(request.initiator().server_id());
  }
  lock.set_locked(true);
  if (request.mode() != v1::Lock::MODE_UNSPECIFIED) lock.set_mode(request.mode());
  if (!request.reason().empty()) lock.set_reason(request.reason());
  if (lock.has_user_unlock()) lock.mutable_user_unlock()->clear_attempts();
  return before.SerializeAsString() != lock.SerializeAsString();
}

bool UnlockPolicy(v1::Lock& lock) {
  if (!lock.locked()) return false;
  lock.set_locked(false);
  lock.clear_locked_by();
  lock.clear_reason();
  lock.clear_since();
  return true;
}

}  // namespace

absl::StatusOr<Operation> Locking::Lock(const v1::LockVirtualMachineRequest& request) {
  RETURN_IF_ERROR(CheckMode(request.mode(), "mode"));
  RETURN_IF_ERROR(CheckReason(request.reason(), "reason"));
  return Run(request, v1::OPERATION_KIND_LOCK, [&](Record& record) -> absl::StatusOr<bool> {
    RETURN_IF_ERROR(parts_.keys.Destroy(record));
    return LockPolicy(request, ToTimestamp(clock_()),
                      *record.status.mutable_policy()->mutable_lock());
  });
}

absl::StatusOr<Operation> Locking::Unlock(const v1::UnlockVirtualMachineRequest& request) {
  // What is stored tells one key from another, and is no key.
  v1::UnlockVirtualMachineRequest stored = request;
  if (!request.released_key().empty()) {
    const Key digest = Key::Derive(request.released_key(), "virmo request 1");
    stored.set_released_key(std::string(digest.octets()));
  }
  return Run(stored, v1::OPERATION_KIND_UNLOCK,
             [&](Record& record) { return DecideUnlock(request, record); });
}

absl::StatusOr<bool> Locking::DecideUnlock(const v1::UnlockVirtualMachineRequest& request,
                                           Record& record) {
  bool changed = false;
  if (!request.released_key().empty()) {
    const std::optional<Key> key = Key::From(request.released_key());
    if (!key) return InvalidField("released_key", "must have 32 octets");
    RETURN_IF_ERROR(parts_.keys.Restore(record, *key));
    changed = true;
  } else if (DiskKeys::IsEncrypted(record)) {
    RETURN_IF_ERROR(parts_.keys.Load(record).status());
  }
  return UnlockPolicy(*record.status.mutable_policy()->mutable_lock()) || changed;
}

template <typename Request, typename Decide>
absl::StatusOr<Operation> Locking::Run(const Request& request, v1::OperationKind kind,
                                       Decide decide) {
  ASSIGN_OR_RETURN(const std::string id,
                   VirtualMachineId(request.virtual_machine(), "virtual_machine"));
  v1::OperationMetadata metadata;
  metadata.set_target(request.virtual_machine());
  metadata.set_kind(kind);
  *metadata.mutable_initiator() = request.initiator();
  Operation operation;
  RETURN_IF_ERROR(parts_.store.Change([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const auto first, parts_.journal.FindRequest(request.request_id(), request));
    if (first) {
      operation = *first;
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(Record record, parts_.store.Load(id));
    RETURN_IF_ERROR(CheckNotManagement(record));
    ASSIGN_OR_RETURN(const bool changed, decide(record));
    if (changed) {
      Renew(record);
      RETURN_IF_ERROR(parts_.store.Save(record));
      RETURN_IF_ERROR(parts_.enforcement.Supersede(record, kind == v1::OPERATION_KIND_LOCK
                                                               ? v1::OPERATION_KIND_UNLOCK
                                                               : v1::OPERATION_KIND_LOCK));
    }
    FaultPoint("lock.decided");
    RETURN_IF_ERROR(
        LockProgressOf(record.status).in_force
            ? parts_.journal.InsertDone(request.request_id(), metadata, request, absl::OkStatus(),
                                        &record.status)
            : parts_.enforcement.Begin(record, request.request_id(), metadata, request));
    ASSIGN_OR_RETURN(operation, parts_.journal.GetOperation(request.request_id()));
    return absl::OkStatus();
  }));
  FaultPoint("lock.committed");
  return operation;
}

absl::StatusOr<v1::PolicyStatus> Locking::UpdateSettings(
    const v1::UpdateLockSettingsRequest& request) {
  ASSIGN_OR_RETURN(const std::string id,
                   VirtualMachineId(request.virtual_machine(), "virtual_machine"));
  RETURN_IF_ERROR(CheckSettings(request));
  if (!request.request_id().empty() && !IsUuid(request.request_id())) {
    return InvalidField("request_id", "must be a lower-case UUID");
  }
  std::optional<UserUnlocking::NewSecret> secret;
  v1::UpdateLockSettingsRequest stored = request;
  if (!request.user_secret().empty()) {
    ASSIGN_OR_RETURN(secret, parts_.unlocking.Prepare(request.user_secret()));
    // Whatever tells one secret from another is what a guesser wants.
    stored.set_user_secret("secret");
  }
  v1::PolicyStatus status;
  RETURN_IF_ERROR(parts_.store.Change([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const auto first, parts_.store.FindRequest(request.request_id(), stored));
    if (first) {
      status = *first;
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(Record record, parts_.store.Load(id));
    RETURN_IF_ERROR(DecideSettings(request, secret, record));
    status = record.status;
    if (request.request_id().empty()) return absl::OkStatus();
    return parts_.store.AddRequest(request.request_id(), stored, status, clock_());
  }));
  return status;
}

absl::Status Locking::DecideSettings(const v1::UpdateLockSettingsRequest& request,
                                     const std::optional<UserUnlocking::NewSecret>& secret,
                                     Record& record) {
  v1::Lock& lock = *record.status.mutable_policy()->mutable_lock();
  const v1::Lock before = lock;
  google::protobuf::util::FieldMaskUtil::MergeOptions options;
  options.set_replace_message_fields(true);
  google::protobuf::util::FieldMaskUtil::MergeMessageTo(request.lock(), request.update_mask(),
                                                        options, &lock);
  if (lock.mode() == v1::Lock::MODE_UNSPECIFIED) lock.set_mode(v1::Lock::MODE_ISOLATE_AND_PAUSE);
  if (ChangesGrant(request)) {
    // How often the user failed, and whether there is a secret, is ours to tell.
    v1::UserUnlock& grant = *lock.mutable_user_unlock();
    grant.set_attempts(before.user_unlock().attempts());
    grant.set_has_secret(before.user_unlock().has_secret());
    RETURN_IF_ERROR(
        parts_.unlocking.TakeGrant(before.user_unlock(), RenewsGrant(request), secret, record));
  }
  if (before.SerializeAsString() == lock.SerializeAsString()) return absl::OkStatus();
  Renew(record);
  return parts_.store.Save(record);
}

absl::Status Locking::CheckNotManagement(const Record& record) {
  ASSIGN_OR_RETURN(const Controller controller, parts_.store.GetController());
  if (!controller.host || controller.host->management_vm() != record.id) return absl::OkStatus();
  return Error(v1::ErrorInfo::REASON_POLICY_FORBIDS,
               "the virtual machine that manages the others cannot be locked");
}

void Locking::Renew(Record& record) {
  v1::EffectivePolicy& policy = *record.status.mutable_policy();
  policy.set_version(policy.version() + 1);
  *policy.mutable_update_time() = ToTimestamp(clock_());
}

}  // namespace virmo::policy_engine
