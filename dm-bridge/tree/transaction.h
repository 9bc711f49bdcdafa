// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "dm-bridge/tree/tree.h"

namespace virmo::dm_bridge {

// Changes to a tree that are done all or not at all (Atomic, OMA-TS-DM_RepPro §6.6.3): what each
// needs to be taken back is durable before it is done. While one lives every other change to the
// tree waits. One that is neither committed nor rolled back is rolled back by its destructor. Not
// thread-safe.
class Transaction {
 public:
  explicit Transaction(Tree& tree);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // An Atomic that a crash cut short has been taken back (Tree::FinishRollBack); else nothing may
  // be begun.
  const absl::Status& ready() const { return ready_; }

  // 406 if the change is one that cannot be taken back, whatever the state of the tree. Says
  // nothing of whether it will succeed.
  absl::Status Check(const Change& change) const { return tree_.CheckReversible(change); }

  // Does it. One that fails has changed nothing that RollBack() does not take back.
  absl::Status Apply(const Change& change);

  // What was applied stays.
  absl::Status Commit();

  // Leaves all as it is, as a crash would. For tests.
  void Abandon() { applied_.clear(); }

  // Takes back what was applied, last first. One outcome for each Apply() that succeeded, in their
  // order: what could not be taken back has its error, and stays as it is.
  std::vector<absl::Status> RollBack();

 private:
  absl::Status ApplyAll(const Change& change, std::vector<UndoStep>& steps);
  absl::Status ApplyOne(const Change& change, std::vector<UndoStep>& steps);
  absl::Status TakeBack(const std::vector<UndoStep>& steps);

  Tree& tree_;
  absl::Status ready_;
  std::vector<std::vector<UndoStep>> applied_;  // Of each Apply().
};

}  // namespace virmo::dm_bridge
