// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <optional>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dm-bridge/accounts/account_store.h"

namespace virmo::dm_bridge {

// Decides which package #0 begins a session. Not thread-safe.
class NotificationGate {
 public:
  struct Accepted {
    std::string server_id;
    std::string session_id;
    std::optional<std::string> resync_nonce;  // If it was made with that one.
  };

  explicit NotificationGate(AccountStore& accounts) : accounts_(accounts) {}

  // What `octets` ask for. INVALID_ARGUMENT if they are no notification; NOT_FOUND for a server
  // without account; UNAUTHENTICATED if the digest is wrong; ALREADY_EXISTS for a repeat of one
  // that was accepted: the same session asked for with the same nonce.
  absl::StatusOr<Accepted> Check(absl::string_view octets);

 private:
  absl::StatusOr<std::string> NonceOf(absl::string_view octets, const std::string& server_id);

  AccountStore& accounts_;
  std::set<std::string> seen_;
  std::deque<std::string> seen_order_;
};

}  // namespace virmo::dm_bridge
