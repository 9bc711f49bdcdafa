// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/machines.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "google/protobuf/util/time_util.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"
#include "vm-controller/allocation.h"

namespace virmo::vm_controller {
namespace {

void Touch(MachineRecord& record) {
  *record.vm.mutable_update_time() =
      google::protobuf::util::TimeUtil::NanosecondsToTimestamp(absl::ToUnixNanos(absl::Now()));
  record.vm.set_etag(absl::StrCat(absl::Hex(absl::ToUnixNanos(absl::Now()))));
}

void ShowDomain(const Domain& domain, v1::VirtualMachine& vm) {
  const bool started =
      domain.state == DomainState::kRunning || domain.state == DomainState::kPaused;
  vm.set_host_pid(started ? domain.host_pid : 0);
  for (v1::VirtualMachine::NetworkInterface& shown : *vm.mutable_network_interfaces()) {
    for (const NetworkInterface& nic : domain.spec.interfaces) {
      if (nic.mac_address == shown.mac_address()) shown.set_link_up(started && nic.link_up);
    }
  }
  vm.clear_applied_allocations();
  AddApplied(domain, vm);
}

// The quantity is the domain's, as it is newer.
void ShowApplied(const std::vector<v1::AppliedAllocation>& all, v1::VirtualMachine& vm) {
  for (const v1::AppliedAllocation& one : all) {
    v1::AppliedAllocation* shown = nullptr;
    for (v1::AppliedAllocation& there : *vm.mutable_applied_allocations()) {
      if (there.kind() == one.kind()) shown = &there;
    }
    const int64_t quantity = shown == nullptr ? one.actual_quantity() : shown->actual_quantity();
    if (shown == nullptr) shown = vm.add_applied_allocations();
    const bool pending = shown->pending() || one.pending();
    *shown = one;
    shown->set_actual_quantity(quantity);
    shown->set_pending(pending);
  }
}

}  // namespace

v1::VirtualMachine Machines::View(const MachineRecord& record) {
  v1::VirtualMachine vm = record.vm;
  MutexLock lock(mutex_);
  const auto found = domains_.find(record.id);
  if (found != domains_.end()) ShowDomain(found->second, vm);
  const auto applied = applied_.find(record.id);
  if (applied != applied_.end()) ShowApplied(applied->second, vm);
  if (!reachable_) {
    vm.set_state_detail(
        absl::StrCat("last known state; the hypervisor cannot be asked: ", unreachable_detail_));
  }
  return vm;
}

absl::StatusOr<v1::VirtualMachine> Machines::Get(const std::string& id) {
  ASSIGN_OR_RETURN(const MachineRecord record, store_.Get(id));
  return View(record);
}

absl::StatusOr<std::vector<v1::VirtualMachine>> Machines::List() {
  ASSIGN_OR_RETURN(const std::vector<MachineRecord> records, store_.List());
  std::vector<v1::VirtualMachine> machines;
  machines.reserve(records.size());
  for (const MachineRecord& record : records) machines.push_back(View(record));
  return machines;
}

absl::Status Machines::Change(const std::string& id,
                              const std::function<void(MachineRecord&)>& change) {
  return database_.Transact([&]() -> absl::Status {
    ASSIGN_OR_RETURN(MachineRecord record, store_.Get(id));
    const std::string before = record.vm.SerializeAsString();
    const bool suspended_before = record.suspended_by_lock;
    change(record);
    if (record.vm.SerializeAsString() == before && record.suspended_by_lock == suspended_before) {
      return absl::OkStatus();
    }
    return Add(std::move(record));
  });
}

absl::Status Machines::Add(MachineRecord record) {
  return database_.Transact([&]() -> absl::Status {
    Touch(record);
    RETURN_IF_ERROR(store_.Put(record));
    database_.AfterCommit([this, id = record.id] { Tell(id); });
    return absl::OkStatus();
  });
}

absl::Status Machines::Remove(const std::string& id, bool keep_tombstone) {
  return database_.Transact([&]() -> absl::Status {
    RETURN_IF_ERROR(store_.Remove(id, keep_tombstone));
    database_.AfterCommit([this, id] {
      ForgetDomain(id);
      Tell(id);
    });
    return absl::OkStatus();
  });
}

void Machines::SetDomain(const Domain& domain) {
  {
    MutexLock lock(mutex_);
    domains_[domain.spec.id] = domain;
  }
  TellInTurn(domain.spec.id);
}

// Tells of what is not a change of the database, in its turn among those that are: a watcher
// must never see an older state after a newer one.
void Machines::TellInTurn(const std::string& id) {
  (void)database_.Transact([&]() -> absl::Status {
    RETURN_IF_ERROR(store_.Get(id).status());
    database_.AfterCommit([this, id] { Tell(id); });
    return absl::OkStatus();
  });
}

void Machines::SetApplied(const std::string& id,
                          const std::vector<v1::AppliedAllocation>& applied) {
  const auto text = [](const std::vector<v1::AppliedAllocation>& all) {
    std::string bytes;
    for (const v1::AppliedAllocation& one : all)
      absl::StrAppend(&bytes, one.SerializeAsString(), ";");
    return bytes;
  };
  {
    MutexLock lock(mutex_);
    std::vector<v1::AppliedAllocation>& known = applied_[id];
    if (text(known) == text(applied)) return;
    known = applied;
  }
  TellInTurn(id);
}

void Machines::ForgetDomain(const std::string& id) {
  MutexLock lock(mutex_);
  domains_.erase(id);
}

void Machines::SetReachable(bool reachable, const std::string& detail) {
  {
    MutexLock lock(mutex_);
    reachable_ = reachable;
    unreachable_detail_ = detail;
    changed_.notify_all();
  }
  const absl::StatusOr<std::vector<MachineRecord>> records = store_.List();
  if (!records.ok()) return;
  for (const MachineRecord& record : *records) TellInTurn(record.id);
}

bool Machines::AwaitReachable(absl::Duration timeout) {
  MutexLock lock(mutex_);
  return lock.WaitFor(changed_, timeout, [&] { return reachable_; });
}

std::shared_ptr<Mutex> Machines::GateOf(const std::string& id) {
  MutexLock lock(mutex_);
  std::shared_ptr<Mutex>& gate = gates_[id];
  if (gate == nullptr) gate = std::make_shared<Mutex>();
  return gate;
}

void Machines::OnChanged(std::function<void(const std::string& id)> listener) {
  MutexLock lock(mutex_);
  listeners_.push_back(std::move(listener));
}

void Machines::Tell(const std::string& id) {
  Event event;
  const absl::StatusOr<v1::VirtualMachine> vm = Get(id);
  if (vm.ok()) {
    *event.mutable_changed() = *vm;
  } else {
    event.set_removed(VirtualMachineName(id));
  }
  events_.Publish(event);
  std::vector<std::function<void(const std::string&)>> listeners;
  {
    MutexLock lock(mutex_);
    listeners = listeners_;
  }
  for (const auto& listener : listeners) listener(id);
}

}  // namespace virmo::vm_controller
