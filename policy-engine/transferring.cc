// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/transferring.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "policy-engine/policy_alert.h"
#include "policy-engine/transfer_rules.h"
#include "services/runtime/error.h"
#include "services/runtime/fault_point.h"
#include "services/runtime/logging.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"

namespace virmo::policy_engine {
namespace {

using Inventory = std::optional<v1::InventoryItem>;

constexpr absl::Duration kRetry = absl::Seconds(5);
// A step that began further ahead than this began before the clock was set back.
constexpr absl::Duration kClockSlack = absl::Seconds(5);

absl::Status Busy(const Record& record) {
  return Error(v1::ErrorInfo::REASON_BUSY,
               absl::StrCat(VirtualMachineName(record.id), " is in another transfer"),
               {{"operation", "operations/" + record.transfer}});
}

absl::Status CheckFree(const Record& record) {
  if (!record.transfer.empty()) return Busy(record);
  if (!record.status.policy().lock().locked()) return absl::OkStatus();
  return Error(v1::ErrorInfo::REASON_VM_LOCKED,
               absl::StrCat(VirtualMachineName(record.id), " is locked"),
               {{"virtual_machine", VirtualMachineName(record.id)}});
}

}  // namespace

// One transaction of one transfer: what is known at its start.
struct Transferring::Step {
  Entry entry;
  v1::Transfer transfer;
  std::optional<Record> from;
  std::optional<Record> to;
  Inventory from_item;
  Inventory to_item;
};

Transferring::Transferring(const Parts& parts, Clock clock, absl::Duration timeout)
    : parts_(parts), clock_(std::move(clock)), timeout_(timeout) {}

absl::StatusOr<google::longrunning::Operation> Transferring::Transfer(
    const v1::TransferResourcesRequest& request) {
  RETURN_IF_ERROR(CheckTransfer(request.transfer()));
  google::longrunning::Operation operation;
  RETURN_IF_ERROR(parts_.store.Change([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const auto first, parts_.journal.FindRequest(request.request_id(), request));
    if (!first) RETURN_IF_ERROR(Begin(request));
    ASSIGN_OR_RETURN(operation, parts_.journal.GetOperation(request.request_id()));
    return absl::OkStatus();
  }));
  FaultPoint("transfer.begun");
  Poke();
  return operation;
}

absl::Status Transferring::Begin(const v1::TransferResourcesRequest& request) {
  v1::Transfer transfer = request.transfer();
  ASSIGN_OR_RETURN(Record from, parts_.store.Load(*VirtualMachineId(transfer.from())));
  ASSIGN_OR_RETURN(Record to, parts_.store.Load(*VirtualMachineId(transfer.to())));
  ASSIGN_OR_RETURN(const Inventory item, parts_.store.Inventory(from.id));
  for (const Record* record : {&from, &to}) RETURN_IF_ERROR(CheckFree(*record));
  RETURN_IF_ERROR(CheckDonor(from, item, transfer));
  RETURN_IF_ERROR(CheckReceiver(to, transfer));
  Record granted = to;
  Move(transfer, Direction::kAdd, granted);
  RETURN_IF_ERROR(parts_.pools.CheckBounds(granted.status.policy().allocations()));

  parts_.pools.RaisePeak(from);
  Move(transfer, Direction::kTakeAway, from);
  from.transfer = to.transfer = request.request_id();
  from.escrow_memory = transfer.memory_mib();
  Renew(from);
  RETURN_IF_ERROR(parts_.pools.Charge(from, Pools::Growth::kAccept));
  RETURN_IF_ERROR(parts_.store.Save(from));
  RETURN_IF_ERROR(parts_.store.Save(to));

  v1::OperationMetadata metadata;
  metadata.set_target(transfer.from());
  metadata.set_kind(v1::OPERATION_KIND_TRANSFER);
  *metadata.mutable_initiator() = request.initiator();
  transfer.set_state(v1::Transfer::STATE_RELEASING);
  transfer.clear_detail();
  RETURN_IF_ERROR(parts_.journal.Insert(request.request_id(), metadata, request));
  return parts_.journal.SetStep(request.request_id(), "RELEASING", &transfer);
}

absl::Duration Transferring::Advance() {
  absl::Duration wait = absl::InfiniteDuration();
  const absl::StatusOr<std::vector<Entry>> entries = parts_.journal.Unfinished();
  if (!entries.ok()) return kRetry;
  for (const Entry& entry : *entries) {
    if (entry.metadata.kind() != v1::OPERATION_KIND_TRANSFER) continue;
    absl::Status status;
    std::string step;
    // From step to step, until it waits for a report.
    for (int i = 0; i < 4; ++i) {
      status = parts_.store.Change([&] { return AdvanceOne(entry.id, &wait); });
      FaultPoint("transfer.step");
      const auto now = parts_.journal.Get(entry.id);
      if (!status.ok() || !now.ok() || now->done || now->metadata.step() == step) break;
      step = now->metadata.step();
    }
    if (status.ok()) continue;
    spdlog::warn("cannot go on with operation=operations/{} error=\"{}\"", entry.id,
                 status.message());
    wait = std::min(wait, kRetry);
  }
  return wait;
}

absl::Status Transferring::AdvanceOne(const std::string& operation, absl::Duration* wait) {
  Step step;
  ASSIGN_OR_RETURN(step.entry, parts_.journal.Get(operation));
  if (step.entry.done || !step.entry.state.UnpackTo(&step.transfer)) return absl::OkStatus();
  const std::string from = *VirtualMachineId(step.transfer.from());
  const std::string to = *VirtualMachineId(step.transfer.to());
  ASSIGN_OR_RETURN(step.from, parts_.store.Find(from));
  ASSIGN_OR_RETURN(step.to, parts_.store.Find(to));
  ASSIGN_OR_RETURN(step.from_item, parts_.store.Inventory(from));
  ASSIGN_OR_RETURN(step.to_item, parts_.store.Inventory(to));
  if (step.transfer.state() == v1::Transfer::STATE_ROLLING_BACK) return FinishRollBack(step);
  if (!step.from || !step.to) {
    return RollBack(step, absl::StrCat("the ", step.from ? "receiver" : "donor", " was deleted"));
  }
  for (const Record* record : {&*step.from, &*step.to}) {
    if (!record->status.policy().lock().locked()) continue;
    return RollBack(step, VirtualMachineName(record->id) + " was locked");
  }
  const bool releasing = step.transfer.state() == v1::Transfer::STATE_RELEASING;
  Record& record = releasing ? *step.from : *step.to;
  const std::string open =
      NotInForce(record, releasing ? step.from_item : step.to_item, step.transfer,
                 releasing ? Direction::kTakeAway : Direction::kAdd);
  if (open.empty()) return releasing ? Grant(step) : End(step, absl::OkStatus());
  const std::string waits = absl::StrCat(releasing ? "donor: " : "receiver: ", open);
  if (IsLate(step, record, wait)) {
    return RollBack(step, absl::StrCat("after ", absl::FormatDuration(timeout_), ", ", waits));
  }
  return SetState(step, step.transfer.state(), "waits for the " + waits);
}

bool Transferring::IsLate(const Step& /*step*/, const Record& record, absl::Duration* wait) {
  MutexLock lock(mutex_);
  if (controllers_ == 0) return false;
  const absl::Time now = clock_();
  const absl::Time began =
      std::max(FromTimestamp(record.status.policy().update_time()), connected_);
  if (now < began + timeout_ && began <= now + kClockSlack) {
    *wait = std::min(*wait, began + timeout_ - now);
    return false;
  }
  return true;
}

// The escrow changes hands in one transaction, so nobody else can have it in between.
absl::Status Transferring::Grant(Step& step) {
  Record& from = *step.from;
  Record& to = *step.to;
  const Record as_before = to;
  from.escrow_memory = 0;
  RETURN_IF_ERROR(parts_.pools.Charge(from, Pools::Growth::kAccept));
  RETURN_IF_ERROR(parts_.store.Save(from));
  Move(step.transfer, Direction::kAdd, to);
  Renew(to);
  const absl::Status admitted = parts_.pools.Charge(to, Pools::Growth::kRefuse);
  if (!admitted.ok()) {
    step.to = as_before;
    return RollBack(step, std::string(admitted.message()));
  }
  RETURN_IF_ERROR(parts_.store.Save(to));
  FaultPoint("transfer.granting");
  return SetState(step, v1::Transfer::STATE_GRANTING, "");
}

absl::Status Transferring::RollBack(Step& step, const std::string& why) {
  const bool granted = step.transfer.state() == v1::Transfer::STATE_GRANTING;
  spdlog::warn("rolling back operation=operations/{} cause=\"{}\"", step.entry.id, why);
  RETURN_IF_ERROR(SetState(step, v1::Transfer::STATE_ROLLING_BACK, why));
  if (granted && step.to) {
    Record& to = *step.to;
    parts_.pools.RaisePeak(to);
    Move(step.transfer, Direction::kTakeAway, to);
    to.escrow_memory = step.transfer.memory_mib();
    Renew(to);
    RETURN_IF_ERROR(parts_.pools.Charge(to, Pools::Growth::kAccept));
    return parts_.store.Save(to);
  }
  return FinishRollBack(step);
}

absl::Status Transferring::FinishRollBack(Step& step) {
  if (step.to && step.to->escrow_memory > 0) {
    // Whether or not it took everything: what it holds beyond its policy is nobody else's yet.
    const std::string open =
        NotInForce(*step.to, step.to_item, step.transfer, Direction::kTakeAway);
    if (!open.empty()) return absl::OkStatus();
  }
  FaultPoint("transfer.giving_back");
  return GiveBack(step);
}

absl::Status Transferring::GiveBack(Step& step) {
  if (step.to) {
    step.to->escrow_memory = 0;
    RETURN_IF_ERROR(parts_.pools.Charge(*step.to, Pools::Growth::kAccept));
    RETURN_IF_ERROR(parts_.store.Save(*step.to));
  }
  if (step.from) {
    Move(step.transfer, Direction::kAdd, *step.from);
    step.from->escrow_memory = 0;
    Renew(*step.from);
    RETURN_IF_ERROR(parts_.pools.Charge(*step.from, Pools::Growth::kAccept));
    RETURN_IF_ERROR(parts_.store.Save(*step.from));
  }
  return End(step,
             Error(v1::ErrorInfo::REASON_TRANSFER_FAILED,
                   absl::StrCat("rolled back, both are as before: ", step.transfer.detail())));
}

absl::Status Transferring::SetState(Step& step, v1::Transfer::State state,
                                    const std::string& detail) {
  if (step.transfer.state() == state && step.transfer.detail() == detail) return absl::OkStatus();
  step.transfer.set_state(state);
  step.transfer.set_detail(detail);
  const std::string name = v1::Transfer::State_Name(state).substr(std::string("STATE_").size());
  return parts_.journal.SetStep(step.entry.id, name, &step.transfer);
}

absl::Status Transferring::End(Step& step, const absl::Status& outcome) {
  if (step.from) RETURN_IF_ERROR(SaveEnd(*step.from));
  if (step.to) RETURN_IF_ERROR(SaveEnd(*step.to));
  step.transfer.set_state(outcome.ok() ? v1::Transfer::STATE_DONE
                                       : v1::Transfer::STATE_ROLLED_BACK);
  if (outcome.ok()) step.transfer.clear_detail();
  RETURN_IF_ERROR(
      parts_.journal.SetStep(step.entry.id, outcome.ok() ? "DONE" : "ROLLED_BACK", &step.transfer));
  Record gone;
  gone.id = *VirtualMachineId(step.transfer.from());
  v1::Alert alert = MakeAlert(step.from ? *step.from : gone, step.from_item, clock_());
  alert.set_alert_id(step.entry.metadata.alert_id());
  alert.set_event("Transfer");
  *alert.mutable_initiator() = step.entry.metadata.initiator();
  alert.set_severity(outcome.ok() ? v1::Alert::SEVERITY_INFORMATIONAL
                                  : v1::Alert::SEVERITY_WARNING);
  alert.set_result_code(outcome.ok() ? 1200 : ResultCodeOf(ReasonOf(outcome)));
  alert.set_detail(outcome.ok() ? "moved to " + step.transfer.to()
                                : std::string(outcome.message()));
  RETURN_IF_ERROR(parts_.journal.Finish(step.entry.id, outcome, &step.transfer));
  spdlog::info(
      "ended kind=OPERATION_KIND_TRANSFER from={} to={} operation=operations/{} result={}"
      " detail=\"{}\"",
      step.transfer.from(), step.transfer.to(), step.entry.id, alert.result_code(), alert.detail());
  FaultPoint("transfer.ended");
  return parts_.outbox.Add(alert);
}

absl::Status Transferring::SaveEnd(Record& record) {
  record.transfer.clear();
  return parts_.store.Save(record);
}

void Transferring::Renew(Record& record) {
  v1::EffectivePolicy& policy = *record.status.mutable_policy();
  policy.set_version(policy.version() + 1);
  *policy.mutable_update_time() = ToTimestamp(clock_());
}

void Transferring::Start() {
  timer_ = std::make_unique<PeriodicTask>([this] { return Advance(); });
}

void Transferring::Poke() {
  if (timer_ != nullptr) timer_->Poke();
}

void Transferring::OnController(bool watches) {
  {
    MutexLock lock(mutex_);
    controllers_ += watches ? 1 : -1;
    if (watches && controllers_ == 1) connected_ = clock_();
  }
  Poke();
}

}  // namespace virmo::policy_engine
