// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <set>
#include <shared_mutex>
#include <string>
#include <thread>

#include "services/runtime/mutex.h"
#include "vm-controller/machines.h"
#include "vm-controller/policy_engine.h"

namespace virmo::vm_controller {

// Tells policy-engine what virtual machines exist and what they hold: everything when told to
// (on each connect), then what changed. On a thread of its own. Thread-safe.
class PolicyReporter {
 public:
  // All must outlive it. `host` is asked for each full report.
  PolicyReporter(Machines& machines, PolicyEngine& policy, std::function<v1::Host()> host);
  ~PolicyReporter();
  PolicyReporter(const PolicyReporter&) = delete;
  PolicyReporter& operator=(const PolicyReporter&) = delete;

  void MarkChanged(const std::string& id);

  // policy-engine is there (again): begin with everything. Nothing is sent before the first.
  void WantFull();

  // What is known of the host has changed: it travels with a full report.
  void HostChanged();

  // While it is held no report is under way: an inventory that was taken before a new record was
  // admitted must not arrive after it, or policy-engine would think it gone.
  std::shared_lock<std::shared_mutex> Hold() { return std::shared_lock(hold_); }

 private:
  void Run();
  bool Send();
  v1::InventoryItem ItemOf(const v1::VirtualMachine& vm);
  absl::Status FillDelta(const std::set<std::string>& ids, v1::ReportInventoryRequest& request);
  absl::Status FillFull(v1::ReportInventoryRequest& request);

  Machines& machines_;
  PolicyEngine& policy_;
  const std::function<v1::Host()> host_;
  const std::string instance_;
  std::shared_mutex hold_;
  Mutex mutex_;
  std::condition_variable changed_cv_;
  std::set<std::string> changed_ ABSL_GUARDED_BY(mutex_);
  bool connected_ ABSL_GUARDED_BY(mutex_) = false;
  bool full_ ABSL_GUARDED_BY(mutex_) = true;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t sequence_ = 0;  // Of thread_ alone.
  std::thread thread_;
};

}  // namespace virmo::vm_controller
