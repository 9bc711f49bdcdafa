// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/enforcement.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "policy-engine/peripheral_progress.h"
#include "policy-engine/policy_alert.h"
#include "services/runtime/error.h"
#include "services/runtime/fault_point.h"
#include "services/runtime/logging.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"

namespace virmo::policy_engine {
namespace {

// A create_time further ahead than this was written before the clock was set back.
constexpr absl::Duration kClockSlack = absl::Seconds(5);
constexpr absl::Duration kRetry = absl::Seconds(5);

constexpr char kNotReported[] = "not enforced yet, the controller has not reported it";

bool IsPeripheral(const OperationJournal::Entry& entry) {
  return entry.metadata.kind() == v1::OPERATION_KIND_PERIPHERAL_ENABLE ||
         entry.metadata.kind() == v1::OPERATION_KIND_PERIPHERAL_DISABLE;
}

v1::PeripheralClass ClassOf(const OperationJournal::Entry& entry) {
  v1::SetPeripheralRequest request;
  entry.request.UnpackTo(&request);
  return request.rule().peripheral_class();
}

const char* EventOf(v1::OperationKind kind) {
  switch (kind) {
    case v1::OPERATION_KIND_LOCK:
      return "Lock";
    case v1::OPERATION_KIND_PERIPHERAL_ENABLE:
      return "PeripheralEnable";
    case v1::OPERATION_KIND_PERIPHERAL_DISABLE:
      return "PeripheralDisable";
    default:
      return "Unlock";
  }
}

void Append(const v1::AppliedItem& item, std::string* text) {
  absl::StrAppend(text, text->empty() ? "" : "; ", item.item(), item.detail().empty() ? "" : ": ",
                  item.detail());
}

}  // namespace

LockProgress LockProgressOf(const v1::PolicyStatus& status) {
  LockProgress progress;
  if (status.applied_version() < status.policy().version()) return progress;
  int items = 0;
  for (const v1::AppliedItem& item : status.applied_items()) {
    if (!absl::StartsWith(item.item(), "lock.")) continue;
    ++items;
    switch (item.outcome()) {
      case v1::AppliedItem::OUTCOME_APPLIED:
      case v1::AppliedItem::OUTCOME_NOT_APPLICABLE:
        break;
      case v1::AppliedItem::OUTCOME_NOT_ENFORCEABLE:
        Append(item, &progress.not_enforceable);
        break;
      default:
        Append(item, &progress.open);
    }
  }
  // A report that says nothing of the lock proves nothing about it.
  const bool told = items > 0 || !status.policy().lock().locked();
  progress.in_force = told && progress.open.empty();
  return progress;
}

Enforcement::Enforcement(const Parts& parts, Clock clock, absl::Duration timeout)
    : parts_(parts), clock_(std::move(clock)), timeout_(timeout) {}

absl::Status Enforcement::Begin(const Record& record, const std::string& request_id,
                                const v1::OperationMetadata& metadata,
                                const google::protobuf::Message& request) {
  RETURN_IF_ERROR(parts_.journal.Insert(request_id, metadata, request));
  RETURN_IF_ERROR(parts_.journal.SetStep(request_id, "enforce"));
  if (timer_ != nullptr) timer_->Poke();
  spdlog::info("decided kind={} vm={} version={} operation=operations/{}",
               v1::OperationKind_Name(metadata.kind()), VirtualMachineName(record.id),
               record.status.policy().version(), request_id);
  return absl::OkStatus();
}

absl::Status Enforcement::Supersede(const Record& record, v1::OperationKind kind) {
  return Supersede(
      record, [&](const Entry& entry) { return entry.metadata.kind() == kind; },
      kind == v1::OPERATION_KIND_LOCK ? "superseded by a later unlock"
                                      : "superseded by a later lock");
}

absl::Status Enforcement::Supersede(const Record& record, const Pick& contradicts,
                                    const std::string& detail) {
  ASSIGN_OR_RETURN(const std::vector<Entry> entries, UnfinishedOf(record));
  for (const Entry& entry : entries) {
    if (!contradicts(entry)) continue;
    RETURN_IF_ERROR(End(entry, record, Error(v1::ErrorInfo::REASON_CANCELLED, detail), ""));
  }
  return absl::OkStatus();
}

absl::Status Enforcement::EndAll(const Record& record) {
  ASSIGN_OR_RETURN(const std::vector<Entry> entries, UnfinishedOf(record));
  for (const Entry& entry : entries) {
    RETURN_IF_ERROR(End(entry, record,
                        Error(v1::ErrorInfo::REASON_VM_NOT_FOUND,
                              absl::StrCat(VirtualMachineName(record.id), " was deleted")),
                        ""));
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> Enforcement::Report(const v1::ReportAppliedRequest& request) {
  ASSIGN_OR_RETURN(const std::string id,
                   VirtualMachineId(request.virtual_machine(), "virtual_machine"));
  int64_t newest = 0;
  RETURN_IF_ERROR(parts_.store.Change([&]() -> absl::Status {
    ASSIGN_OR_RETURN(Record record, parts_.store.Load(id));
    if (request.policy_version() > record.status.policy().version()) {
      RETURN_IF_ERROR(parts_.recovery.LockOutdated(record, request.policy_version()));
      RETURN_IF_ERROR(parts_.store.Save(record));
    }
    newest = record.status.policy().version();
    // Reports may overtake one another; what is known of a newer version stays.
    if (request.policy_version() < record.status.applied_version()) return absl::OkStatus();
    record.status.set_applied_version(request.policy_version());
    *record.status.mutable_applied_items() = request.items();
    RETURN_IF_ERROR(parts_.store.Save(record));
    return EndEnforced(record);
  }));
  return newest;
}

absl::Duration Enforcement::EndOverdue() {
  const absl::StatusOr<std::vector<Entry>> entries = parts_.journal.Unfinished();
  if (!entries.ok()) return kRetry;
  absl::Duration wait = absl::InfiniteDuration();
  for (const Entry& entry : *entries) {
    if (entry.metadata.kind() == v1::OPERATION_KIND_TRANSFER) continue;  // transferring.h
    const absl::Time created = FromTimestamp(entry.metadata.create_time());
    const absl::Time now = clock_();
    if (now < created + timeout_ && created <= now + kClockSlack) {
      wait = std::min(wait, created + timeout_ - now);
      continue;
    }
    const absl::Status status = parts_.store.Change([&] { return EndLate(entry); });
    if (!status.ok()) {
      spdlog::warn("cannot end operation=operations/{} error=\"{}\"", entry.id, status.message());
      wait = std::min(wait, kRetry);
    }
  }
  return wait;
}

void Enforcement::Start() {
  timer_ = std::make_unique<PeriodicTask>([this] { return EndOverdue(); });
}

absl::Status Enforcement::EndEnforced(const Record& record) {
  const LockProgress progress = LockProgressOf(record.status);
  ASSIGN_OR_RETURN(const std::vector<Entry> entries, UnfinishedOf(record));
  for (const Entry& entry : entries) {
    if (IsPeripheral(entry)) {
      RETURN_IF_ERROR(EndEnforcedPeripheral(entry, record));
      continue;
    }
    if (!progress.in_force) continue;
    std::string detail = record.status.policy().lock().locked() ? "locked" : "unlocked";
    if (!progress.not_enforceable.empty()) {
      absl::StrAppend(&detail, "; not enforceable on this host: ", progress.not_enforceable);
    }
    RETURN_IF_ERROR(End(entry, record, absl::OkStatus(), detail));
  }
  return absl::OkStatus();
}

absl::Status Enforcement::EndEnforcedPeripheral(const Entry& entry, const Record& record) {
  const PeripheralProgress progress = PeripheralProgressOf(record.status, ClassOf(entry));
  if (!progress.ended) return absl::OkStatus();
  return End(entry, record, progress.outcome, progress.detail);
}

absl::Status Enforcement::EndLate(const Entry& stale) {
  ASSIGN_OR_RETURN(const Entry entry, parts_.journal.Get(stale.id));
  if (entry.done) return absl::OkStatus();  // Its report came in this moment.
  ASSIGN_OR_RETURN(const std::string id, VirtualMachineId(entry.metadata.target()));
  ASSIGN_OR_RETURN(const std::optional<Record> found, parts_.store.Find(id));
  Record record;
  record.id = id;
  if (found) record = *found;
  if (IsPeripheral(entry)) {
    const PeripheralProgress late = PeripheralProgressOf(record.status, ClassOf(entry));
    return End(
        entry, record,
        Error(v1::ErrorInfo::REASON_PERIPHERAL_FAILED,
              absl::StrCat("decided, but not in force after ", absl::FormatDuration(timeout_), ": ",
                           late.detail.empty() ? kNotReported : late.detail)),
        "");
  }
  const LockProgress progress = LockProgressOf(record.status);
  const bool lock = entry.metadata.kind() == v1::OPERATION_KIND_LOCK;
  const std::string what =
      absl::StrCat(lock ? "locked" : "unlocked", " by decision, but not in force after ",
                   absl::FormatDuration(timeout_));
  return End(entry, record,
             Error(lock ? v1::ErrorInfo::REASON_LOCK_FAILED : v1::ErrorInfo::REASON_UNLOCK_FAILED,
                   absl::StrCat(what, ": ", progress.open.empty() ? kNotReported : progress.open)),
             "");
}

absl::Status Enforcement::End(const Entry& entry, const Record& record, const absl::Status& outcome,
                              const std::string& detail) {
  ASSIGN_OR_RETURN(const auto item, parts_.store.Inventory(record.id));
  v1::Alert alert = MakeAlert(record, item, clock_());
  alert.set_alert_id(entry.metadata.alert_id());
  alert.set_event(EventOf(entry.metadata.kind()));
  *alert.mutable_initiator() = entry.metadata.initiator();
  alert.set_severity(outcome.ok() ? v1::Alert::SEVERITY_INFORMATIONAL
                                  : v1::Alert::SEVERITY_WARNING);
  alert.set_result_code(outcome.ok() ? 1200 : ResultCodeOf(ReasonOf(outcome)));
  alert.set_detail(outcome.ok() ? detail : std::string(outcome.message()));
  RETURN_IF_ERROR(parts_.journal.Finish(entry.id, outcome, &record.status));
  FaultPoint("lock.finished");
  spdlog::info("ended kind={} vm={} operation=operations/{} result={} detail=\"{}\"",
               v1::OperationKind_Name(entry.metadata.kind()), VirtualMachineName(record.id),
               entry.id, alert.result_code(), alert.detail());
  return parts_.outbox.Add(alert);
}

absl::StatusOr<std::vector<OperationJournal::Entry>> Enforcement::UnfinishedOf(
    const Record& record) {
  ASSIGN_OR_RETURN(std::vector<Entry> entries, parts_.journal.Unfinished());
  const std::string target = VirtualMachineName(record.id);
  std::erase_if(entries, [&](const Entry& entry) {
    return entry.metadata.target() != target ||
           entry.metadata.kind() == v1::OPERATION_KIND_TRANSFER;
  });
  return entries;
}

}  // namespace virmo::policy_engine
