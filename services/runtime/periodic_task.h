// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <thread>
#include <utility>

#include "absl/time/time.h"
#include "services/runtime/mutex.h"

namespace virmo {

// Runs a task on a thread of its own: at once, then whenever the time that the task itself asked
// for has passed, or Poke() was called. The destructor waits for a running task.
class PeriodicTask {
 public:
  // `task` returns how long to wait until it wants to run again; absl::InfiniteDuration() = until
  // it is poked.
  explicit PeriodicTask(std::function<absl::Duration()> task)
      : task_(std::move(task)), thread_([this] { Run(); }) {}

  ~PeriodicTask() {
    {
      MutexLock lock(mutex_);
      stop_ = true;
      changed_.notify_all();
    }
    thread_.join();
  }
  PeriodicTask(const PeriodicTask&) = delete;
  PeriodicTask& operator=(const PeriodicTask&) = delete;

  // Makes the task run soon. Never blocks on it.
  void Poke() {
    MutexLock lock(mutex_);
    poked_ = true;
    changed_.notify_all();
  }

 private:
  // A wait that the standard library's clock arithmetic cannot overflow on.
  static constexpr absl::Duration kLongest = absl::Hours(24);

  void Run() {
    while (true) {
      const absl::Duration pause = std::min(task_(), kLongest);
      MutexLock lock(mutex_);
      lock.WaitFor(changed_, pause, [this] { return stop_ || poked_; });
      if (stop_) return;
      poked_ = false;
    }
  }

  const std::function<absl::Duration()> task_;
  Mutex mutex_;
  std::condition_variable changed_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  bool poked_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // Last: it uses all of the above.
};

}  // namespace virmo
