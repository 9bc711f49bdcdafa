// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "services/runtime/mutex.h"
#include "services/runtime/sqlite.h"
#include "virmo/v1/alert.pb.h"
#include "virmo/v1/alert_service.grpc.pb.h"

namespace virmo {

// Alerts that a service has decided on and alert-emitter does not have yet. Added in the same
// transaction as what they tell of; published in order, and again until accepted. Thread-safe.
class Outbox {
 public:
  static Schema GetSchema();

  // `source` is this process' name. `on_reachable(ok, detail)` is told whenever alert-emitter
  // becomes (un)reachable, on the publishing thread. Nothing is sent before Start().
  Outbox(Database& database, std::string source, std::shared_ptr<grpc::Channel> alert_emitter,
         std::function<void(bool, const std::string&)> on_reachable);
  ~Outbox();
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  // Records `alert`, with `source`, `source_sequence` and (if unset) `create_time` filled in.
  // Call within a transaction. An alert_id that was added before (60 days are remembered) is not
  // added again. INVALID_ARGUMENT if its alert_id is not a UUID.
  absl::Status Add(v1::Alert alert);

  // Starts publishing on a thread of its own, until destruction.
  void Start();

  // Alerts not yet accepted. (Those that alert-emitter called INVALID_ARGUMENT are not counted:
  // they are kept, marked as rejected, and logged as an error.)
  absl::StatusOr<int64_t> Pending();

 private:
  enum class Result { kSent, kEmpty, kFailed, kTimedOut };

  void Run();
  Result PublishNext();
  grpc::Status Publish(const v1::Alert& alert);
  absl::Status Record(int64_t sequence, const v1::Alert& alert, const grpc::Status& answer);
  void TellReachable(bool reachable, const std::string& detail);

  Database& database_;
  const std::string source_;
  const std::unique_ptr<v1::AlertService::Stub> stub_;
  const std::function<void(bool, const std::string&)> on_reachable_;
  std::optional<bool> reachable_;  // What on_reachable_ heard last. Of the thread.
  Mutex mutex_;
  std::condition_variable changed_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  bool added_ ABSL_GUARDED_BY(mutex_) = true;
  grpc::ClientContext* call_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::thread thread_;
};

}  // namespace virmo
