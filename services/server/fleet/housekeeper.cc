// SPDX-License-Identifier: Apache-2.0
#include "services/server/fleet/housekeeper.h"

#include <utility>

#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"

namespace virmo::server {
namespace {

constexpr absl::Duration kInterval = absl::Minutes(10);
constexpr absl::Duration kSessionIdle = absl::Minutes(10);
constexpr absl::Duration kSessionLife = absl::Hours(1);
// Longer than any wait, so that guessing does not start anew.
constexpr absl::Duration kLockoutLife = absl::Hours(24);
constexpr int64_t kMaxAlerts = 2000000;

absl::Status NoteBrokenSessions(Database& database, DeviceRegistry& devices, absl::Time now) {
  const int64_t idle_since = absl::ToUnixMicros(now - kSessionIdle);
  ASSIGN_OR_RETURN(const auto rows,
                   database.Query("SELECT device FROM dm_session WHERE ended = 0 AND device <> '' "
                                  "AND update_time < ?1",
                                  {idle_since}));
  for (const SqlRow& row : rows) {
    RETURN_IF_ERROR(devices.Update(row.Text(0), [](v1::Device& device) {
      if (device.last_session_error().empty()) {
        device.set_last_session_error("the session broke off");
      }
    }));
  }
  return database.Execute(
      "UPDATE dm_session SET ended = 1 WHERE ended = 0 AND device <> '' AND update_time < ?1",
      {idle_since});
}

}  // namespace

absl::Status Prune(Database& database, DeviceRegistry& devices, absl::Time now,
                   absl::Duration retention) {
  const int64_t oldest = absl::ToUnixMicros(now - retention);
  return database.Transact([&]() -> absl::Status {
    RETURN_IF_ERROR(NoteBrokenSessions(database, devices, now));
    RETURN_IF_ERROR(database.Execute(
        "DELETE FROM exchange WHERE command IN (SELECT id FROM command WHERE end_time > 0 AND "
        "end_time < ?1)",
        {oldest}));
    RETURN_IF_ERROR(
        database.Execute("DELETE FROM command WHERE end_time > 0 AND end_time < ?1", {oldest}));
    RETURN_IF_ERROR(database.Execute("DELETE FROM alert WHERE receive_time < ?1", {oldest}));
    RETURN_IF_ERROR(database.Execute(
        "DELETE FROM alert WHERE sequence <= (SELECT value FROM counter WHERE name = 'alert') - ?1",
        {kMaxAlerts}));
    RETURN_IF_ERROR(database.Execute("DELETE FROM lockout WHERE update_time < ?1",
                                     {absl::ToUnixMicros(now - kLockoutLife)}));
    RETURN_IF_ERROR(database.Execute(
        "DELETE FROM unread WHERE NOT EXISTS (SELECT 1 FROM device WHERE id = unread.device)"));
    RETURN_IF_ERROR(database.Execute(
        "DELETE FROM object_chunk WHERE token IN (SELECT token FROM dm_session WHERE update_time < "
        "?1) OR token NOT IN (SELECT token FROM dm_session)",
        {absl::ToUnixMicros(now - kSessionLife)}));
    return database.Execute("DELETE FROM dm_session WHERE update_time < ?1",
                            {absl::ToUnixMicros(now - kSessionLife)});
  });
}

Housekeeper::Housekeeper(Database& database, DeviceRegistry& devices, Clock clock,
                         absl::Duration retention)
    : database_(database),
      devices_(devices),
      clock_(std::move(clock)),
      retention_(retention),
      thread_([this] { Run(); }) {}

Housekeeper::~Housekeeper() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void Housekeeper::Run() {
  while (true) {
    if (const absl::Status pruned = Prune(database_, devices_, clock_(), retention_);
        !pruned.ok()) {
      spdlog::error("cannot prune error=\"{}\"", pruned.message());
    }
    MutexLock lock(mutex_);
    if (lock.WaitFor(changed_, kInterval, [&] { return stop_; })) return;
  }
}

}  // namespace virmo::server
