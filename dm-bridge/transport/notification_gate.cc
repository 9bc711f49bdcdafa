// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/transport/notification_gate.h"

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/notification.h"

namespace virmo::dm_bridge {
namespace {

constexpr size_t kRemembered = 1024;

}  // namespace

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

absl::StatusOr<NotificationGate::Accepted> NotificationGate::Check(absl::string_view octets) {
  ASSIGN_OR_RETURN(const syncml::Notification notification, syncml::Decode(octets));
  ASSIGN_OR_RETURN(const std::string nonce, NonceOf(octets, notification.server_id));
  Accepted accepted{.server_id = notification.server_id,
                    .session_id = syncml::SessionIdOf(notification),
                    .resync_nonce = std::nullopt};
  if (nonce == syncml::ResyncNonce() || nonce == syncml::ResyncNonceAscii()) {
    accepted.resync_nonce = nonce;
  }
  const std::string key = absl::StrCat(accepted.server_id, "\n", accepted.session_id, "\n", nonce);
  if (!seen_.insert(key).second) return absl::AlreadyExistsError("asked for before");
  seen_order_.push_back(key);
  if (seen_order_.size() > kRemembered) {
    seen_.erase(seen_order_.front());
    seen_order_.pop_front();
  }
  return accepted;
}

}  // namespace virmo::dm_bridge
