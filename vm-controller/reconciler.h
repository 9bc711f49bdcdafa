// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "services/runtime/outbox.h"
#include "services/runtime/sqlite.h"
#include "vm-controller/console_hub.h"
#include "vm-controller/hypervisor.h"
#include "vm-controller/machines.h"

namespace virmo::vm_controller {

// Brings records in line with what the hypervisor shows: guests that powered off or crashed,
// domains started behind our back, and, after the database was lost, domains that carry our mark.
// It never removes anything, and leaves alone what an operation is changing. Thread-safe.
class Reconciler {
 public:
  // All must outlive it. `enforce` is called for each virtual machine whose policy may need it.
  Reconciler(Database& database, Machines& machines, Hypervisor& hypervisor, Outbox& outbox,
             ConsoleHub& consoles, std::function<void(const std::string& id)> enforce);

  // Looks at one. A failure to look changes nothing.
  void Observe(const std::string& id);

  // Looks at all that either side knows.
  void ObserveAll();

 private:
  // False if the record changed after it was read: what was seen may be older.
  bool Compare(const MachineRecord& before, const absl::StatusOr<Domain>& domain);
  absl::Status Settle(const MachineRecord& before, const absl::StatusOr<Domain>& domain);
  absl::Status TellOfChange(const v1::VirtualMachine& vm, v1::VirtualMachine::State before);
  void AdoptUnknown(const Domain& domain);

  Database& database_;
  Machines& machines_;
  Hypervisor& hypervisor_;
  Outbox& outbox_;
  ConsoleHub& consoles_;
  const std::function<void(const std::string&)> enforce_;
};

}  // namespace virmo::vm_controller
