// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/runtime/clock.h"
#include "services/runtime/mutex.h"
#include "services/runtime/sqlite.h"
#include "services/server/fleet/device_registry.h"

namespace virmo::server {

// Keeps every table bounded: removes commands that ended and alerts that came longer ago than
// `retention`, all but the newest two million alerts, DM sessions (with their half objects) nobody
// has gone on with for an hour, and counts of wrong credentials a day old. Notes sessions that
// broke off. (Commands that wait are bounded by the queue, machines and keys by what devices have.)
// Safe to call at any time.
absl::Status Prune(Database& database, DeviceRegistry& devices, absl::Time now,
                   absl::Duration retention);

// Prunes every 10 minutes on a thread of its own, until destruction.
class Housekeeper {
 public:
  Housekeeper(Database& database, DeviceRegistry& devices, Clock clock, absl::Duration retention);
  ~Housekeeper();
  Housekeeper(const Housekeeper&) = delete;
  Housekeeper& operator=(const Housekeeper&) = delete;

 private:
  void Run();

  Database& database_;
  DeviceRegistry& devices_;
  const Clock clock_;
  const absl::Duration retention_;
  Mutex mutex_;
  std::condition_variable changed_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace virmo::server
