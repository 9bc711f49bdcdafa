// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"

namespace virmo {

// A std::mutex that Clang's thread-safety analysis understands. (Not absl::Mutex: ThreadSanitizer
// cannot see into Debian's build of it and reports false races.)
class ABSL_LOCKABLE Mutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  friend class MutexLock;
  std::mutex mutex_;
};

// Holds a Mutex for as long as it lives.
class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : lock_(mutex.mutex_) {}
  ~MutexLock() ABSL_UNLOCK_FUNCTION() = default;

  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  // Gives the mutex up until `ready()`. Whoever makes it so notifies `changed`.
  template <typename Predicate>
  void Wait(std::condition_variable& changed, Predicate ready) {
    changed.wait(lock_, ready);
  }

  // As Wait, but for at most `timeout`. Returns whether it is ready.
  template <typename Predicate>
  bool WaitFor(std::condition_variable& changed, absl::Duration timeout, Predicate ready) {
    return changed.wait_for(lock_, absl::ToChronoMicroseconds(timeout), ready);
  }

 private:
  std::unique_lock<std::mutex> lock_;
};

}  // namespace virmo
