// SPDX-License-Identifier: Apache-2.0
#include "services/server/dm/session_store.h"

#include <utility>

#include "services/runtime/status_macros.h"
#include "services/server/store/secret_box.h"

namespace virmo::server {
namespace {

constexpr absl::Duration kSessionIdle = absl::Minutes(10);
// Whoever may send us a message can make a session; this bounds what that costs.
constexpr int64_t kMaxUnauthenticated = 4096;

constexpr const char* kContext = "dm_session";

}  // namespace

SessionStore::SessionStore(Database& database, const SecretBox& secrets, Clock clock)
    : database_(database), secrets_(secrets), clock_(std::move(clock)) {}

absl::StatusOr<std::optional<SessionState>> SessionStore::First(
    const std::vector<SqlRow>& rows) const {
  if (rows.empty()) return std::optional<SessionState>();
  // One that cannot be read, of an older version or another key, is one that broke off.
  const auto state = secrets_.Unseal(rows[0].Text(0), kContext);
  SessionState session;
  if (state.ok() && session.ParseFromString(*state)) return std::optional<SessionState>(session);
  return std::optional<SessionState>();
}

absl::Status SessionStore::RemoveExcess() {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT COUNT(*) FROM dm_session WHERE device = ''"));
  if (rows[0].Int(0) < kMaxUnauthenticated) return absl::OkStatus();
  return database_.Execute(
      "DELETE FROM dm_session WHERE token IN (SELECT token FROM dm_session WHERE device = '' "
      "ORDER BY update_time LIMIT 64)");
}

absl::StatusOr<SessionState> SessionStore::Create(const std::string& device_uri,
                                                  const std::string& session_id) {
  RETURN_IF_ERROR(RemoveExcess());
  SessionState session;
  ASSIGN_OR_RETURN(*session.mutable_token(), RandomHex(16));
  session.set_device_uri(device_uri);
  session.set_session_id(session_id);
  return session;
}

absl::StatusOr<std::optional<SessionState>> SessionStore::FindByToken(const std::string& token) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT state FROM dm_session WHERE token = ?1", {token}));
  return First(rows);
}

absl::StatusOr<std::optional<SessionState>> SessionStore::FindOpen(const std::string& device_uri,
                                                                   const std::string& session_id) {
  ASSIGN_OR_RETURN(
      const auto rows,
      database_.Query("SELECT state FROM dm_session WHERE device_uri = ?1 AND session_id = ?2 AND "
                      "ended = 0 AND update_time > ?3 ORDER BY update_time DESC LIMIT 1",
                      {device_uri, session_id, absl::ToUnixMicros(clock_() - kSessionIdle)}));
  return First(rows);
}

absl::Status SessionStore::Save(const SessionState& session) {
  ASSIGN_OR_RETURN(std::string state, secrets_.Seal(session.SerializeAsString(), kContext));
  return database_.Execute(
      "INSERT INTO dm_session (token, device, device_uri, session_id, update_time, ended, state) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (token) DO UPDATE SET device = "
      "excluded.device, update_time = excluded.update_time, ended = excluded.ended, state = "
      "excluded.state",
      {session.token(), session.device(), session.device_uri(), session.session_id(),
       absl::ToUnixMicros(clock_()), int64_t{session.ended()}, Blob{std::move(state)}});
}

absl::Status SessionStore::RemoveOthers(const SessionState& session) {
  RETURN_IF_ERROR(database_.Execute(
      "DELETE FROM object_chunk WHERE token IN (SELECT token FROM dm_session WHERE device = ?1 AND "
      "token <> ?2)",
      {session.device(), session.token()}));
  return database_.Execute("DELETE FROM dm_session WHERE device = ?1 AND token <> ?2",
                           {session.device(), session.token()});
}

}  // namespace virmo::server
