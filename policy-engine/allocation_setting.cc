// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/allocation_setting.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/fault_point.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"

namespace virmo::policy_engine {
namespace {

absl::Status CheckRequest(const v1::SetAllocationsRequest& request) {
  if (!request.request_id().empty() && !IsUuid(request.request_id())) {
    return InvalidField("request_id", "must be a lower-case UUID");
  }
  if (request.allocations().empty()) return InvalidField("allocations", "must not be empty");
  return CheckAllocations(request.allocations());
}

absl::Status CheckEtag(const v1::SetAllocationsRequest& request, const Record& record) {
  if (request.etag().empty() || request.etag() == record.status.etag()) return absl::OkStatus();
  return Error(v1::ErrorInfo::REASON_STALE_ETAG,
               absl::StrCat("the etag is ", record.status.etag(), " by now, not ", request.etag()),
               {{"etag", record.status.etag()}});
}

}  // namespace

absl::StatusOr<v1::PolicyStatus> AllocationSetting::Set(const v1::SetAllocationsRequest& request) {
  ASSIGN_OR_RETURN(const std::string id,
                   VirtualMachineId(request.virtual_machine(), "virtual_machine"));
  RETURN_IF_ERROR(CheckRequest(request));
  const bool remember = !request.request_id().empty() && !request.validate_only();
  v1::PolicyStatus status;
  RETURN_IF_ERROR(store_.Change([&]() -> absl::Status {
    if (remember) {
      ASSIGN_OR_RETURN(const auto first, store_.FindRequest(request.request_id(), request));
      if (first) {
        status = *first;
        return absl::OkStatus();
      }
    }
    ASSIGN_OR_RETURN(Record record, store_.Load(id));
    RETURN_IF_ERROR(CheckEtag(request, record));
    if (!record.transfer.empty()) {
      return Error(v1::ErrorInfo::REASON_BUSY,
                   absl::StrCat(request.virtual_machine(), " is in a transfer of resources"),
                   {{"operation", "operations/" + record.transfer}});
    }
    RETURN_IF_ERROR(Decide(request, record));
    status = record.status;
    if (!remember) return absl::OkStatus();
    return store_.AddRequest(request.request_id(), request, status, clock_());
  }));
  FaultPoint("allocations.committed");
  return status;
}

absl::Status AllocationSetting::Decide(const v1::SetAllocationsRequest& request, Record& record) {
  v1::EffectivePolicy& policy = *record.status.mutable_policy();
  const v1::EffectivePolicy before = policy;
  pools_.RaisePeak(record);
  MergeAllocations(request.allocations(), *policy.mutable_allocations());
  if (before.SerializeAsString() == policy.SerializeAsString()) return absl::OkStatus();
  RETURN_IF_ERROR(pools_.CheckBounds(policy.allocations()));
  policy.set_version(policy.version() + 1);
  *policy.mutable_update_time() = ToTimestamp(clock_());
  RETURN_IF_ERROR(pools_.Charge(record, Pools::Growth::kRefuse));
  // Only Save writes, so a dry run ends here.
  return request.validate_only() ? absl::OkStatus() : store_.Save(record);
}

}  // namespace virmo::policy_engine
