// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/sharing.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "policy-engine/sharing_rules.h"
#include "services/runtime/error.h"
#include "services/runtime/fault_point.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"

namespace virmo::policy_engine {
namespace {

// How the controller calls the ability to open a channel, in Host.operations.
const char* AbilityOf(v1::SharingRule::Channel channel) {
  switch (channel) {
    case v1::SharingRule::CHANNEL_NETWORK:
      return "NetworkSharing";
    case v1::SharingRule::CHANNEL_FILE:
      return "FileSharing";
    case v1::SharingRule::CHANNEL_CLIPBOARD:
      return "ClipboardSharing";
    case v1::SharingRule::CHANNEL_IPC:
      return "IpcSharing";
    default:
      return "";
  }
}

// Replaces what `record` may do with `peer`. Returns whether that changed anything.
bool SetDecisions(Record& record, const std::string& peer,
                  const std::vector<v1::SharingDecision>& decisions) {
  v1::EffectivePolicy& policy = *record.status.mutable_policy();
  google::protobuf::RepeatedPtrField<v1::SharingDecision> kept;
  std::string before, after;
  for (const v1::SharingDecision& decision : policy.sharing_decisions()) {
    if (decision.peer() == peer) {
      absl::StrAppend(&before, decision.SerializeAsString());
    } else {
      *kept.Add() = decision;
    }
  }
  for (const v1::SharingDecision& decision : decisions) {
    absl::StrAppend(&after, decision.SerializeAsString());
    *kept.Add() = decision;
  }
  if (before == after) return false;
  policy.mutable_sharing_decisions()->Swap(&kept);
  return true;
}

}  // namespace

Schema Sharing::GetSchema() {
  return {"sharing",
          {"CREATE TABLE device_policy (one INTEGER PRIMARY KEY CHECK (one = 1),"
           " policy BLOB NOT NULL);"}};
}

absl::StatusOr<v1::PolicyStatus> Sharing::Set(const v1::SetSharingRequest& request) {
  ASSIGN_OR_RETURN(const std::string id,
                   VirtualMachineId(request.virtual_machine(), "virtual_machine"));
  if (!request.request_id().empty() && !IsUuid(request.request_id())) {
    return InvalidField("request_id", "must be a lower-case UUID");
  }
  RETURN_IF_ERROR(CheckSharingRules(request.rules(), request.virtual_machine()));
  v1::PolicyStatus status;
  RETURN_IF_ERROR(store_.Change([&]() -> absl::Status {
    if (!request.request_id().empty()) {
      ASSIGN_OR_RETURN(const auto first, store_.FindRequest(request.request_id(), request));
      if (first) {
        status = *first;
        return absl::OkStatus();
      }
    }
    ASSIGN_OR_RETURN(Record record, store_.Load(id));
    RETURN_IF_ERROR(Decide(request, record));
    status = record.status;
    if (request.request_id().empty()) return absl::OkStatus();
    return store_.AddRequest(request.request_id(), request, status, clock_());
  }));
  FaultPoint("sharing.committed");
  return status;
}

absl::Status Sharing::Decide(const v1::SetSharingRequest& request, Record& record) {
  RETURN_IF_ERROR(CheckEnforceable(request));
  v1::EffectivePolicy& policy = *record.status.mutable_policy();
  const std::string before = policy.SerializeAsString();
  *policy.mutable_sharing() = request.rules();
  policy.set_sharing_default(request.default_allow());
  RETURN_IF_ERROR(Resolve(record));
  if (policy.SerializeAsString() == before) return absl::OkStatus();
  return SaveNewVersion(record);
}

absl::Status Sharing::CheckEnforceable(const v1::SetSharingRequest& request) {
  ASSIGN_OR_RETURN(const Controller controller, store_.GetController());
  if (!controller.host) return absl::OkStatus();
  for (const v1::SharingRule& rule : request.rules()) {
    if (!rule.allow()) continue;
    for (const v1::OperationSupport& ability : controller.host->operations()) {
      if (ability.supported() || ability.operation() != AbilityOf(rule.channel())) continue;
      return Error(
          v1::ErrorInfo::REASON_NOT_ENFORCEABLE,
          absl::StrCat("this host cannot open the channel ",
                       v1::SharingRule::Channel_Name(rule.channel()), ": ", ability.reason()),
          {{"resource", ability.operation()}, {"cause", ability.reason()}});
    }
  }
  return absl::OkStatus();
}

absl::Status Sharing::Resolve(Record& record) {
  ASSIGN_OR_RETURN(const std::vector<Record> records, store_.List("", -1));
  const v1::EffectivePolicy& policy = record.status.policy();
  for (Record other : records) {
    if (other.id == record.id) continue;
    const v1::EffectivePolicy& peer = other.status.policy();
    const std::vector<v1::SharingDecision> here = DecideSharing(policy, peer);
    const std::vector<v1::SharingDecision> there = DecideSharing(peer, policy);
    SetDecisions(record, peer.virtual_machine(), here);
    if (!SetDecisions(other, policy.virtual_machine(), there)) continue;
    RETURN_IF_ERROR(SaveNewVersion(other));
  }
  return absl::OkStatus();
}

absl::Status Sharing::Forget(const std::string& id) {
  ASSIGN_OR_RETURN(const std::vector<Record> records, store_.List("", -1));
  for (Record other : records) {
    if (!SetDecisions(other, VirtualMachineName(id), {})) continue;
    RETURN_IF_ERROR(SaveNewVersion(other));
  }
  return absl::OkStatus();
}

absl::Status Sharing::SaveNewVersion(Record& record) {
  v1::EffectivePolicy& policy = *record.status.mutable_policy();
  policy.set_version(policy.version() + 1);
  *policy.mutable_update_time() = ToTimestamp(clock_());
  return store_.Save(record);
}

absl::StatusOr<v1::DevicePolicy> Sharing::GetDevice() {
  ASSIGN_OR_RETURN(const auto rows, database_.Query("SELECT policy FROM device_policy"));
  v1::DevicePolicy policy;
  if (!rows.empty() && !policy.ParseFromString(rows[0].Text(0))) {
    return Error(v1::ErrorInfo::REASON_STORAGE_FAILED,
                 "the stored policy of the device is damaged");
  }
  return policy;
}

absl::StatusOr<v1::DevicePolicy> Sharing::UpdateDevice(
    const v1::UpdateDevicePolicyRequest& request) {
  if (!request.request_id().empty() && !IsUuid(request.request_id())) {
    return InvalidField("request_id", "must be a lower-case UUID");
  }
  for (const std::string& path : request.update_mask().paths()) {
    if (path != "sharing_default") {
      return InvalidField("update_mask", absl::StrCat("`", path, "` cannot be set"));
    }
  }
  RETURN_IF_ERROR(store_.Change([&] {
    return database_.Execute("INSERT OR REPLACE INTO device_policy VALUES (1, ?1)",
                             {Blob{request.policy().SerializeAsString()}});
  }));
  return request.policy();
}

}  // namespace virmo::policy_engine
