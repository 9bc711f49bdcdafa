// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "dm-bridge/session/session.h"
#include "grpcpp/channel.h"
#include "services/runtime/watch_client.h"
#include "virmo/v1/alert_service.grpc.pb.h"

namespace virmo::dm_bridge {

// The Generic Alert that tells a server of `alert` (VirMO-2).
syncml::GenericAlert MakeGenericAlert(const v1::Alert& alert);

// Brings alerts from alert-emitter to the DM sessions and tells alert-emitter what the servers
// answered. Each goes to one server; those of one virtual machine in their order, also while one
// of them is refused and tried again. Keeps nothing itself: what is not acknowledged comes again
// from alert-emitter. Thread-safe.
class AlertRelay {
 public:
  static constexpr int kMaxAttempts = 5;  // Then it is parked.
  static constexpr size_t kMaxPerPackage = 100;

  struct Callbacks {
    // The server that is to hear of an alert; empty: none is known yet.
    std::function<std::string(const v1::Alert&)> route;
    // There is an alert for a server.
    std::function<void(const std::string& server_id)> on_pending;
    // alert-emitter became reachable (OK) or not.
    std::function<void(const absl::Status&)> on_service;
  };

  AlertRelay(std::shared_ptr<grpc::Channel> alert_emitter, Callbacks callbacks);
  ~AlertRelay();

  // Those to send to a server now, in order, at most kMaxPerPackage.
  std::vector<OutgoingAlert> PendingFor(const std::string& server_id);

  // When the next refused alert for the server may be tried again; InfiniteFuture if none waits.
  absl::Time NextRetry(const std::string& server_id);

  // The server answered: acknowledged if 200 or 202; else refused: tried again later, and parked
  // after kMaxAttempts. 401 and 407 mean the session, not the alert: tried again, not counted.
  void OnAnswered(const std::string& alert_id, syncml::StatusCode code);

  // A session went well, but the server did not answer these: tried again later.
  void OnUnanswered(const std::set<std::string>& alert_ids);

 private:
  struct Entry {
    v1::Alert alert;
    std::string server_id;  // Where it goes; empty while not known.
    int attempts = 0;
    absl::Time not_before = absl::InfinitePast();
    bool acknowledged = false;  // By the server; alert-emitter does not know yet.
  };

  void OnMessage(const v1::WatchAlertsResponse& response);
  void Acknowledge(const std::string& alert_id);
  void Reject(const std::string& alert_id, const std::string& error);
  void RepeatAcknowledgements();
  void RouteLocked(Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Entry* FindLocked(const std::string& alert_id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Remove(const std::string& alert_id);

  const std::unique_ptr<v1::AlertService::Stub> stub_;
  const Callbacks callbacks_;
  Mutex mutex_;
  std::map<int64_t, Entry> alerts_ ABSL_GUARDED_BY(mutex_);  // By alert-emitter's sequence.
  std::map<std::string, int64_t> sequences_ ABSL_GUARDED_BY(mutex_);  // By alert id.
  std::unique_ptr<WatchClient<v1::WatchAlertsResponse>> watch_;  // Last: its thread uses the rest.
};

}  // namespace virmo::dm_bridge
