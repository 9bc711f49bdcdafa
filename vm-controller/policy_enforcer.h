// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "services/runtime/mutex.h"
#include "services/runtime/worker_pool.h"
#include "vm-controller/console_hub.h"
#include "vm-controller/hypervisor.h"
#include "vm-controller/machines.h"
#include "vm-controller/policy_engine.h"
#include "vm-controller/policy_part.h"

namespace virmo::vm_controller {

// Makes the hypervisor match the newest stored policy, and reports how far it does. It works
// beside operations and never waits for one: closing is done at once in whatever state a virtual
// machine is. What failed is tried again every second. Thread-safe.
class PolicyEnforcer {
 public:
  // Operations that policy needs: saving the state of a virtual machine, loading it again, and
  // deleting it.
  // They fail as BUSY while another operation runs; the enforcer is told when that ends.
  struct Saving {
    std::function<absl::Status(const std::string& id, const std::string& request_id)> suspend;
    std::function<absl::Status(const std::string& id, const std::string& request_id)> resume;
    // Deletes it, running or not, with its storage: what policy calls a wipe.
    std::function<absl::Status(const std::string& id, const std::string& request_id)> wipe;
  };

  // All must outlive it.
  PolicyEnforcer(Machines& machines, Hypervisor& hypervisor, PolicyEngine& policy,
                 ConsoleHub& consoles, Saving saving, PolicyParts parts = {});
  ~PolicyEnforcer();
  PolicyEnforcer(const PolicyEnforcer&) = delete;
  PolicyEnforcer& operator=(const PolicyEnforcer&) = delete;

  // Enforces and reports, soon.
  void Schedule(const std::string& id);
  void ScheduleAll();

  // Ends: returns when nothing is under way, and schedules nothing any more.
  void Stop();

  // Enforces and reports now. Returns whether all is as it should be.
  bool Enforce(const std::string& id);

 private:
  class Pass;
  void Retry();

  Machines& machines_;
  Hypervisor& hypervisor_;
  PolicyEngine& policy_;
  ConsoleHub& consoles_;
  const Saving saving_;
  const PolicyParts parts_;
  Mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> failed_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> scheduled_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<WorkerPool> workers_ ABSL_GUARDED_BY(mutex_);
  std::thread retry_;
};

}  // namespace virmo::vm_controller
