// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/transport/notification_gate.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/runtime/error.h"
#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/auth.h"
#include "services/syncml/notification.h"

namespace virmo::dm_bridge {
namespace {

constexpr int kUiModeInteraction = 3;

}  // namespace

absl::StatusOr<std::unique_ptr<NotificationGate>> NotificationGate::Open(AccountStore& accounts,
                                                                         Handler handler) {
  std::unique_ptr<NotificationGate> gate(new NotificationGate(accounts, std::move(handler)));
  ASSIGN_OR_RETURN(const std::vector<std::string> known, accounts.Notifications());
  for (const std::string& key : known) gate->Remember(key);
  return gate;
}

// The nonce that the digest was made with.
absl::StatusOr<std::string> NotificationGate::NonceOf(absl::string_view octets,
                                                      const std::string& server_id) {
  ASSIGN_OR_RETURN(const std::vector<config::v1::DmAccount> accounts, accounts_.List());
  for (const config::v1::DmAccount& account : accounts) {
    if (account.server_id() != server_id || account.server_secret().empty()) continue;
    ASSIGN_OR_RETURN(const Nonces nonces, accounts_.GetNonces(server_id));
    std::vector<std::string> candidates = nonces.server;
    candidates.emplace_back(syncml::ResyncNonce());
    candidates.emplace_back(syncml::ResyncNonceAscii());
    for (const std::string& nonce : candidates) {
      if (syncml::Verify(octets, account.server_secret(), nonce).ok()) return nonce;
    }
    return Error(v1::ErrorInfo::REASON_UNAUTHENTICATED, "the digest is wrong");
  }
  return Error(v1::ErrorInfo::REASON_NOT_FOUND, "no account of that server");
}

absl::StatusOr<NotificationGate::Accepted> NotificationGate::Check(absl::string_view octets,
                                                                   std::string* key) {
  ASSIGN_OR_RETURN(const syncml::Notification notification, syncml::Decode(octets));
  ASSIGN_OR_RETURN(const std::string nonce, NonceOf(octets, notification.server_id));
  Accepted accepted{.server_id = notification.server_id,
                    .session_id = syncml::SessionIdOf(notification),
                    .ask_user = notification.ui_mode == kUiModeInteraction};
  if (nonce == syncml::ResyncNonce() || nonce == syncml::ResyncNonceAscii()) {
    accepted.resync_nonce = nonce;
  }
  // The nonce is a secret of a kind, and octets: the key holds a digest of it.
  *key = absl::StrCat(accepted.server_id, " ", accepted.session_id, " ",
                      syncml::HashedCredential("nonce", nonce));
  if (!Remember(*key)) return absl::AlreadyExistsError("asked for before");
  return accepted;
}

bool NotificationGate::Remember(const std::string& key) {
  MutexLock lock(mutex_);
  if (!seen_.insert(key).second) return false;
  seen_order_.push_back(key);
  if (seen_order_.size() > AccountStore::kNotifications) {
    seen_.erase(seen_order_.front());
    seen_order_.pop_front();
  }
  return true;
}

absl::Status NotificationGate::Take(absl::string_view octets) {
  std::string key;
  const absl::StatusOr<Accepted> accepted = Check(octets, &key);
  if (!accepted.ok()) {
    Log(accepted.status());
    return accepted.status();
  }
  handler_(*accepted);
  // After the session has begun: the disk must not keep it waiting.
  const absl::Status stored = accounts_.RememberNotification(key);
  if (!stored.ok()) spdlog::warn("notification not remembered cause=\"{}\"", stored.message());
  return absl::OkStatus();
}

void NotificationGate::Log(const absl::Status& refusal) {
  const absl::Time now = absl::Now();
  {
    MutexLock lock(mutex_);
    if (now - logged_ < absl::Seconds(1)) return;
    logged_ = now;
  }
  spdlog::warn("notification ignored cause=\"{}\"", refusal.message());
}

}  // namespace virmo::dm_bridge
