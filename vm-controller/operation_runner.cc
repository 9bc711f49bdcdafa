// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/operation_runner.h"

#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "google/protobuf/util/time_util.h"
#include "services/runtime/error.h"
#include "services/runtime/fault_point.h"
#include "services/runtime/logging.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"
#include "vm-controller/state_machine.h"

namespace virmo::vm_controller {
namespace {

using v1::ErrorInfo;
using v1::VirtualMachine;

// How long an operation waits for a hypervisor that went away, before it ends without knowing.
constexpr absl::Duration kHypervisorPatience = absl::Seconds(60);
constexpr int kMaxRepeats = 5;

constexpr int kLocked = 10;  // Values of the tree's Lock/State.
constexpr int kUnlocked = 30;

// A cause that says no more than that something failed becomes the operation's own failure.
absl::Status AsFailureOf(v1::OperationKind kind, const absl::Status& status) {
  ErrorInfo::Reason reason = ReasonOf(status);
  switch (reason) {
    case ErrorInfo::REASON_UNSPECIFIED:
    case ErrorInfo::REASON_INTERNAL:
    case ErrorInfo::REASON_HYPERVISOR_FAILED:
    case ErrorInfo::REASON_STORAGE_FAILED:
    case ErrorInfo::REASON_VM_NOT_FOUND:
    case ErrorInfo::REASON_NOT_FOUND:
      reason = FailureReason(kind);
      break;
    case ErrorInfo::REASON_INSUFFICIENT_RESOURCES:
      if (kind != v1::OPERATION_KIND_DOWNLOAD_PROVISION) return status;
      reason = ErrorInfo::REASON_PROVISION_NO_RESOURCES;
      break;
    default:
      return status;
  }
  const v1::ErrorInfo info = ErrorInfoOf(status);
  return Error(reason, std::string(status.message()),
               Metadata(info.metadata().begin(), info.metadata().end()));
}

std::string Lower(v1::OperationKind kind) { return absl::AsciiStrToLower(OperationWord(kind)); }

// `provision.fetch`, as tests know it.
std::string PointName(const Job& job, const std::string& step) {
  std::string word = Lower(job.entry.metadata.kind());
  if (word == "downloadprovision") word = "provision";
  return absl::StrCat(word, ".", step);
}

void SetLastOperation(const Job& job, const absl::Status& outcome, VirtualMachine& vm) {
  VirtualMachine::LastOperation* last = vm.mutable_last_operation();
  last->set_operation(OperationName(job.id));
  last->set_kind(OperationWord(job.entry.metadata.kind()));
  last->set_result_code(outcome.ok() ? 1200 : ResultCodeOf(ReasonOf(outcome)));
  last->set_correlator(job.entry.metadata.initiator().correlator());
  last->set_detail(std::string(outcome.message()));
  *last->mutable_end_time() = google::protobuf::util::TimeUtil::GetCurrentTime();
}

// The state after the end, unless the plan says otherwise.
void SetState(const Job& job, const absl::Status& outcome, MachineRecord& record) {
  const v1::OperationKind kind = job.entry.metadata.kind();
  if (outcome.ok() && GoalState(kind) != VirtualMachine::STATE_UNSPECIFIED) {
    record.vm.set_state(GoalState(kind));
  } else if (!outcome.ok() && TransientState(kind) != VirtualMachine::STATE_UNSPECIFIED &&
             record.stable_state != VirtualMachine::STATE_UNSPECIFIED) {
    record.vm.set_state(record.stable_state);
  }
}

}  // namespace

v1::Alert MakeAlert(const VirtualMachine& vm, const std::string& event,
                    v1::Alert::Severity severity, const std::string& detail) {
  v1::Alert alert;
  alert.set_virtual_machine(vm.name());
  alert.set_event(event);
  alert.set_severity(severity);
  alert.set_state(vm.state());
  alert.set_lock_state(vm.locked() ? kLocked : kUnlocked);
  alert.set_detail(detail);
  return alert;
}

OperationRunner::OperationRunner(Workshop& shop, Database& database, Outbox& outbox,
                                 std::function<void(const std::string& vm_id)> on_end)
    : shop_(shop),
      database_(database),
      outbox_(outbox),
      on_end_(std::move(on_end)),
      workers_(shop.config.max_operations()) {}

OperationRunner::~OperationRunner() { Stop(); }

void OperationRunner::Enqueue(const std::string& id, const std::string& key) {
  workers_.Run(key, [this, id] { Run(id); });
}

absl::Status OperationRunner::Recover() {
  ASSIGN_OR_RETURN(const std::vector<OperationJournal::Entry> entries, shop_.journal.Unfinished());
  for (const OperationJournal::Entry& entry : entries) {
    spdlog::info("goes on operation={} kind={} step={}", OperationName(entry.id),
                 OperationWord(entry.metadata.kind()), entry.metadata.step());
    Enqueue(entry.id, entry.metadata.target());
  }
  return absl::OkStatus();
}

void OperationRunner::Stop() { stopping_ = true; }

void OperationRunner::Run(const std::string& id) {
  const absl::StatusOr<OperationJournal::Entry> entry = shop_.journal.Get(id);
  if (stopping_ || !entry.ok() || entry->done) return;
  Job job = {shop_, id, "", *entry,
             [this, id] { return stopping_ || shop_.journal.IsCancelRequested(id); }};
  job.vm_id = VirtualMachineId(entry->metadata.target()).value_or("");
  absl::StatusOr<Plan> plan = MakePlan(job);
  absl::Status outcome = plan.ok() ? RunSteps(job, *plan) : plan.status();
  if (!plan.ok()) plan = Plan();
  if (stopping_ && !outcome.ok()) return;  // Without an outcome: goes on after the restart.
  outcome = outcome.ok() ? outcome : AsFailureOf(entry->metadata.kind(), outcome);
  if (!outcome.ok()) {
    const absl::Status undone = plan->roll_back();
    if (!undone.ok()) {
      spdlog::warn("could not undo operation={} cause=\"{}\"", OperationName(id), undone.message());
    }
  }
  const absl::Status ended = End(job, *plan, outcome);
  if (!ended.ok()) {
    spdlog::error("could not record the end operation={} cause=\"{}\"", OperationName(id),
                  ended.message());
  } else {
    plan->after_end();
  }
  TidyUp();
  on_end_(job.vm_id);
  if (!plan->result_id.empty()) on_end_(plan->result_id);
}

// Does the steps. When the hypervisor goes away in the middle, what the last call did is unknown:
// waits until it answers again, and begins anew, each step looking at what is.
absl::Status OperationRunner::RunSteps(const Job& job, const Plan& plan) {
  absl::Status status;
  std::string recorded = job.entry.metadata.step();
  for (int repeat = 0; repeat < kMaxRepeats; ++repeat) {
    status = absl::OkStatus();
    for (const Step& step : plan.steps) {
      status = RunStep(job, step, recorded);
      if (!status.ok()) break;
    }
    if (ReasonOf(status) != ErrorInfo::REASON_HYPERVISOR_UNAVAILABLE || stopping_) return status;
    if (!shop_.machines.AwaitReachable(kHypervisorPatience)) return status;
  }
  return status;
}

absl::Status OperationRunner::RunStep(const Job& job, const Step& step, std::string& recorded) {
  if (job.is_cancelled()) {
    return Error(ErrorInfo::REASON_CANCELLED, absl::StrCat("cancelled before ", step.name));
  }
  if (recorded != step.name) RETURN_IF_ERROR(shop_.journal.SetStep(job.id, step.name));
  recorded = step.name;
  FaultPoint(PointName(job, step.name).c_str());
  RETURN_IF_ERROR(step.act());
  FaultPoint(PointName(job, absl::StrCat(step.name, ".done")).c_str());
  return absl::OkStatus();
}

absl::Status OperationRunner::End(const Job& job, const Plan& plan, const absl::Status& outcome) {
  FaultPoint(PointName(job, "end").c_str());
  const absl::Status status = database_.Transact([&]() -> absl::Status {
    const std::string result_id =
        plan.result_id.empty() || !outcome.ok() ? job.vm_id : plan.result_id;
    // As it was last seen, for one that is removed.
    VirtualMachine last_seen = shop_.machines.Get(job.vm_id).value_or(VirtualMachine());
    if (last_seen.name().empty()) last_seen.set_name(job.entry.metadata.target());
    RETURN_IF_ERROR(EndRecord(job, plan, outcome));
    RETURN_IF_ERROR(plan.at_end(outcome));
    const VirtualMachine vm = shop_.machines.Get(job.vm_id).value_or(last_seen);
    const VirtualMachine result = shop_.machines.Get(result_id).value_or(vm);
    const google::protobuf::Message* response = plan.response ? plan.response.get() : &result;
    RETURN_IF_ERROR(shop_.journal.Finish(job.id, outcome, outcome.ok() ? response : nullptr));
    return Alert(job, plan, outcome, vm);
  });
  spdlog::info("ended operation={} kind={} vm={} result={}", OperationName(job.id),
               OperationWord(job.entry.metadata.kind()), job.entry.metadata.target(),
               outcome.ok() ? "ok" : std::string(outcome.message()));
  FaultPoint(PointName(job, "ended").c_str());
  return status;
}

absl::Status OperationRunner::EndRecord(const Job& job, const Plan& plan,
                                        const absl::Status& outcome) {
  if (!shop_.machines.store().Get(job.vm_id).ok()) return absl::OkStatus();
  const Plan::Fate fate = outcome.ok() ? plan.fate_on_success : plan.fate_on_failure();
  if (fate != Plan::Fate::kKeep) {
    return shop_.machines.Remove(job.vm_id, fate == Plan::Fate::kRemoveForGood);
  }
  return shop_.machines.Change(job.vm_id, [&](MachineRecord& record) {
    SetLastOperation(job, outcome, record.vm);
    // A forced stop took over: what the state is, is its business.
    if (record.vm.current_operation() != OperationName(job.id)) return;
    record.vm.clear_current_operation();
    SetState(job, outcome, record);
    (outcome.ok() ? plan.on_success : plan.on_failure)(record);
  });
}

absl::Status OperationRunner::Alert(const Job& job, const Plan& plan, const absl::Status& outcome,
                                    const VirtualMachine& vm) {
  const v1::OperationMetadata& metadata = job.entry.metadata;
  v1::Alert alert =
      MakeAlert(vm, OperationWord(metadata.kind()),
                outcome.ok() ? v1::Alert::SEVERITY_INFORMATIONAL : v1::Alert::SEVERITY_WARNING,
                std::string(outcome.message()));
  alert.set_alert_id(metadata.alert_id());
  *alert.mutable_initiator() = metadata.initiator();
  alert.set_result_code(outcome.ok() ? 1200 : ResultCodeOf(ReasonOf(outcome)));
  if (outcome.ok() && !plan.result_id.empty()) alert.set_identifier(plan.result_id);
  return outbox_.Add(std::move(alert));
}

// Removes images that nobody uses any more and, once a day, records of old operations.
void OperationRunner::TidyUp() {
  const int64_t today = absl::ToUnixSeconds(absl::Now()) / 86400;
  if (pruned_day_.exchange(today) != today) (void)shop_.journal.Prune();
  const absl::StatusOr<std::vector<MachineRecord>> records = shop_.machines.store().List();
  if (!records.ok()) return;
  std::set<std::string> used;
  for (const MachineRecord& record : *records) {
    for (const VirtualMachine::Disk& disk : record.vm.disks()) {
      used.insert(std::string(absl::StripPrefix(disk.image_digest(), "sha256:")));
    }
  }
  const absl::Status status = shop_.images.Collect(used);
  if (!status.ok()) spdlog::warn("could not collect images cause=\"{}\"", status.message());
}

}  // namespace virmo::vm_controller
