// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/devices/peripherals.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "services/runtime/error.h"
#include "services/runtime/logging.h"
#include "services/runtime/peripheral_class.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"
#include "vm-controller/devices/foreign_devices.h"
#include "vm-controller/devices/mac_address.h"
#include "vm-controller/operation_runner.h"

namespace virmo::vm_controller {
namespace {

using v1::AppliedItem;
using v1::VirtualMachine;

// ua-virmo-p-ID_GENERATION; an id has no underscore.
constexpr char kAliasPrefix[] = "ua-virmo-p-";

std::string AliasOf(const HostDeviceRecord& record) {
  return absl::StrCat(kAliasPrefix, HostDeviceId(record.device), "_", record.generation);
}

bool IsPeripheral(const LiveDevice& device) { return absl::StartsWith(device.alias, kAliasPrefix); }

std::string DeviceIdOf(const LiveDevice& device) {
  const absl::string_view rest = absl::StripPrefix(device.alias, kAliasPrefix);
  return std::string(rest.substr(0, rest.find('_')));
}

// A running one keeps its devices until it has stopped; one that starts or is saved gets none.
bool MayHold(VirtualMachine::State state) {
  return state == VirtualMachine::STATE_RUNNING || state == VirtualMachine::STATE_STOPPING;
}

bool HasClass(const v1::HostDevice& device, v1::PeripheralClass peripheral_class) {
  return std::find(device.classes().begin(), device.classes().end(), peripheral_class) !=
         device.classes().end();
}

}  // namespace

// What one look at a virtual machine came to, by id of the host device.
struct Peripherals::Plan {
  absl::Status seen;  // Whether its devices could be read.
  std::map<std::string, HostDeviceRecord> records;
  std::set<std::string> due;      // What it is to have.
  std::set<std::string> plugged;  // What it has.
  std::set<std::string> cut;      // What it was cut off from, and holds on to.
  std::set<std::string> waiting;  // What another virtual machine has still.
  std::map<std::string, absl::Status> failed;
};

std::vector<AppliedItem> Peripherals::Enforce(const PolicySubject& subject) {
  std::shared_ptr<Mutex> gate;
  {
    MutexLock lock(mutex_);
    std::shared_ptr<Mutex>& own = gates_[subject.id];
    if (own == nullptr) own = std::make_shared<Mutex>();
    gate = own;
  }
  MutexLock lock(*gate);
  SetClaim(subject);
  Plan plan;
  if (!subject.started) {
    Release(subject.id);
    return Report(subject, plan);
  }
  const absl::StatusOr<std::vector<LiveDevice>> live = parts_.port.ListDevices(subject.id);
  plan.seen = live.status();
  if (!live.ok()) return Report(subject, plan);
  Learn();
  Decide(subject.id, plan);
  for (const LiveDevice& device : *live) {
    if (IsPeripheral(device)) {
      Keep(subject, device, plan);
    } else if (IsForeignDevice(device, subject.record, subject.domain)) {
      Revert(subject, device, plan);
    }
  }
  for (const std::string& id : plan.due) {
    if (plan.plugged.count(id) == 0 && plan.failed.count(id) == 0) Plug(subject, id, plan);
  }
  return Report(subject, plan);
}

// Read anew: it may have begun to be saved since the pass began, and BeforeSave waits for us.
void Peripherals::SetClaim(const PolicySubject& subject) {
  const absl::StatusOr<MachineRecord> record = parts_.machines.store().Get(subject.id);
  PeripheralClaim claim;
  if (subject.policy) claim.policy = *subject.policy;
  claim.started = subject.started && record.ok() && MayHold(record->vm.state());
  claim.locked = subject.locked;
  MutexLock lock(mutex_);
  claims_[subject.id] = std::move(claim);
}

// After a restart of ours: who has what, before anything is handed out.
void Peripherals::Learn() {
  {
    MutexLock lock(mutex_);
    if (learned_) return;
  }
  const absl::StatusOr<std::vector<MachineRecord>> records = parts_.machines.store().List();
  if (!records.ok()) return;
  for (const MachineRecord& record : *records) {
    if (!MayHold(record.vm.state())) continue;
    const absl::StatusOr<std::vector<LiveDevice>> live = parts_.port.ListDevices(record.id);
    if (ReasonOf(live.status()) == v1::ErrorInfo::REASON_HYPERVISOR_UNAVAILABLE) return;
    if (!live.ok()) continue;
    for (const LiveDevice& device : *live) {
      if (IsPeripheral(device)) SetHolder(DeviceIdOf(device), record.id, true);
    }
  }
  MutexLock lock(mutex_);
  learned_ = true;
}

void Peripherals::Decide(const std::string& id, Plan& plan) {
  for (HostDeviceRecord& record : parts_.host.List()) {
    const std::string device_id = HostDeviceId(record.device);
    MutexLock lock(mutex_);
    if (HandOut(record, claims_, holders_[device_id]).count(id) > 0) plan.due.insert(device_id);
    plan.records.emplace(device_id, std::move(record));
  }
}

// Keeps a device that it is to have, and takes any other.
void Peripherals::Keep(const PolicySubject& subject, const LiveDevice& device, Plan& plan) {
  const std::string id = DeviceIdOf(device);
  const auto record = plan.records.find(id);
  const bool due = plan.due.count(id) > 0 && record != plan.records.end() &&
                   AliasOf(record->second) == device.alias;
  if (due && !device.cut) {
    plan.plugged.insert(id);
    return SetHolder(id, subject.id, true);
  }
  if (due) return;  // Plug opens its link again.
  const absl::StatusOr<Departure> gone = parts_.port.Detach(subject.id, device.alias);
  if (!gone.ok()) {
    plan.failed[id] = gone.status();
    return;
  }
  if (*gone == Departure::kCut) plan.cut.insert(id);
  SetHolder(id, subject.id, false);
  if (device.cut) return;  // Told when it was cut.
  Tell(subject.id, "PeripheralRemoved", absl::StrCat("hostDevices/", id));
}

void Peripherals::Plug(const PolicySubject& subject, const std::string& device_id, Plan& plan) {
  const HostDeviceRecord& record = plan.records.at(device_id);
  std::set<std::string> others;
  {
    MutexLock lock(mutex_);
    others = holders_[device_id];
    others.erase(subject.id);
    const bool alone = HandOut(record, claims_, holders_[device_id]).size() <= 1;
    if (!alone) others.clear();
    // From here on nobody else takes it, though it is not there yet.
    if (others.empty()) holders_[device_id].insert(subject.id);
  }
  if (!others.empty()) {
    plan.waiting.insert(device_id);
    for (const std::string& other : others)
      parts_.schedule(other);  // It gives it up, and calls us.
    return;
  }
  DeviceSpec spec = record.spec;
  spec.alias = AliasOf(record);
  if (spec.kind == DeviceSpec::Kind::kNic) {
    spec.mac_address = MacAddressFor(subject.id, device_id);
  }
  const absl::Status status = parts_.port.Attach(subject.id, spec);
  if (!status.ok()) {
    plan.failed[device_id] = status;
    return SetHolder(device_id, subject.id, false);
  }
  plan.plugged.insert(device_id);
  SetHolder(device_id, subject.id, true);
  Tell(subject.id, "PeripheralAttached", record.device.name());
}

// Somebody plugged it in behind our back.
void Peripherals::Revert(const PolicySubject& subject, const LiveDevice& device, Plan& plan) {
  const std::string what =
      absl::StrCat("a ", device.element, " ", device.source.empty() ? device.alias : device.source,
                   " was plugged in by somebody else");
  const absl::StatusOr<Departure> gone = parts_.port.Detach(subject.id, device.alias);
  if (!gone.ok()) plan.failed[device.alias] = gone.status();
  {
    MutexLock lock(mutex_);
    // Told once, however often it is tried.
    const bool told = !told_.insert({subject.id, device.alias}).second;
    if (gone.ok() && *gone == Departure::kGone) told_.erase({subject.id, device.alias});
    if (told) return;
  }
  Tell(subject.id, "PolicyViolation",
       absl::StrCat(
           what, gone.ok() ? "; it was taken out"
                           : absl::StrCat("; it cannot be taken out: ", gone.status().message())));
}

absl::Status Peripherals::TakeOut(const std::string& id) {
  std::shared_ptr<Mutex> gate;
  {
    MutexLock lock(mutex_);
    std::shared_ptr<Mutex>& own = gates_[id];
    if (own == nullptr) own = std::make_shared<Mutex>();
    gate = own;
  }
  MutexLock lock(*gate);
  const absl::StatusOr<std::vector<LiveDevice>> live = parts_.port.ListDevices(id);
  if (ReasonOf(live.status()) == v1::ErrorInfo::REASON_NOT_SUPPORTED) return absl::OkStatus();
  RETURN_IF_ERROR(live.status());
  for (const LiveDevice& device : *live) {
    if (!IsPeripheral(device)) continue;
    RETURN_IF_ERROR(parts_.port.Detach(id, device.alias).status());
  }
  Release(id);
  return absl::OkStatus();
}

// It has nothing any more: others may have it.
void Peripherals::Release(const std::string& id) {
  std::set<std::string> held;
  {
    MutexLock lock(mutex_);
    claims_[id].started = false;
    for (const auto& [device_id, holders] : holders_) {
      if (holders.count(id) > 0) held.insert(device_id);
    }
  }
  for (const std::string& device_id : held) SetHolder(device_id, id, false);
}

void Peripherals::SetHolder(const std::string& device_id, const std::string& id, bool holds) {
  std::set<std::string> names, others;
  {
    MutexLock lock(mutex_);
    std::set<std::string>& holders = holders_[device_id];
    const bool changed = holds ? holders.insert(id).second : holders.erase(id) > 0;
    for (const std::string& holder : holders) names.insert(VirtualMachineName(holder));
    if (changed && !holds) others = ClaimantsOf(device_id, id);
  }
  parts_.host.SetAttached(device_id, names);
  for (const std::string& other : others) parts_.schedule(other);
}

std::set<std::string> Peripherals::ClaimantsOf(const std::string& device_id,
                                               const std::string& except) {
  std::set<std::string> claimants;
  const std::optional<HostDeviceRecord> record = parts_.host.Find(device_id);
  if (!record) return claimants;
  for (const auto& [id, claim] : claims_) {
    if (id != except && claim.started && !claim.locked &&
        GivesDevice(claim.policy, record->device)) {
      claimants.insert(id);
    }
  }
  return claimants;
}

void Peripherals::OnMachineChanged(const std::string& id) {
  {
    MutexLock lock(mutex_);
    const auto claim = claims_.find(id);
    if (claim == claims_.end() || !claim->second.started) return;
  }
  const absl::StatusOr<MachineRecord> record = parts_.machines.store().Get(id);
  if (record.ok() && MayHold(record->vm.state())) return;
  Release(id);
}

void Peripherals::OnHostChanged() {
  std::set<std::string> started;
  {
    MutexLock lock(mutex_);
    for (const auto& [id, claim] : claims_) {
      if (claim.started) started.insert(id);
    }
  }
  for (const std::string& id : started) parts_.schedule(id);
}

void Peripherals::Tell(const std::string& id, const char* event, const std::string& detail) {
  spdlog::info("peripheral event={} vm={} detail=\"{}\"", event, id, detail);
  const absl::StatusOr<VirtualMachine> vm = parts_.machines.Get(id);
  if (!vm.ok()) return;
  v1::Alert alert =
      MakeAlert(*vm, event,
                absl::string_view(event) == "PolicyViolation" ? v1::Alert::SEVERITY_WARNING
                                                              : v1::Alert::SEVERITY_INFORMATIONAL,
                detail);
  alert.set_alert_id(NewUuid());
  const absl::Status status = parts_.outbox.Add(std::move(alert));
  if (!status.ok()) spdlog::warn("could not tell of {} cause=\"{}\"", event, status.message());
}

std::vector<AppliedItem> Peripherals::Report(const PolicySubject& subject, const Plan& plan) {
  std::vector<AppliedItem> items;
  const bool unsupported = ReasonOf(plan.seen) == v1::ErrorInfo::REASON_NOT_SUPPORTED;
  if (subject.locked) {
    if (!subject.started) {
      items.push_back(MakeAppliedItem("lock.peripherals", AppliedItem::OUTCOME_NOT_APPLICABLE,
                                      "it does not run"));
    } else if (!plan.seen.ok() && !unsupported) {
      items.push_back(MakeAppliedItem("lock.peripherals", AppliedItem::OUTCOME_FAILED,
                                      std::string(plan.seen.message())));
    } else if (!plan.failed.empty()) {
      items.push_back(MakeAppliedItem("lock.peripherals", AppliedItem::OUTCOME_FAILED,
                                      std::string(plan.failed.begin()->second.message())));
    } else {
      items.push_back(MakeAppliedItem("lock.peripherals", AppliedItem::OUTCOME_APPLIED));
    }
  }
  if (!subject.policy) return items;
  for (const v1::PeripheralRule& rule : subject.policy->peripherals()) {
    items.push_back(ReportRule(subject, rule, plan));
  }
  return items;
}

AppliedItem Peripherals::ReportRule(const PolicySubject& subject, const v1::PeripheralRule& rule,
                                    const Plan& plan) {
  const std::string item = PeripheralItem(rule.peripheral_class());
  const bool give = rule.enabled() && !subject.locked;
  if (!subject.started) {
    if (!give) return MakeAppliedItem(item, AppliedItem::OUTCOME_APPLIED);
    return MakeAppliedItem(item, AppliedItem::OUTCOME_NOT_APPLICABLE,
                           "it does not run; it gets them when it does");
  }
  if (ReasonOf(plan.seen) == v1::ErrorInfo::REASON_NOT_SUPPORTED) {
    return MakeAppliedItem(
        item, give ? AppliedItem::OUTCOME_NOT_ENFORCEABLE : AppliedItem::OUTCOME_APPLIED,
        std::string(plan.seen.message()));
  }
  if (!plan.seen.ok()) {
    return MakeAppliedItem(item, AppliedItem::OUTCOME_FAILED, std::string(plan.seen.message()));
  }
  std::vector<std::string> words;
  for (const auto& [id, record] : plan.records) {
    if (!HasClass(record.device, rule.peripheral_class())) continue;
    const auto failed = plan.failed.find(id);
    if (failed != plan.failed.end()) {
      return MakeAppliedItem(item, AppliedItem::OUTCOME_FAILED,
                             absl::StrCat(id, ": ", failed->second.message()));
    }
    if (plan.plugged.count(id) > 0) words.push_back(absl::StrCat(id, " is plugged in"));
    if (plan.cut.count(id) > 0) {
      words.push_back(absl::StrCat("cut off from ", id, ", which the guest has not let go of"));
    }
    if (plan.waiting.count(id) > 0) {
      words.push_back(absl::StrCat("another virtual machine has ", id));
    }
  }
  if (words.empty() && give) words.push_back("no device that it may have is free");
  return MakeAppliedItem(item, AppliedItem::OUTCOME_APPLIED, absl::StrJoin(words, "; "));
}

}  // namespace virmo::vm_controller
