// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "dm-bridge/client/dm_client.h"

namespace virmo::dm_bridge {

// All accounts' clients. Thread-safe.
class ClientSet {
 public:
  ~ClientSet() { Clear(); }

  void Add(std::unique_ptr<DmClient> client);
  // Ends all sessions.
  void Clear();

  // Gives a server's client its changed account; false if it has none.
  bool SetAccount(const config::v1::DmAccount& account);
  // The server is none of ours any more: its client ends with the session that it may be in.
  void Retire(const std::string& server_id);

  bool Has(const std::string& server_id) const;
  // The first by server id; empty if there is none.
  std::string First() const;

  // Tells the server's client (empty: all) that alerts wait.
  void OnAlertsPending(const std::string& server_id);
  void OnNotified(const std::string& server_id, SessionRequest request);

  // As DmClient::RunSession. An empty id means the only one. NOT_FOUND (NOT_FOUND);
  // INVALID_ARGUMENT if there are several.
  absl::StatusOr<v1::Session> RunSession(const std::string& server_id);
  std::vector<v1::Account> Describe() const;

 private:
  absl::StatusOr<std::shared_ptr<DmClient>> Find(const std::string& server_id) const;

  mutable Mutex mutex_;
  std::vector<std::shared_ptr<DmClient>> clients_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace virmo::dm_bridge
