// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "services/runtime/mutex.h"

namespace virmo {

// Runs tasks on a few threads: in order, one at a time for each key, tasks of different keys side
// by side. Threads are made as they are needed, up to `threads`. Thread-safe.
class WorkerPool {
 public:
  explicit WorkerPool(int threads);

  // Waits for running tasks; drops those that have not begun (they are in the journal).
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  void Run(const std::string& key, std::function<void()> task);

 private:
  struct Task {
    std::string key;
    std::function<void()> run;
  };

  void Work();
  std::deque<Task>::iterator NextLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t max_threads_;
  Mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<std::string> busy_ ABSL_GUARDED_BY(mutex_);
  size_t idle_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace virmo
