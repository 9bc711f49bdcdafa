// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/policy_reporter.h"

#include <utility>

#include "services/runtime/logging.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"

namespace virmo::vm_controller {
namespace {

constexpr absl::Duration kRetryPause = absl::Seconds(1);

}  // namespace

PolicyReporter::PolicyReporter(Machines& machines, PolicyEngine& policy,
                               std::function<v1::Host()> host)
    : machines_(machines),
      policy_(policy),
      host_(std::move(host)),
      instance_(NewUuid()),
      thread_([this] { Run(); }) {}

PolicyReporter::~PolicyReporter() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
    changed_cv_.notify_all();
  }
  thread_.join();
}

void PolicyReporter::MarkChanged(const std::string& id) {
  MutexLock lock(mutex_);
  changed_.insert(id);
  changed_cv_.notify_all();
}

void PolicyReporter::WantFull() {
  MutexLock lock(mutex_);
  connected_ = true;
  full_ = true;
  changed_cv_.notify_all();
}

void PolicyReporter::HostChanged() {
  MutexLock lock(mutex_);
  full_ = true;
  changed_cv_.notify_all();
}

void PolicyReporter::Run() {
  bool sent = true;
  while (true) {
    {
      MutexLock lock(mutex_);
      if (!sent) lock.WaitFor(changed_cv_, kRetryPause, [&] { return stop_; });
      lock.Wait(changed_cv_, [&] { return stop_ || (connected_ && (full_ || !changed_.empty())); });
      if (stop_) return;
    }
    sent = Send();
  }
}

// After a failure it is unknown what arrived: everything is sent anew.
bool PolicyReporter::Send() {
  const std::unique_lock<std::shared_mutex> hold(hold_);
  std::set<std::string> ids;
  bool full = false;
  {
    MutexLock lock(mutex_);
    ids = std::exchange(changed_, {});
    full = std::exchange(full_, false);
  }
  v1::ReportInventoryRequest request;
  request.set_sequence(++sequence_);
  request.set_controller_instance(instance_);
  request.set_full(full);
  absl::Status status = full ? FillFull(request) : FillDelta(ids, request);
  bool full_wanted = false;
  if (status.ok()) {
    const absl::StatusOr<v1::ReportInventoryResponse> response = policy_.ReportInventory(request);
    status = response.status();
    full_wanted = response.ok() && response->full_report_wanted();
  }
  if (status.ok() && !full_wanted) return true;
  if (!status.ok()) spdlog::debug("could not report the inventory cause=\"{}\"", status.message());
  MutexLock lock(mutex_);
  full_ = true;
  return status.ok();
}

v1::InventoryItem PolicyReporter::ItemOf(const v1::VirtualMachine& vm) {
  v1::InventoryItem item;
  item.set_virtual_machine(vm.name());
  item.set_state(vm.state());
  *item.mutable_applied() = vm.applied_allocations();
  item.set_current_operation(vm.current_operation());
  item.set_display_name(vm.display_name());
  *item.mutable_allocations() = vm.allocations();
  const absl::StatusOr<std::string> id = VirtualMachineId(vm.name());
  if (!id.ok()) return item;
  const auto policy = machines_.store().GetPolicy(*id);
  if (policy.ok() && policy->has_value()) {
    item.set_policy_version((*policy)->version());
    item.set_unlock_attempts_total((*policy)->unlock_attempts_total());
  }
  return item;
}

absl::Status PolicyReporter::FillDelta(const std::set<std::string>& ids,
                                       v1::ReportInventoryRequest& request) {
  for (const std::string& id : ids) {
    const absl::StatusOr<v1::VirtualMachine> vm = machines_.Get(id);
    if (vm.ok()) {
      *request.add_items() = ItemOf(*vm);
    } else if (absl::IsNotFound(vm.status())) {
      request.add_removed(VirtualMachineName(id));
    } else {
      return vm.status();
    }
  }
  return absl::OkStatus();
}

absl::Status PolicyReporter::FillFull(v1::ReportInventoryRequest& request) {
  ASSIGN_OR_RETURN(const std::vector<v1::VirtualMachine> machines, machines_.List());
  for (const v1::VirtualMachine& vm : machines) *request.add_items() = ItemOf(vm);
  // A host that was never seen has no capacity to tell; policy-engine waits for one that was.
  v1::Host host = host_();
  if (host.memory_total_mib() > 0) *request.mutable_host() = std::move(host);
  return absl::OkStatus();
}

}  // namespace virmo::vm_controller
