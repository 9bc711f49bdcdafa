// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "absl/time/time.h"
#include "services/runtime/mutex.h"

namespace virmo {

// Hands each event to every subscriber that listens at the moment: the source of a Watch stream.
// A subscriber that falls more than `kMaxBacklog` behind is cut off (it must start anew, rather
// than miss events silently). Thread-safe.
template <typename Event>
class Broadcast {
 public:
  static constexpr size_t kMaxBacklog = 4096;

  // One listener. Must not outlive the Broadcast.
  class Subscription {
   public:
    enum class State { kEvent, kTimeout, kClosed };

    explicit Subscription(Broadcast& source) : source_(source) {
      MutexLock lock(source_.mutex_);
      source_.subscriptions_.insert(this);
    }
    ~Subscription() {
      MutexLock lock(source_.mutex_);
      source_.subscriptions_.erase(this);
    }
    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;

    // Waits for the next event. kClosed: no more will come, or this one was cut off.
    State Next(absl::Duration timeout, Event* event) {
      MutexLock lock(source_.mutex_);
      lock.WaitFor(source_.changed_, timeout,
                   [&] { return !events_.empty() || source_.closed_ || cut_off_; });
      if (cut_off_ || (source_.closed_ && events_.empty())) return State::kClosed;
      if (events_.empty()) return State::kTimeout;
      *event = std::move(events_.front());
      events_.pop_front();
      return State::kEvent;
    }

   private:
    friend class Broadcast;
    Broadcast& source_;
    std::deque<Event> events_;  // Guarded by source_.mutex_, as is cut_off_.
    bool cut_off_ = false;
  };

  void Publish(const Event& event) {
    MutexLock lock(mutex_);
    for (Subscription* subscription : subscriptions_) {
      if (subscription->events_.size() >= kMaxBacklog) {
        subscription->cut_off_ = true;
      } else {
        subscription->events_.push_back(event);
      }
    }
    changed_.notify_all();
  }

  // Ends every subscription, for shutdown.
  void Close() {
    MutexLock lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

 private:
  Mutex mutex_;
  std::condition_variable changed_;
  std::set<Subscription*> subscriptions_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace virmo
