// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dm-bridge/accounts/nonces.h"
#include "services/runtime/sqlite.h"
#include "virmo/config/v1/dm_bridge_config.pb.h"

namespace virmo::dm_bridge {

// The DM accounts of this device, with what changes about them: nonces, protocol version.
// Durable. Holds secrets: its database is readable by this process' user only. Thread-safe.
class AccountStore {
 public:
  static Schema GetSchema();

  explicit AccountStore(Database& database) : database_(database) {}

  // Takes over the account in a file, if the file is new or has changed since: then its nonces
  // count again. INVALID_ARGUMENT if it is no right account; never quotes a secret.
  absl::Status Import(const std::string& path);

  // Adds an account, or changes it: then its nonces count again. INVALID_ARGUMENT as CheckAccount.
  absl::Status Put(const config::v1::DmAccount& account);

  // All accounts, in order of server id; the secrets are in them.
  absl::StatusOr<std::vector<config::v1::DmAccount>> List();

  // Forgets an account with its nonces. The file it came from counts again when it changes.
  absl::Status Remove(const std::string& server_id);

  absl::StatusOr<Nonces> GetNonces(const std::string& server_id);
  absl::Status SaveNonces(const std::string& server_id, const Nonces& nonces);

  // Remembers the protocol version that the server understands.
  absl::Status SaveProtocolVersion(const std::string& server_id, const std::string& version);

  // Whether a session with the server ever went well; begins anew when the account is put.
  absl::StatusOr<bool> HasMet(const std::string& server_id);
  absl::Status SetMet(const std::string& server_id);

  // The newest kNotifications of what package #0 asked for, oldest first; see NotificationGate.
  static constexpr int kNotifications = 1024;
  absl::StatusOr<std::vector<std::string>> Notifications();
  absl::Status RememberNotification(const std::string& key);

 private:
  absl::Status PutInTransaction(const config::v1::DmAccount& account);

  Database& database_;
};

// Checks an account: what is needed is there, the address is https, or http to a loopback
// address, and basic authentication or mutual TLS only with https. Never quotes a secret.
absl::Status CheckAccount(const config::v1::DmAccount& account);

// https to anywhere, http to loopback only.
absl::Status CheckAddress(absl::string_view url);

}  // namespace virmo::dm_bridge
