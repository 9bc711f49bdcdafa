// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/runtime/sqlite.h"
#include "virmo/v1/snapshot_service.pb.h"

namespace virmo::vm_controller {

// `virtualMachines/{uuid}/snapshots/{snapshot}` to and from its parts.
std::string SnapshotName(const std::string& vm_id, const std::string& snapshot_id);
struct SnapshotPath {
  std::string vm_id;
  std::string snapshot_id;
};
// INVALID_ARGUMENT naming the field `name` if it has another form.
absl::StatusOr<SnapshotPath> ParseSnapshotName(const std::string& name);

// The snapshots of virtual machines, in the process' database. What is written within a
// transaction is part of it. Thread-safe.
class SnapshotStore {
 public:
  static Schema GetSchema();

  explicit SnapshotStore(Database& database) : database_(database) {}

  // Oldest first.
  absl::StatusOr<std::vector<v1::Snapshot>> List(const std::string& vm_id);

  // NOT_FOUND (NOT_FOUND) if there is none.
  absl::StatusOr<v1::Snapshot> Get(const SnapshotPath& path);

  // ALREADY_EXISTS if there is one of this name.
  absl::Status Add(const SnapshotPath& path, const v1::Snapshot& snapshot);

  // Succeed if there is none.
  absl::Status Remove(const SnapshotPath& path);
  absl::Status RemoveAll(const std::string& vm_id);

 private:
  Database& database_;
};

}  // namespace virmo::vm_controller
