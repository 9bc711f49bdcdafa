// SPDX-License-Identifier: Apache-2.0
#include "services/server/fleet/housekeeper.h"

#include <utility>

#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"

namespace virmo::server {
namespace {

constexpr absl::Duration kSessionLife = absl::Hours(1);

}  // namespace

absl::Status Prune(Database& database, absl::Time now, absl::Duration retention) {
  const int64_t oldest = absl::ToUnixMicros(now - retention);
  return database.Transact([&]() -> absl::Status {
    RETURN_IF_ERROR(database.Execute(
        "DELETE FROM exchange WHERE command IN (SELECT id FROM command WHERE end_time > 0 AND "
        "end_time < ?1)",
        {oldest}));
    RETURN_IF_ERROR(
        database.Execute("DELETE FROM command WHERE end_time > 0 AND end_time < ?1", {oldest}));
    RETURN_IF_ERROR(database.Execute("DELETE FROM alert WHERE receive_time < ?1", {oldest}));
    return database.Execute("DELETE FROM dm_session WHERE update_time < ?1",
                            {absl::ToUnixMicros(now - kSessionLife)});
  });
}

Housekeeper::Housekeeper(Database& database, Clock clock, absl::Duration retention)
    : database_(database),
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
    if (const absl::Status pruned = Prune(database_, clock_(), retention_); !pruned.ok()) {
      spdlog::error("cannot prune error=\"{}\"", pruned.message());
    }
    MutexLock lock(mutex_);
    if (lock.WaitFor(changed_, absl::Hours(1), [&] { return stop_; })) return;
  }
}

}  // namespace virmo::server
