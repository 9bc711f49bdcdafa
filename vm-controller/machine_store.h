// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/runtime/sqlite.h"
#include "virmo/v1/policy.pb.h"
#include "virmo/v1/virtual_machine.pb.h"

namespace virmo::vm_controller {

// What is kept of a virtual machine.
struct MachineRecord {
  std::string id;
  // Everything but what only the hypervisor knows (host_pid, link_up, applied allocations).
  v1::VirtualMachine vm;
  // Its state was saved by a lock; unlocking resumes it.
  bool suspended_by_lock = false;
  // The state to go back to when the running operation fails.
  v1::VirtualMachine::State stable_state = v1::VirtualMachine::STATE_UNSPECIFIED;
};

// Virtual machines, the ids of deleted ones, and policies, in the process' database. What is
// written within a transaction is part of it. Thread-safe.
class MachineStore {
 public:
  static Schema GetSchema();

  explicit MachineStore(Database& database) : database_(database) {}

  // NOT_FOUND (VM_NOT_FOUND) if there is none.
  absl::StatusOr<MachineRecord> Get(const std::string& id);

  // All, ordered by id.
  absl::StatusOr<std::vector<MachineRecord>> List();

  // Writes it, new or not. ALREADY_EXISTS if another has its display name.
  absl::Status Put(const MachineRecord& record);

  // Removes it with its policy; the id of one that lived is never used again.
  absl::Status Remove(const std::string& id, bool keep_tombstone);

  // ALREADY_EXISTS if the id is in use, or was.
  absl::Status CheckIdIsFree(const std::string& id);

  // ALREADY_EXISTS if another virtual machine than `id` has this display name.
  absl::Status CheckNameIsFree(const std::string& display_name, const std::string& id);

  // Stores a policy. FAILED_PRECONDITION (STALE_POLICY) if a newer one is stored.
  absl::Status PutPolicy(const v1::EffectivePolicy& policy);

  // The newest; nothing if none was ever received.
  absl::StatusOr<std::optional<v1::EffectivePolicy>> GetPolicy(const std::string& id);

 private:
  absl::StatusOr<std::vector<MachineRecord>> Select(const std::string& where,
                                                    const std::vector<SqlValue>& arguments);

  Database& database_;
};

// Whether a stored policy bars its virtual machine. A missing one does: its record was lost.
bool IsLocked(const std::optional<v1::EffectivePolicy>& policy);

}  // namespace virmo::vm_controller
