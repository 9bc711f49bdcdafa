// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/tree/transaction.h"

#include <algorithm>
#include <utility>

#include "dm-bridge/tree/dm_error.h"
#include "dm-bridge/tree/tree_impl.h"
#include "services/runtime/fault_point.h"
#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {

Transaction::Transaction(Tree& tree) ABSL_NO_THREAD_SAFETY_ANALYSIS : tree_(tree) {
  tree_.turn_.Lock();
  ready_ = tree_.FinishRollBackInTurn();
}

Transaction::~Transaction() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (!applied_.empty()) RollBack();
  tree_.turn_.Unlock();
}

// One command; what takes it back is added to `steps` before it is done.
absl::Status Transaction::ApplyOne(const Change& change, std::vector<UndoStep>& steps) {
  std::vector<UndoStep> before = steps;
  for (const std::vector<UndoStep>& applied : applied_) {
    before.insert(before.end(), applied.begin(), applied.end());
  }
  ASSIGN_OR_RETURN(std::vector<UndoStep> more, tree_.StepsBack(change, before));
  RETURN_IF_ERROR(tree_.undo_log_.Append(more));
  const size_t first = steps.size();
  steps.insert(steps.end(), more.begin(), more.end());
  FaultPoint("atomic.logged");
  RETURN_IF_ERROR(tree_.Do(change));
  FaultPoint("atomic.applied");
  std::vector<UndoStep> done(steps.begin() + static_cast<std::ptrdiff_t>(first), steps.end());
  const absl::Status noted = tree_.NoteValuesAfter(done);
  std::copy(done.begin(), done.end(), steps.begin() + static_cast<std::ptrdiff_t>(first));
  if (!noted.ok()) spdlog::warn("value after a change not noted cause=\"{}\"", noted.message());
  return absl::OkStatus();
}

absl::Status Transaction::Apply(const Change& change) {
  RETURN_IF_ERROR(ready_);
  std::vector<UndoStep> steps;
  const absl::Status done = ApplyAll(change, steps);
  if (done.ok()) {
    applied_.push_back(std::move(steps));
  } else {
    // What failed may have been done all the same, its answer lost: taking it back does no harm.
    TakeBack(steps).IgnoreError();
  }
  return done;
}

absl::Status Transaction::ApplyAll(const Change& change, std::vector<UndoStep>& steps) {
  if (!IsSubTree(change)) {
    ASSIGN_OR_RETURN(const Change plain, tree_.Plain(change));
    return ApplyOne(plain, steps);
  }
  ASSIGN_OR_RETURN(const std::vector<Tree::Entry> entries, tree_.Unpack(change));
  for (const Tree::Entry& entry : entries) {
    ASSIGN_OR_RETURN(const std::vector<Change> changes, tree_.ChangesFor(entry, change));
    for (const Change& one : changes) {
      RETURN_IF_ERROR(NamingNode(ApplyOne(one, steps), one.request.uri));
    }
  }
  return absl::OkStatus();
}

// What cannot be taken back as long as a service is away stays in the log, and is taken back before
// anything else is done.
absl::Status Transaction::TakeBack(const std::vector<UndoStep>& steps) {
  absl::Status outcome;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const absl::Status back = tree_.TakeBack(*step);
    FaultPoint("atomic.undone");
    outcome.Update(back);
    if (!back.ok()) {
      spdlog::error("step not undone uri={} cause=\"{}\"", step->uri, back.message());
    }
    if (absl::IsUnavailable(back)) {
      tree_.roll_back_due_ = true;
    } else {
      outcome.Update(tree_.undo_log_.Remove(step->id));
    }
  }
  return outcome;
}

absl::Status Transaction::Commit() {
  RETURN_IF_ERROR(tree_.undo_log_.Clear());
  FaultPoint("atomic.committed");
  applied_.clear();
  return absl::OkStatus();
}

std::vector<absl::Status> Transaction::RollBack() {
  std::vector<absl::Status> outcomes(applied_.size());
  for (size_t i = applied_.size(); i-- > 0;) outcomes[i] = TakeBack(applied_[i]);
  applied_.clear();
  return outcomes;
}

}  // namespace virmo::dm_bridge
