// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "dm-bridge/accounts/account_store.h"
#include "services/runtime/mutex.h"

namespace virmo::dm_bridge {

// Decides which package #0 begins a session, by whatever way it came. What was accepted is
// remembered, also over restarts (but for one that a crash cuts short). Thread-safe.
class NotificationGate {
 public:
  struct Accepted {
    std::string server_id;
    std::string session_id;
    bool ask_user = false;                         // ui-mode 3: the user is to agree first.
    std::optional<std::string> resync_nonce = {};  // If it was made with that one.
  };
  using Handler = std::function<void(const Accepted&)>;

  // `handler` begins the session; it must not block.
  static absl::StatusOr<std::unique_ptr<NotificationGate>> Open(AccountStore& accounts,
                                                                Handler handler);

  // Hands on what `octets` ask for. INVALID_ARGUMENT if they are no notification; NOT_FOUND for a
  // server without account; UNAUTHENTICATED if the digest is wrong; ALREADY_EXISTS for a repeat of
  // one that was accepted: the same session asked for with the same nonce. Refusals are logged, at
  // most once a second.
  absl::Status Take(absl::string_view octets);

 private:
  NotificationGate(AccountStore& accounts, Handler handler)
      : accounts_(accounts), handler_(std::move(handler)) {}

  absl::StatusOr<Accepted> Check(absl::string_view octets, std::string* key);
  absl::StatusOr<std::string> NonceOf(absl::string_view octets, const std::string& server_id);
  bool Remember(const std::string& key);
  void Log(const absl::Status& refusal);

  AccountStore& accounts_;
  const Handler handler_;
  Mutex mutex_;
  std::set<std::string> seen_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::string> seen_order_ ABSL_GUARDED_BY(mutex_);
  absl::Time logged_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace virmo::dm_bridge
