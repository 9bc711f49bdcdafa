// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/policy_enforcer.h"

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/fault_point.h"
#include "services/runtime/logging.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/uuid.h"
#include "vm-controller/enforcement_pass.h"

namespace virmo::vm_controller {
namespace {

constexpr absl::Duration kRetryPause = absl::Seconds(1);
constexpr int kThreads = 3;

}  // namespace

PolicyEnforcer::PolicyEnforcer(Machines& machines, Hypervisor& hypervisor, PolicyEngine& policy,
                               ConsoleHub& consoles, Saving saving, PolicyParts parts)
    : machines_(machines),
      hypervisor_(hypervisor),
      policy_(policy),
      consoles_(consoles),
      saving_(std::move(saving)),
      parts_(std::move(parts)),
      workers_(std::make_unique<WorkerPool>(kThreads)),
      retry_([this] { Retry(); }) {}

PolicyEnforcer::~PolicyEnforcer() { Stop(); }

void PolicyEnforcer::Stop() {
  std::unique_ptr<WorkerPool> workers;
  {
    MutexLock lock(mutex_);
    stop_ = true;
    workers = std::move(workers_);
    changed_.notify_all();
  }
  if (retry_.joinable()) retry_.join();
}

void PolicyEnforcer::Schedule(const std::string& id) {
  MutexLock lock(mutex_);
  // One that waits will see the newest policy; one that runs may not.
  if (stop_ || !scheduled_.insert(id).second) return;
  workers_->Run(id, [this, id] {
    {
      MutexLock running(mutex_);
      scheduled_.erase(id);
    }
    const bool enforced = Enforce(id);
    MutexLock done(mutex_);
    if (!enforced) failed_.insert(id);
    changed_.notify_all();
  });
}

void PolicyEnforcer::ScheduleAll() {
  const absl::StatusOr<std::vector<MachineRecord>> records = machines_.store().List();
  if (!records.ok()) return;
  for (const MachineRecord& record : *records) Schedule(record.id);
}

void PolicyEnforcer::Retry() {
  while (true) {
    std::set<std::string> failed;
    {
      MutexLock lock(mutex_);
      lock.Wait(changed_, [&] { return stop_ || !failed_.empty(); });
      if (lock.WaitFor(changed_, kRetryPause, [&] { return stop_; })) return;
      failed.swap(failed_);
    }
    for (const std::string& id : failed) Schedule(id);
  }
}

bool PolicyEnforcer::Enforce(const std::string& id) {
  EnforcementPass pass(machines_, hypervisor_, consoles_, saving_, parts_, id);
  if (!pass.Run()) return pass.is_moot();
  v1::ReportAppliedRequest request;
  request.set_virtual_machine(VirtualMachineName(id));
  request.set_policy_version(pass.policy_version());
  *request.mutable_items() = {pass.items().begin(), pass.items().end()};
  FaultPoint("lock.enforced");
  const absl::StatusOr<v1::ReportAppliedResponse> response = policy_.ReportApplied(request);
  if (!response.ok()) {
    spdlog::debug("could not report a policy vm={} cause=\"{}\"", id, response.status().message());
  }
  // Another refusal: it does not know the virtual machine (yet).
  const bool away = ReasonOf(response.status()) == v1::ErrorInfo::REASON_SERVICE_UNAVAILABLE;
  return pass.all_well() && !away;
}

}  // namespace virmo::vm_controller
