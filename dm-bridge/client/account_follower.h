// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "dm-bridge/client/client_set.h"
#include "services/runtime/mutex.h"
#include "virmo/config/v1/dm_bridge_config.pb.h"

namespace virmo::dm_bridge {

// Makes the clients follow the accounts while the process runs: a new account gets a client, which
// begins with a session; a changed one is used from the next session on; the client of one that is
// gone ends after its session. On a thread of its own, as changes come from within sessions.
// Thread-safe.
class AccountFollower {
 public:
  struct Callbacks {
    // Returns when the accounts are whole: nobody is in the middle of changing them.
    std::function<void()> settle;
    std::function<std::unique_ptr<DmClient>(const config::v1::DmAccount& account)> make_client;
    std::function<void(const std::string& server_id)> on_gone;
  };

  AccountFollower(ClientSet& clients, Callbacks callbacks);
  // What has not been followed yet is, after the next start.
  ~AccountFollower();
  AccountFollower(const AccountFollower&) = delete;
  AccountFollower& operator=(const AccountFollower&) = delete;

  void OnAccount(const std::string& server_id, const std::optional<config::v1::DmAccount>& account);

 private:
  // By server; only what an account came to counts, not the steps.
  using Changes = std::map<std::string, std::optional<config::v1::DmAccount>>;
  void Run();
  void Follow(const Changes& changes);

  ClientSet& clients_;
  const Callbacks callbacks_;
  Mutex mutex_;
  std::condition_variable changed_;
  Changes changes_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // Last: uses all above.
};

}  // namespace virmo::dm_bridge
