// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/peripherals.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "policy-engine/peripheral_progress.h"
#include "services/runtime/clock.h"
#include "services/runtime/error.h"
#include "services/runtime/fault_point.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"

namespace virmo::policy_engine {
namespace {

using google::longrunning::Operation;

constexpr int kMaxExceptions = 64;
constexpr size_t kMaxSerialBytes = 126;  // USB 2.0 §9.6.7: a string descriptor of 255 bytes.

bool IsId(absl::string_view text) {
  return text.size() == 4 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// `vendor:product[:serial]`.
bool IsException(absl::string_view text) {
  if (text.size() < 9 || text[4] != ':' || !IsId(text.substr(0, 4)) || !IsId(text.substr(5, 4))) {
    return false;
  }
  if (text.size() == 9) return true;
  return text[9] == ':' && text.size() > 10 && text.size() <= 10 + kMaxSerialBytes;
}

absl::Status CheckRule(const v1::PeripheralRule& rule) {
  if (rule.peripheral_class() == v1::PERIPHERAL_CLASS_UNSPECIFIED ||
      !v1::PeripheralClass_IsValid(rule.peripheral_class())) {
    return InvalidField("rule.peripheral_class",
                        absl::StrCat(rule.peripheral_class(), " is not a class of peripherals"));
  }
  if (rule.exceptions_size() > kMaxExceptions) {
    return InvalidField(
        "rule.exceptions",
        absl::StrCat(rule.exceptions_size(), " are given; at most ", kMaxExceptions, " are taken"));
  }
  std::set<std::string> seen;
  for (int i = 0; i < rule.exceptions_size(); ++i) {
    const std::string field = absl::StrCat("rule.exceptions[", i, "]");
    if (!IsException(rule.exceptions(i))) {
      return InvalidField(field,
                          "must be `vendor:product` or `vendor:product:serial`, ids of four "
                          "lower-case hex digits");
    }
    if (!seen.insert(rule.exceptions(i)).second) return InvalidField(field, "is given twice");
  }
  return absl::OkStatus();
}

v1::PeripheralRule& RuleOf(v1::EffectivePolicy& policy, v1::PeripheralClass peripheral_class) {
  for (v1::PeripheralRule& rule : *policy.mutable_peripherals()) {
    if (rule.peripheral_class() == peripheral_class) return rule;
  }
  v1::PeripheralRule& rule = *policy.add_peripherals();
  rule.set_peripheral_class(peripheral_class);
  return rule;
}

// Whether two rules give the same devices.
bool SameAccess(const v1::PeripheralRule& a, const v1::PeripheralRule& b) {
  return a.enabled() == b.enabled() && std::equal(a.exceptions().begin(), a.exceptions().end(),
                                                  b.exceptions().begin(), b.exceptions().end());
}

// An operation on the same class.
bool Contradicts(const OperationJournal::Entry& entry, v1::PeripheralClass peripheral_class) {
  v1::SetPeripheralRequest earlier;
  return entry.request.UnpackTo(&earlier) && earlier.rule().peripheral_class() == peripheral_class;
}

}  // namespace

absl::StatusOr<Operation> Peripherals::Set(const v1::SetPeripheralRequest& request) {
  ASSIGN_OR_RETURN(const std::string id,
                   VirtualMachineId(request.virtual_machine(), "virtual_machine"));
  RETURN_IF_ERROR(CheckRule(request.rule()));
  v1::OperationMetadata metadata;
  metadata.set_target(request.virtual_machine());
  metadata.set_kind(request.rule().enabled() ? v1::OPERATION_KIND_PERIPHERAL_ENABLE
                                             : v1::OPERATION_KIND_PERIPHERAL_DISABLE);
  *metadata.mutable_initiator() = request.initiator();
  Operation operation;
  RETURN_IF_ERROR(parts_.store.Change([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const auto first, parts_.journal.FindRequest(request.request_id(), request));
    if (!first) RETURN_IF_ERROR(Decide(request, metadata, id));
    ASSIGN_OR_RETURN(operation, parts_.journal.GetOperation(request.request_id()));
    return absl::OkStatus();
  }));
  FaultPoint("peripheral.committed");
  return operation;
}

absl::Status Peripherals::Decide(const v1::SetPeripheralRequest& request,
                                 const v1::OperationMetadata& metadata, const std::string& id) {
  const v1::PeripheralClass peripheral_class = request.rule().peripheral_class();
  ASSIGN_OR_RETURN(Record record, parts_.store.Load(id));
  v1::EffectivePolicy& policy = *record.status.mutable_policy();
  // A locked virtual machine has no peripherals; promising it one would be a lie.
  if (policy.lock().locked() && request.rule().enabled()) {
    return Error(v1::ErrorInfo::REASON_VM_LOCKED,
                 absl::StrCat(VirtualMachineName(id), " is locked; nothing can be given to it"),
                 {{"virtual_machine", VirtualMachineName(id)}});
  }
  const std::string before = policy.SerializeAsString();
  const bool same_access = SameAccess(RuleOf(policy, peripheral_class), request.rule());
  RuleOf(policy, peripheral_class) = request.rule();
  if (policy.SerializeAsString() != before) {
    policy.set_version(policy.version() + 1);
    *policy.mutable_update_time() = ToTimestamp(clock_());
    RETURN_IF_ERROR(parts_.store.Save(record));
    RETURN_IF_ERROR(parts_.enforcement.Supersede(
        record,
        [&](const OperationJournal::Entry& entry) { return Contradicts(entry, peripheral_class); },
        "superseded by a later decision on the same peripherals"));
  }
  FaultPoint("peripheral.decided");
  const PeripheralProgress progress = PeripheralProgressOf(record.status, peripheral_class);
  // Who may change it, or who comes first, is in force as it is decided.
  if (!progress.ended && !same_access) {
    return parts_.enforcement.Begin(record, request.request_id(), metadata, request);
  }
  return parts_.journal.InsertDone(request.request_id(), metadata, request, progress.outcome,
                                   &record.status);
}

}  // namespace virmo::policy_engine
