// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/admission.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/fault_point.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"

namespace virmo::policy_engine {
namespace {

bool MakesRecord(v1::OperationKind kind) {
  return kind == v1::OPERATION_KIND_PROVISION || kind == v1::OPERATION_KIND_DOWNLOAD_PROVISION ||
         kind == v1::OPERATION_KIND_CLONE;
}

bool NeedsResources(v1::OperationKind kind) {
  return kind == v1::OPERATION_KIND_START || kind == v1::OPERATION_KIND_RESUME;
}

// What gives more access, or another content, than a locked virtual machine may have.
bool NeedsNoLock(v1::OperationKind kind) {
  return NeedsResources(kind) || kind == v1::OPERATION_KIND_UNPAUSE ||
         kind == v1::OPERATION_KIND_FIRMWARE_UPDATE || kind == v1::OPERATION_KIND_SNAPSHOT ||
         kind == v1::OPERATION_KIND_REVERT || kind == v1::OPERATION_KIND_EXPORT;
}

absl::Status Locked(const std::string& virtual_machine, const std::string& why) {
  return Error(v1::ErrorInfo::REASON_VM_LOCKED,
               absl::StrCat(virtual_machine, " is locked", why.empty() ? "" : ": ", why),
               {{"virtual_machine", virtual_machine}});
}

absl::Status CheckUnlocked(const std::string& virtual_machine,
                           const std::optional<Record>& record) {
  if (!record) {
    return Locked(virtual_machine, "it has no policy, until the controller reports its inventory");
  }
  const v1::Lock& lock = record->status.policy().lock();
  return lock.locked() ? Locked(virtual_machine, lock.reason()) : absl::OkStatus();
}

absl::Status CheckRequest(const v1::AdmitRequest& request) {
  RETURN_IF_ERROR(OperationId(request.operation(), "operation").status());
  if (MakesRecord(request.kind()) || NeedsNoLock(request.kind())) return absl::OkStatus();
  return InvalidField("kind", absl::StrCat(v1::OperationKind_Name(request.kind()),
                                           " is nothing that needs admission"));
}

}  // namespace

absl::StatusOr<v1::AdmitResponse> Admission::Admit(const v1::AdmitRequest& request) {
  ASSIGN_OR_RETURN(const std::string id,
                   VirtualMachineId(request.virtual_machine(), "virtual_machine"));
  RETURN_IF_ERROR(CheckRequest(request));
  v1::AdmitResponse response;
  RETURN_IF_ERROR(store_.Change([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const Record record, MakesRecord(request.kind()) ? AdmitNew(id, request)
                                                                      : AdmitExisting(id, request));
    response.set_policy_version(record.status.policy().version());
    *response.mutable_policy() = record.status.policy();
    FaultPoint("admit.decided");
    return absl::OkStatus();
  }));
  FaultPoint("admit.committed");
  return response;
}

absl::StatusOr<Record> Admission::AdmitNew(const std::string& id, const v1::AdmitRequest& request) {
  Record source;
  if (request.kind() == v1::OPERATION_KIND_CLONE) {
    ASSIGN_OR_RETURN(const std::string source_id, VirtualMachineId(request.source(), "source"));
    ASSIGN_OR_RETURN(const std::optional<Record> source_record, store_.Find(source_id));
    RETURN_IF_ERROR(CheckUnlocked(request.source(), source_record));
    source = *source_record;
    RETURN_IF_ERROR(keys_.Grant(source, request.operation()));  // It is read.
  }
  ASSIGN_OR_RETURN(std::optional<Record> record, store_.Find(id));
  if (!record) return MakeRecord(id, request, source);
  ASSIGN_OR_RETURN(const auto item, store_.Inventory(id));
  const bool same = record->created_by == request.operation() ||
                    (item && item->current_operation() == request.operation());
  // What is locked meanwhile may be made to the end; it cannot be started.
  if (same) {
    RETURN_IF_ERROR(Amend(*record, request));
    if (!record->status.policy().lock().locked()) {
      RETURN_IF_ERROR(keys_.Grant(*record, request.operation()));
    }
    return *std::move(record);
  }
  if (!NeverCompleted(*record)) {
    return Error(v1::ErrorInfo::REASON_ALREADY_EXISTS,
                 absl::StrCat("there is a policy for ", request.virtual_machine(), " already"),
                 {{"virtual_machine", request.virtual_machine()}});
  }
  RETURN_IF_ERROR(store_.Remove(*record));  // Its operation came to nothing.
  return MakeRecord(id, request, source);
}

// What a package asks for is known only when it was fetched: the operation that makes the virtual
// machine may then ask anew, as long as nobody else decided about it.
absl::Status Admission::Amend(Record& record, const v1::AdmitRequest& request) {
  v1::EffectivePolicy& policy = *record.status.mutable_policy();
  ASSIGN_OR_RETURN(const int64_t removed_version, store_.RemovedVersion(record.id));
  if (record.created_by != request.operation() || policy.version() != removed_version + 1) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(CheckAllocations(request.allocations()));
  v1::EffectivePolicy amended = policy;
  MergeAllocations(request.allocations(), *amended.mutable_allocations());
  if (amended.SerializeAsString() == policy.SerializeAsString()) return absl::OkStatus();
  RETURN_IF_ERROR(pools_.CheckBounds(amended.allocations()));
  amended.set_version(policy.version() + 1);
  *amended.mutable_update_time() = ToTimestamp(clock_());
  policy = amended;
  return store_.Save(record);
}

absl::StatusOr<Record> Admission::MakeRecord(const std::string& id, const v1::AdmitRequest& request,
                                             const Record& source) {
  RETURN_IF_ERROR(CheckAllocations(request.allocations()));
  ASSIGN_OR_RETURN(const int64_t removed_version, store_.RemovedVersion(id));
  Record record;
  record.id = id;
  record.created_by = request.operation();
  v1::EffectivePolicy& policy = *record.status.mutable_policy();
  policy.set_virtual_machine(request.virtual_machine());
  policy.set_version(removed_version + 1);
  const v1::EffectivePolicy& former = source.status.policy();
  *policy.mutable_allocations() = former.allocations();
  MergeAllocations(request.allocations(), *policy.mutable_allocations());
  AddDefaults(*policy.mutable_allocations());
  *policy.mutable_peripherals() = former.peripherals();
  *policy.mutable_sharing() = former.sharing();
  // A paused guest's key would stay in its process' memory.
  const bool encrypted = request.encrypted() || DiskKeys::IsEncrypted(source);
  v1::Lock::Mode mode = encrypted ? v1::Lock::MODE_SUSPEND : v1::Lock::MODE_ISOLATE_AND_PAUSE;
  if (request.kind() == v1::OPERATION_KIND_CLONE) mode = former.lock().mode();
  policy.mutable_lock()->set_mode(mode);
  *policy.mutable_update_time() = ToTimestamp(clock_());
  RETURN_IF_ERROR(pools_.CheckBounds(policy.allocations()));
  if (request.kind() == v1::OPERATION_KIND_CLONE) {
    policy.set_sharing_default(former.sharing_default());
  } else {
    ASSIGN_OR_RETURN(const v1::DevicePolicy device, sharing_.GetDevice());
    policy.set_sharing_default(device.sharing_default());
  }
  RETURN_IF_ERROR(sharing_.Resolve(record));
  if (encrypted) {
    RETURN_IF_ERROR(keys_.Make(record));
    RETURN_IF_ERROR(keys_.Grant(record, request.operation()));
  }
  RETURN_IF_ERROR(store_.Save(record));
  return record;
}

absl::StatusOr<Record> Admission::AdmitExisting(const std::string& id,
                                                const v1::AdmitRequest& request) {
  ASSIGN_OR_RETURN(std::optional<Record> record, store_.Find(id));
  RETURN_IF_ERROR(CheckUnlocked(request.virtual_machine(), record));
  RETURN_IF_ERROR(keys_.Grant(*record, request.operation()));
  if (NeedsResources(request.kind())) {
    RETURN_IF_ERROR(store_.AddAdmission(id, request.operation()));
    const bool held = record->status.holds_resources();
    const int64_t memory = record->charged_memory;
    const int64_t processor = record->charged_processor;
    RETURN_IF_ERROR(pools_.Charge(*record, Pools::Growth::kRefuse));
    if (!held || memory != record->charged_memory || processor != record->charged_processor) {
      RETURN_IF_ERROR(store_.Save(*record));
    }
  }
  return *std::move(record);
}

}  // namespace virmo::policy_engine
