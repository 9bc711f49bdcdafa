// SPDX-License-Identifier: Apache-2.0
#include "services/alert-emitter/alert_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/runtime/error.h"
#include "services/runtime/fault_point.h"
#include "services/runtime/status_macros.h"

namespace virmo::alert_emitter {
namespace {

constexpr char kColumns[] = "SELECT sequence, alert, state, attempts, last_error FROM alerts ";
constexpr int kPruneBatch = 1000;  // A long DELETE would make Publish wait.

absl::StatusOr<v1::StoredAlert> Read(const SqlRow& row) {
  v1::StoredAlert stored;
  if (!stored.mutable_alert()->ParseFromString(row.Text(1))) {
    return Error(v1::ErrorInfo::REASON_STORAGE_FAILED,
                 absl::StrCat("stored alert ", row.Int(0), " is damaged"));
  }
  stored.mutable_alert()->set_sequence(row.Int(0));
  stored.set_state(static_cast<v1::StoredAlert::State>(row.Int(2)));
  stored.set_attempts(static_cast<int>(row.Int(3)));
  stored.set_last_error(row.Text(4));
  return stored;
}

}  // namespace

Schema AlertStore::GetSchema() {
  // AUTOINCREMENT: a sequence is never used twice, not even after its alert was pruned.
  return {"alerts",
          {"CREATE TABLE alerts ("
           " sequence INTEGER PRIMARY KEY AUTOINCREMENT, alert_id TEXT NOT NULL UNIQUE,"
           " alert BLOB NOT NULL, state INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,"
           " last_error TEXT NOT NULL DEFAULT '', acknowledge_time INTEGER);"
           "CREATE INDEX alerts_by_state ON alerts (state, sequence);"}};
}

AlertStore::AlertStore(Database& database) : database_(database) {}

absl::Status AlertStore::StartFrom(int64_t sequence) {
  return database_.Transact([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const auto rows,
                     database_.Query("SELECT seq FROM sqlite_sequence WHERE name = 'alerts'"));
    if (rows.empty()) {
      return database_.Execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('alerts', ?1)",
                               {sequence - 1});
    }
    return database_.Execute("UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'alerts'",
                             {std::max(rows[0].Int(0), sequence - 1)});
  });
}

absl::StatusOr<v1::StoredAlert> AlertStore::Publish(const v1::Alert& alert) {
  v1::StoredAlert stored;
  RETURN_IF_ERROR(database_.Transact([&]() -> absl::Status {
    // A repeat comes after a crash or a lost answer: rarely. So insert first.
    v1::Alert unnumbered = alert;
    unnumbered.clear_sequence();
    RETURN_IF_ERROR(
        database_.Execute("INSERT INTO alerts (alert_id, alert, state) VALUES (?1, ?2, ?3)"
                          " ON CONFLICT (alert_id) DO NOTHING",
                          {alert.alert_id(), Blob{unnumbered.SerializeAsString()},
                           int64_t{v1::StoredAlert::STATE_PENDING}}));
    FaultPoint("publish.inserted");
    ASSIGN_OR_RETURN(stored, Find(alert.alert_id()));
    return absl::OkStatus();
  }));
  MutexLock lock(mutex_);
  last_sequence_ = std::max(last_sequence_, stored.alert().sequence());
  accepted_.notify_all();
  return stored;
}

absl::StatusOr<v1::StoredAlert> AlertStore::Acknowledge(const std::string& alert_id) {
  v1::StoredAlert stored;
  RETURN_IF_ERROR(database_.Transact([&]() -> absl::Status {
    ASSIGN_OR_RETURN(stored, Find(alert_id));
    if (stored.state() == v1::StoredAlert::STATE_ACKNOWLEDGED) return absl::OkStatus();
    stored.set_state(v1::StoredAlert::STATE_ACKNOWLEDGED);
    stored.set_attempts(stored.attempts() + 1);
    return Update(stored);
  }));
  return stored;
}

absl::StatusOr<v1::StoredAlert> AlertStore::Reject(const std::string& alert_id,
                                                   const std::string& error, bool park) {
  v1::StoredAlert stored;
  RETURN_IF_ERROR(database_.Transact([&]() -> absl::Status {
    ASSIGN_OR_RETURN(stored, Find(alert_id));
    if (stored.state() == v1::StoredAlert::STATE_ACKNOWLEDGED) return absl::OkStatus();
    if (park) stored.set_state(v1::StoredAlert::STATE_PARKED);
    stored.set_attempts(stored.attempts() + 1);
    stored.set_last_error(error);
    return Update(stored);
  }));
  return stored;
}

absl::StatusOr<std::vector<v1::StoredAlert>> AlertStore::List(int64_t after,
                                                              v1::StoredAlert::State state,
                                                              int limit) {
  std::vector<SqlValue> arguments = {after, int64_t{limit}};
  std::string condition = "WHERE sequence > ?1 ";
  if (state != v1::StoredAlert::STATE_UNSPECIFIED) {
    condition += "AND state = ?3 ";
    arguments.emplace_back(int64_t{state});
  }
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query(kColumns + condition + "ORDER BY sequence LIMIT ?2", arguments));
  std::vector<v1::StoredAlert> alerts;
  for (const SqlRow& row : rows) {
    ASSIGN_OR_RETURN(alerts.emplace_back(), Read(row));
  }
  return alerts;
}

absl::Status AlertStore::Prune(absl::Time time) {
  int64_t removed = 0;
  do {
    RETURN_IF_ERROR(database_.Transact([&]() -> absl::Status {
      RETURN_IF_ERROR(
          database_.Execute("DELETE FROM alerts WHERE sequence IN (SELECT sequence FROM alerts"
                            " WHERE state = ?1 AND acknowledge_time < ?2 LIMIT ?3)",
                            {int64_t{v1::StoredAlert::STATE_ACKNOWLEDGED},
                             absl::ToUnixSeconds(time), int64_t{kPruneBatch}}));
      removed = database_.Changes();
      return absl::OkStatus();
    }));
  } while (removed == kPruneBatch);
  return absl::OkStatus();
}

AlertStore::Wait AlertStore::WaitForMore(int64_t* seen, absl::Duration timeout) {
  MutexLock lock(mutex_);
  const bool woken =
      lock.WaitFor(accepted_, timeout, [&] { return closed_ || last_sequence_ > *seen; });
  if (closed_) return Wait::kClosed;
  *seen = last_sequence_;
  return woken ? Wait::kMore : Wait::kTimeout;
}

void AlertStore::Close() {
  MutexLock lock(mutex_);
  closed_ = true;
  accepted_.notify_all();
}

absl::StatusOr<v1::StoredAlert> AlertStore::Find(const std::string& alert_id) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query(std::string(kColumns) + "WHERE alert_id = ?1", {alert_id}));
  if (rows.empty()) {
    return Error(v1::ErrorInfo::REASON_NOT_FOUND, absl::StrCat("no alert has the id ", alert_id),
                 {{"alert_id", alert_id}});
  }
  return Read(rows[0]);
}

absl::Status AlertStore::Update(const v1::StoredAlert& stored) {
  const bool acknowledged = stored.state() == v1::StoredAlert::STATE_ACKNOWLEDGED;
  return database_.Execute(
      "UPDATE alerts SET state = ?2, attempts = ?3, last_error = ?4, acknowledge_time = ?5"
      " WHERE sequence = ?1",
      {stored.alert().sequence(), int64_t{stored.state()}, int64_t{stored.attempts()},
       stored.last_error(),
       acknowledged ? SqlValue(absl::ToUnixSeconds(absl::Now())) : SqlValue(nullptr)});
}

}  // namespace virmo::alert_emitter
