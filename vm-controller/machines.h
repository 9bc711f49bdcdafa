// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/runtime/broadcast.h"
#include "services/runtime/mutex.h"
#include "services/runtime/sqlite.h"
#include "virmo/v1/virtual_machine_service.pb.h"
#include "vm-controller/hypervisor.h"
#include "vm-controller/machine_store.h"

namespace virmo::vm_controller {

// The virtual machines as the world sees them: what is stored, joined with what the hypervisor
// last showed. Every change is told to watchers once it is committed. Thread-safe.
class Machines {
 public:
  using Event = v1::WatchVirtualMachinesResponse;

  // All must outlive it.
  Machines(Database& database, MachineStore& store) : database_(database), store_(store) {}

  absl::StatusOr<v1::VirtualMachine> Get(const std::string& id);
  absl::StatusOr<std::vector<v1::VirtualMachine>> List();  // Ordered by name.

  // Changes a record in a transaction (or within that of the caller): reads it, calls `change`,
  // writes it with a new etag. Tells of it after the commit.
  absl::Status Change(const std::string& id, const std::function<void(MachineRecord&)>& change);
  absl::Status Add(MachineRecord record);
  absl::Status Remove(const std::string& id, bool keep_tombstone);

  // What the hypervisor shows. `Forget`: it shows nothing (any more).
  void SetDomain(const Domain& domain);
  void ForgetDomain(const std::string& id);

  // How far a running one's allocations are in force; shown beside what the hypervisor shows.
  void SetApplied(const std::string& id, const std::vector<v1::AppliedAllocation>& applied);

  // Whether the hypervisor answers; if not, what is known is shown as last known.
  void SetReachable(bool reachable, const std::string& detail);
  bool AwaitReachable(absl::Duration timeout);

  // Held for the short time in which a decision about the lock and the act that depends on it
  // must not be torn apart: letting CPUs run, and standing them still. Not held for long acts.
  std::shared_ptr<Mutex> GateOf(const std::string& id);

  // Called with the id of each virtual machine that changed or went, after the commit.
  void OnChanged(std::function<void(const std::string& id)> listener);

  Broadcast<Event>& events() { return events_; }
  MachineStore& store() { return store_; }

 private:
  void Tell(const std::string& id);
  void TellInTurn(const std::string& id);
  v1::VirtualMachine View(const MachineRecord& record);

  Database& database_;
  MachineStore& store_;
  Broadcast<Event> events_;
  Mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Domain> domains_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::vector<v1::AppliedAllocation>> applied_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<Mutex>> gates_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::function<void(const std::string&)>> listeners_ ABSL_GUARDED_BY(mutex_);
  bool reachable_ ABSL_GUARDED_BY(mutex_) = false;
  std::string unreachable_detail_ ABSL_GUARDED_BY(mutex_) = "not asked yet";
};

}  // namespace virmo::vm_controller
