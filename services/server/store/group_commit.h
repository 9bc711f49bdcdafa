// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "services/runtime/mutex.h"
#include "services/runtime/sqlite.h"

namespace virmo::server {

// Lets transactions of several threads share one commit, which is what costs: whoever comes while
// one is being written waits for the next, and the first of those carries out all of them. Each is
// undone alone if it fails; none has taken place before the common commit. Thread-safe.
class GroupCommit {
 public:
  // `database` outlives this.
  explicit GroupCommit(Database& database) : database_(database) {}

  // As Database::Transact, and on a thread that may be another caller's. Not within a transaction.
  absl::Status Transact(const std::function<absl::Status()>& body);

 private:
  struct Request {
    const std::function<absl::Status()>* body;
    absl::Status outcome = absl::OkStatus();
    bool done = false;
  };

  void Carry(std::vector<Request*>& group);

  Database& database_;
  Mutex mutex_;
  std::condition_variable changed_;
  std::vector<Request*> waiting_ ABSL_GUARDED_BY(mutex_);
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace virmo::server
