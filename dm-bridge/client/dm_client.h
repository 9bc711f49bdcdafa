// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "dm-bridge/accounts/account_store.h"
#include "dm-bridge/alerts/alert_relay.h"
#include "dm-bridge/client/poll_plan.h"
#include "dm-bridge/client/prompt_board.h"
#include "dm-bridge/client/session_exchange.h"
#include "dm-bridge/client/trace_feed.h"
#include "dm-bridge/objects/device_view.h"
#include "dm-bridge/objects/standard_objects.h"
#include "dm-bridge/transport/http_transport.h"
#include "services/runtime/mutex.h"
#include "virmo/v1/dm_bridge_service.pb.h"

namespace virmo::dm_bridge {

// A session that a server asked for by package #0.
struct SessionRequest {
  std::string session_id;
  std::optional<std::string> resync_nonce = {};  // To be used for our credentials, if it was.
  bool ask_user = false;                         // Begin it only if the user agrees.
};

// The sessions with one server, one at a time, on a thread of its own. One begins when alerts
// wait, when the server notifies, when it is asked for locally, and by polling: often after
// sessions that brought something and while the server's operations run, else rarely. After a
// failed one the next waits, longer each time. Thread-safe.
class DmClient {
 public:
  struct Environment {
    Tree& tree;
    AccountStore& accounts;
    AlertRelay& alerts;
    DeviceView& view;
    PromptBoard& prompts;
    TraceFeed& trace;
    config::v1::DmBridgeConfig config;
  };

  DmClient(config::v1::DmAccount account, Environment environment);
  ~DmClient();
  DmClient(const DmClient&) = delete;
  DmClient& operator=(const DmClient&) = delete;

  // Breaks off a session that runs; no more begin, and RunSession() returns.
  void Stop();

  // What the account is from the next session on.
  void SetAccount(config::v1::DmAccount account);
  // Begins no session any more; one that runs goes on to its end.
  void Retire();

  const std::string& server_id() const { return server_id_; }

  void OnAlertsPending();
  void OnNotified(SessionRequest request);

  // Runs a session now, or joins the one that runs, and returns when it has ended.
  absl::StatusOr<v1::Session> RunSession();

  v1::Account Describe() const;

 private:
  class Host;
  enum class Wake { kStop, kRun };

  void Run();
  Wake WaitUntilDue(std::optional<SessionRequest>* notified);
  bool IsDueLocked(absl::Time now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Time NextDueLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunOne(const std::optional<SessionRequest>& notified);
  bool UserAgrees(const SessionRequest& notified);
  ExchangeResult RunOnce(const std::optional<SessionRequest>& notified, v1::Session* report);
  void Settle(const v1::Session& report, const absl::Status& outcome);
  SessionSettings MakeSettings(const std::optional<SessionRequest>& notified, const Nonces& nonces);

  const std::string server_id_;
  Environment environment_;
  HttpTransport transport_;
  uint16_t session_number_;  // Only the thread's, as are the next three.
  config::v1::DmAccount account_;
  bool met_;  // A session ever went well.
  PollPlan poll_plan_;

  mutable Mutex mutex_;
  std::optional<config::v1::DmAccount> new_account_ ABSL_GUARDED_BY(mutex_);
  std::condition_variable changed_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
  bool asked_ ABSL_GUARDED_BY(mutex_) = false;  // By RunSession.
  bool alerts_pending_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<SessionRequest> notified_ ABSL_GUARDED_BY(mutex_);
  int failures_ ABSL_GUARDED_BY(mutex_) = 0;  // In a row.
  absl::Time not_before_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::Time next_poll_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::Time alerts_delivered_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  int64_t ended_ ABSL_GUARDED_BY(mutex_) = 0;  // Sessions.
  v1::Session last_ ABSL_GUARDED_BY(mutex_);
  absl::Status last_outcome_ ABSL_GUARDED_BY(mutex_);
  std::string protocol_version_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace virmo::dm_bridge
