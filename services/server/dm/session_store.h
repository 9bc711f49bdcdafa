// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/runtime/clock.h"
#include "services/runtime/sqlite.h"
#include "services/server/dm/session_state.pb.h"
#include "services/server/store/secret_box.h"

namespace virmo::server {

// DM sessions between two messages, by the token that RespURI carries, or for devices that ignore
// RespURI by (device URI, SessionID). They hold commands and nonces, so they are stored sealed.
// Thread-safe; takes part in a caller's transaction.
class SessionStore {
 public:
  SessionStore(Database& database, const SecretBox& secrets, Clock clock);

  absl::StatusOr<SessionState> Create(const std::string& device_uri, const std::string& session_id);
  absl::StatusOr<std::optional<SessionState>> FindByToken(const std::string& token);
  // The newest that has not ended and was used in the last 10 minutes.
  absl::StatusOr<std::optional<SessionState>> FindOpen(const std::string& device_uri,
                                                       const std::string& session_id);
  absl::Status Save(const SessionState& session);

  // Forgets the device's other sessions: a device holds one at a time.
  absl::Status RemoveOthers(const SessionState& session);

 private:
  absl::Status RemoveExcess();
  absl::StatusOr<std::optional<SessionState>> First(const std::vector<SqlRow>& rows) const;

  Database& database_;
  const SecretBox& secrets_;
  const Clock clock_;
};

}  // namespace virmo::server
