// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dm-bridge/testing/http_server.h"
#include "dm-bridge/testing/server_side.h"

namespace virmo::dm_bridge {

// A DM server on HTTP that keeps to the protocol, with a queue of commands: each is sent until it
// got a Status. Authenticates both ways by md5. What a test wants otherwise, it sets. Thread-safe.
class DmServer {
 public:
  DmServer();

  std::string url() const { return http_.Url("/dm"); }
  void Queue(syncml::Command command);

  // Looks at each message before it is answered, with its number of all (from 1 on); what it
  // returns is the answer, nothing: the usual one. `cut` true: no answer at all.
  struct Interception {
    bool cut = false;
    std::optional<HttpServer::Response> response;
  };
  void Intercept(std::function<Interception(int, const syncml::Message&)> intercept);

  // The server's secret, and which nonces are in use.
  void SetServerSecret(const std::string& secret);
  std::string server_nonce();

  std::vector<syncml::Message> messages();  // All that came.
  std::vector<std::string> statuses();      // `Exec 202 <text>` of queued commands.
  std::vector<std::string> alerts();        // `<AlertID or type> <correlator>`, in order.
  int challenges();                         // 401 and 407 that it sent.

 private:
  std::optional<HttpServer::Response> Handle(const HttpServer::Request& request);
  syncml::Message Answer(const syncml::Message& message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeStatuses(const syncml::Message& message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeAlerts(const syncml::Message& message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  std::string client_nonce_ ABSL_GUARDED_BY(mutex_) = kClientNonce;
  std::string server_nonce_ ABSL_GUARDED_BY(mutex_) = kServerNonce;
  std::string server_secret_ ABSL_GUARDED_BY(mutex_) = "srvsecret";
  std::string session_id_ ABSL_GUARDED_BY(mutex_);
  bool authenticated_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<syncml::Command> queue_ ABSL_GUARDED_BY(mutex_);
  std::vector<syncml::Message> messages_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> statuses_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> alerts_ ABSL_GUARDED_BY(mutex_);
  int challenges_ ABSL_GUARDED_BY(mutex_) = 0;
  std::function<Interception(int, const syncml::Message&)> intercept_ ABSL_GUARDED_BY(mutex_);
  HttpServer http_;  // Last: its threads use the rest.
};

}  // namespace virmo::dm_bridge
