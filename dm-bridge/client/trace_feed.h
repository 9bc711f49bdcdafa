// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <string>

#include "absl/time/time.h"
#include "services/runtime/broadcast.h"
#include "services/syncml/message.h"
#include "virmo/v1/dm_bridge_service.pb.h"

namespace virmo::dm_bridge {

// The messages of all sessions as they are said, secrets redacted, for those who watch; while
// nobody does it costs nothing. Thread-safe.
class TraceFeed {
 public:
  using Event = v1::WatchTraceResponse;

  void Publish(const std::string& server_id, bool sent, const syncml::Message& message);

  class Watcher {
   public:
    explicit Watcher(TraceFeed& feed) : feed_(feed), subscription_(feed.events_) {
      ++feed_.watchers_;
    }
    ~Watcher() { --feed_.watchers_; }
    Watcher(const Watcher&) = delete;
    Watcher& operator=(const Watcher&) = delete;

    // Waits for the next message; a sign of life after `timeout`. False: no more will come.
    bool Next(absl::Duration timeout, Event* event) {
      event->Clear();
      return subscription_.Next(timeout, event) != Broadcast<Event>::Subscription::State::kClosed;
    }

   private:
    TraceFeed& feed_;
    Broadcast<Event>::Subscription subscription_;
  };

  // All watchers end.
  void Close() { events_.Close(); }

 private:
  std::atomic<int> watchers_ = 0;
  Broadcast<Event> events_;
};

}  // namespace virmo::dm_bridge
