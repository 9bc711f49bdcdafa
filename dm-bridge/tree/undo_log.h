// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/runtime/sqlite.h"

namespace virmo::dm_bridge {

// How one step of a change to the tree is taken back.
struct UndoStep {
  // Numbers are stored: never change them.
  enum class Kind {
    kValue = 1,    // Write `before`, if the leaf's value is `after` now.
    kAdded = 2,    // Remove the node.
    kDeleted = 3,  // Make the node again, from `before`.
    kRenamed = 4,  // Give the node back its name; `after` is the path it has now.
    kNotes = 5,    // Put back ACLs and properties of the node and of all below it.
  };
  Kind kind = Kind::kValue;
  std::string uri = {};
  std::string before = {};
  std::string after = {};
  std::string server_id = {};  // Whose change it was.
  int64_t id = 0;              // In the log.
};

// What must be taken back of an Atomic that has not ended: written before each step is done, so
// that it can be taken back after a crash too. Durable. Thread-safe.
class UndoLog {
 public:
  // SQL that makes its table.
  static absl::string_view Table();

  explicit UndoLog(Database& database) : database_(database) {}

  // Durable when it returns. Sets the ids of `steps`.
  absl::Status Append(std::vector<UndoStep>& steps);
  // The value that the leaf of a step has after the change.
  absl::Status SetAfter(int64_t id, const std::string& after);
  absl::Status Remove(int64_t id);
  // The Atomic has ended well: nothing is to be taken back.
  absl::Status Clear();

  // In the order they were done.
  absl::StatusOr<std::vector<UndoStep>> List();

 private:
  Database& database_;
};

}  // namespace virmo::dm_bridge
