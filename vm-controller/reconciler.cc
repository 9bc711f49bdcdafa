// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/reconciler.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/time_util.h"
#include "services/runtime/error.h"
#include "services/runtime/logging.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"
#include "vm-controller/allocation.h"
#include "vm-controller/operation_runner.h"
#include "vm-controller/operations/launch.h"

namespace virmo::vm_controller {
namespace {

using v1::VirtualMachine;

// A record that changes more often than this is looked at again at its next event.
constexpr int kLooks = 5;

bool IsMissing(const absl::StatusOr<Domain>& domain) {
  return ReasonOf(domain.status()) == v1::ErrorInfo::REASON_VM_NOT_FOUND;
}

// What a record's state should be, given what is seen. A stopped virtual machine needs no domain,
// since each start defines it anew; any other has lost it.
VirtualMachine::State SettledState(const MachineRecord& record,
                                   const absl::StatusOr<Domain>& domain, std::string* detail) {
  const VirtualMachine::State before = record.vm.state();
  if (IsMissing(domain)) {
    if (before == VirtualMachine::STATE_STOPPED) return before;
    *detail = "the hypervisor does not know it any more";
    return VirtualMachine::STATE_FAILED;
  }
  *detail = domain->detail;
  switch (domain->state) {
    case DomainState::kPaused:
      if (detail->empty() && !record.vm.paused() && !record.vm.paused_by_lock()) {
        *detail = "its CPUs stand still, and neither an admin nor a lock asked for it";
      }
      return VirtualMachine::STATE_RUNNING;
    case DomainState::kRunning:
      return VirtualMachine::STATE_RUNNING;
    case DomainState::kSaved:
      return VirtualMachine::STATE_SUSPENDED;
    case DomainState::kCrashed:
      // Noted already, or ended by a forced stop since.
      if (before == VirtualMachine::STATE_STOPPED) *detail = "";
      return before == VirtualMachine::STATE_STOPPED ? before : VirtualMachine::STATE_FAILED;
    case DomainState::kOff:
      break;
  }
  if (before == VirtualMachine::STATE_FAILED) *detail = record.vm.state_detail();
  return before == VirtualMachine::STATE_FAILED ? before : VirtualMachine::STATE_STOPPED;
}

MachineRecord RecordOf(const Domain& domain) {
  MachineRecord record;
  record.id = domain.spec.id;
  VirtualMachine& vm = record.vm;
  vm.set_name(VirtualMachineName(record.id));
  vm.set_display_name(domain.spec.title.empty() ? record.id : domain.spec.title);
  vm.set_role(VirtualMachine::ROLE_GUEST);
  vm.set_state(VirtualMachine::STATE_STOPPED);
  vm.set_locked(true);
  SetQuantity(*vm.mutable_allocations(), v1::RESOURCE_KIND_MEMORY, domain.spec.memory_mib);
  SetQuantity(*vm.mutable_allocations(), v1::RESOURCE_KIND_PROCESSOR, domain.spec.cpu_count);
  VirtualMachine::Disk* disk = vm.add_disks();
  disk->set_target("vda");
  disk->set_image_digest(domain.spec.image_digest);
  for (const NetworkInterface& nic : domain.spec.interfaces) {
    VirtualMachine::NetworkInterface* added = vm.add_network_interfaces();
    added->set_mac_address(nic.mac_address);
    added->set_source(nic.source);
  }
  *vm.mutable_create_time() = google::protobuf::util::TimeUtil::GetCurrentTime();
  return record;
}

}  // namespace

Reconciler::Reconciler(Database& database, Machines& machines, Hypervisor& hypervisor,
                       Outbox& outbox, ConsoleHub& consoles,
                       std::function<void(const std::string& id)> enforce)
    : database_(database),
      machines_(machines),
      hypervisor_(hypervisor),
      outbox_(outbox),
      consoles_(consoles),
      enforce_(std::move(enforce)) {}

// What was seen while an operation ended may be older than what the operation left: look again.
void Reconciler::Observe(const std::string& id) {
  for (int i = 0; i < kLooks; ++i) {
    const absl::StatusOr<MachineRecord> before = machines_.store().Get(id);
    if (!before.ok() || Compare(*before, hypervisor_.Get(id))) return;
  }
}

void Reconciler::ObserveAll() {
  const absl::StatusOr<std::vector<Domain>> domains = hypervisor_.List();
  const absl::StatusOr<std::vector<MachineRecord>> records = machines_.store().List();
  if (!domains.ok() || !records.ok()) return;
  std::set<std::string> known;
  for (const MachineRecord& record : *records) {
    known.insert(record.id);
    Observe(record.id);
  }
  for (const Domain& domain : *domains) {
    if (domain.ours && known.count(domain.spec.id) == 0) AdoptUnknown(domain);
  }
}

bool Reconciler::Compare(const MachineRecord& before, const absl::StatusOr<Domain>& domain) {
  const std::string& id = before.id;
  if (!domain.ok() && !IsMissing(domain)) return true;  // Unknown is not gone.
  if (domain.ok()) {
    machines_.SetDomain(*domain);
    IsStarted(*domain) ? consoles_.Attach(id) : consoles_.Detach(id);
  } else {
    machines_.ForgetDomain(id);
  }
  const absl::Status status = database_.Transact([&] { return Settle(before, domain); });
  if (absl::IsAborted(status)) return false;
  if (!status.ok()) spdlog::warn("could not settle vm={} cause=\"{}\"", id, status.message());
  const auto policy = machines_.store().GetPolicy(id);
  if (policy.ok() && IsLocked(*policy)) enforce_(id);
  return true;
}

absl::Status Reconciler::Settle(const MachineRecord& before, const absl::StatusOr<Domain>& domain) {
  const std::string& id = before.id;
  ASSIGN_OR_RETURN(const MachineRecord record, machines_.store().Get(id));
  if (!record.vm.current_operation().empty()) return absl::OkStatus();  // Its business.
  if (record.vm.etag() != before.vm.etag()) return absl::AbortedError("changed meanwhile");
  std::string detail;
  const VirtualMachine::State state = SettledState(record, domain, &detail);
  RETURN_IF_ERROR(machines_.Change(id, [&](MachineRecord& changed) {
    changed.vm.set_state_detail(detail);
    changed.vm.set_state(state);
    // Kept, so that it is known before the hypervisor has answered after a restart of ours.
    changed.vm.set_host_pid(domain.ok() && IsStarted(*domain) ? domain->host_pid : 0);
    if (state == VirtualMachine::STATE_RUNNING) return;
    changed.vm.set_paused_by_lock(false);
    if (state == VirtualMachine::STATE_SUSPENDED) return;
    changed.vm.set_paused(false);
    changed.suspended_by_lock = false;
  }));
  if (state == record.vm.state()) return absl::OkStatus();
  spdlog::info("found vm={} state={} before={} detail=\"{}\"", id,
               VirtualMachine::State_Name(state), VirtualMachine::State_Name(record.vm.state()),
               detail);
  ASSIGN_OR_RETURN(const VirtualMachine vm, machines_.Get(id));
  return TellOfChange(vm, record.vm.state());
}

absl::Status Reconciler::TellOfChange(const VirtualMachine& vm, VirtualMachine::State before) {
  const bool failed = vm.state() == VirtualMachine::STATE_FAILED;
  v1::Alert alert = MakeAlert(
      vm, failed ? "VMFailed" : "StateChange",
      failed ? v1::Alert::SEVERITY_CRITICAL : v1::Alert::SEVERITY_INFORMATIONAL,
      failed ? vm.state_detail()
             : absl::StrCat("changed by itself, from ", VirtualMachine::State_Name(before), " to ",
                            VirtualMachine::State_Name(vm.state())));
  alert.set_alert_id(NewUuid());
  return outbox_.Add(std::move(alert));
}

// A domain with our mark that we have no record of: our database was lost. It is shown again, and
// counts as locked until policy-engine says otherwise.
void Reconciler::AdoptUnknown(const Domain& domain) {
  const std::string& id = domain.spec.id;
  if (!IsUuid(id) || !machines_.store().CheckIdIsFree(id).ok()) return;
  MachineRecord record = RecordOf(domain);
  if (!machines_.store().CheckNameIsFree(record.vm.display_name(), id).ok()) {
    record.vm.set_display_name(id);
  }
  const absl::Status status = machines_.Add(std::move(record));
  spdlog::warn("adopted a domain that no record knows vm={} result={}", id, status.ToString());
  if (status.ok()) Observe(id);
}

}  // namespace virmo::vm_controller
