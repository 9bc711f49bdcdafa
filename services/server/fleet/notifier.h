// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/runtime/mutex.h"
#include "services/runtime/worker_pool.h"
#include "services/server/fleet/command_queue.h"
#include "services/server/fleet/device_registry.h"
#include "services/server/fleet/event_feed.h"

namespace virmo::server {

// Asks devices for a session by package #0, over UDP or HTTP, when commands wait for them, and
// again a few times, with growing pauses, while they do not come. A device that may have lost our
// nonce is asked with the nonce of re-synchronisation in between (OMA DM Notification 1.2 §6).
// Devices without a notification address are left to their polling. Runs threads of its own.
// Thread-safe.
class Notifier {
 public:
  Notifier(DeviceRegistry& devices, CommandQueue& queue, EventFeed& feed, std::string server_id);
  ~Notifier();
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;

  // A command waits for the device.
  void Notify(const std::string& device);

  // The device asked to come again: not at once.
  void NotifyLater(const std::string& device);

  // The device came: no more reminders.
  void SessionSeen(const std::string& device);

  // Reminds every device that has commands which were never sent; for start-up.
  void NotifyAll();

 private:
  struct Reminder {
    absl::Time due;
    int sent = 0;
    uint16_t session_id = 0;  // The same in each repeat: one session only is wanted.
  };

  void Run();
  void Remind(const std::string& device, absl::Time due);
  void Send(const std::string& device, const Reminder& reminder);

  DeviceRegistry& devices_;
  CommandQueue& queue_;
  EventFeed& feed_;
  const std::string server_id_;
  Mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Reminder> reminders_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  WorkerPool senders_;  // A device that does not answer must not hold up others.
  std::thread thread_;
};

}  // namespace virmo::server
