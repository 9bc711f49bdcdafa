// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/runtime/mutex.h"
#include "services/runtime/sqlite.h"
#include "virmo/v1/alert.pb.h"

namespace virmo::alert_emitter {

// The alerts of the device, from acceptance until they are old. What a method returned OK for is
// durable. Knows nothing of gRPC. Thread-safe; `database` must outlive it.
//
// Every method can fail as the database does: RESOURCE_EXHAUSTED (REASON_STORAGE_FAILED) when
// the disk is full.
class AlertStore {
 public:
  static Schema GetSchema();

  explicit AlertStore(Database& database);

  // Makes the next sequence at least `sequence`. A database that took the place of a damaged one
  // calls it, so that nobody who watches from a sequence of the old one misses an alert.
  absl::Status StartFrom(int64_t sequence);

  // Stores an alert and gives it the next sequence. An alert_id that is known already changes
  // nothing; the stored alert is returned, in whatever state it is by now.
  absl::StatusOr<v1::StoredAlert> Publish(const v1::Alert& alert);

  // The server has it. Repeating succeeds; NOT_FOUND for an unknown one.
  absl::StatusOr<v1::StoredAlert> Acknowledge(const std::string& alert_id);

  // The server refused it: counts the attempt, keeps `error`, and sets it aside if `park`. An
  // acknowledged one stays as it is. NOT_FOUND for an unknown one.
  absl::StatusOr<v1::StoredAlert> Reject(const std::string& alert_id, const std::string& error,
                                         bool park);

  // At most `limit` alerts with a higher sequence than `after`, in order; only those in `state`
  // unless it is unspecified.
  absl::StatusOr<std::vector<v1::StoredAlert>> List(int64_t after, v1::StoredAlert::State state,
                                                    int limit);

  // Removes what was acknowledged before `time`. What is pending or parked stays for good.
  absl::Status Prune(absl::Time time);

  enum class Wait { kMore, kTimeout, kClosed };

  // Waits until something was accepted since `*seen`, which it moves on. Begin with 0.
  Wait WaitForMore(int64_t* seen, absl::Duration timeout);

  // Ends every wait, for shutdown.
  void Close();

 private:
  absl::StatusOr<v1::StoredAlert> Find(const std::string& alert_id);
  absl::Status Update(const v1::StoredAlert& stored);

  Database& database_;
  Mutex mutex_;
  std::condition_variable accepted_;
  int64_t last_sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace virmo::alert_emitter
