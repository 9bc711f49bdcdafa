// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/outbox.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "google/protobuf/util/time_util.h"
#include "services/runtime/channel.h"
#include "services/runtime/error.h"
#include "services/runtime/fault_point.h"
#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"

namespace virmo {

namespace {

constexpr absl::Duration kFirstPause = absl::Milliseconds(100);
constexpr absl::Duration kLongestPause = absl::Seconds(5);
constexpr absl::Duration kCallTimeout = absl::Seconds(5);
// Longer than the journal knows an operation, whose repeat could add its alert again.
constexpr absl::Duration kRemembered = absl::Hours(60 * 24);

// The column `state`.
constexpr int64_t kPending = 0;
constexpr int64_t kPublished = 1;
constexpr int64_t kRejected = 2;

absl::StatusOr<int64_t> NextSourceSequence(Database& database, const std::string& vm) {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                   database.Query("INSERT INTO outbox_counters VALUES (?1, 1) "
                                  "ON CONFLICT (virtual_machine) DO UPDATE SET last = last + 1 "
                                  "RETURNING last",
                                  {vm}));
  return rows.front().Int(0);
}

}  // namespace

Schema Outbox::GetSchema() {
  return {"outbox",
          {"CREATE TABLE outbox("
           "  sequence INTEGER PRIMARY KEY AUTOINCREMENT,"
           "  alert_id TEXT NOT NULL UNIQUE,"
           "  state INTEGER NOT NULL,"  // 0 pending, 1 published, 2 rejected.
           "  time_ms INTEGER NOT NULL,"
           "  alert BLOB NOT NULL,"  // virmo.v1.Alert; empty once published.
           "  error TEXT NOT NULL) STRICT;"
           "CREATE INDEX outbox_state ON outbox(state, sequence);"
           "CREATE TABLE outbox_counters("
           "  virtual_machine TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT;"}};
}

Outbox::Outbox(Database& database, std::string source, std::shared_ptr<grpc::Channel> alert_emitter,
               std::function<void(bool, const std::string&)> on_reachable)
    : database_(database),
      source_(std::move(source)),
      stub_(v1::AlertService::NewStub(std::move(alert_emitter))),
      on_reachable_(std::move(on_reachable)) {}

Outbox::~Outbox() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
    if (call_ != nullptr) call_->TryCancel();
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

absl::Status Outbox::Add(v1::Alert alert) {
  if (!IsUuid(alert.alert_id())) {
    return InvalidField("alert_id", absl::StrCat("want a UUID, got `", alert.alert_id(), "`"));
  }
  return database_.Transact([&]() -> absl::Status {
    ASSIGN_OR_RETURN(
        const std::vector<SqlRow> known,
        database_.Query("SELECT 1 FROM outbox WHERE alert_id = ?1", {alert.alert_id()}));
    if (!known.empty()) return absl::OkStatus();
    ASSIGN_OR_RETURN(const int64_t source_sequence,
                     NextSourceSequence(database_, alert.virtual_machine()));
    alert.set_source(source_);
    alert.set_source_sequence(source_sequence);
    if (!alert.has_create_time()) {
      *alert.mutable_create_time() = google::protobuf::util::TimeUtil::GetCurrentTime();
    }
    RETURN_IF_ERROR(database_.Execute(
        "INSERT INTO outbox(alert_id, state, time_ms, alert, error) VALUES (?1, ?2, ?3, ?4, '')",
        {alert.alert_id(), kPending, absl::ToUnixMillis(absl::Now()),
         Blob{alert.SerializeAsString()}}));
    database_.AfterCommit([this] {
      MutexLock lock(mutex_);
      added_ = true;
      changed_.notify_all();
    });
    return absl::OkStatus();
  });
}

void Outbox::Start() {
  thread_ = std::thread([this] { Run(); });
}

absl::StatusOr<int64_t> Outbox::Pending() {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                   database_.Query("SELECT count(*) FROM outbox WHERE state = ?1", {kPending}));
  return rows.front().Int(0);
}

void Outbox::Run() {
  absl::Duration pause = kFirstPause;
  while (true) {
    {
      MutexLock lock(mutex_);
      lock.Wait(changed_, [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return stop_ || added_; });
      if (stop_) return;
      added_ = false;
    }
    Result result;
    do {
      result = PublishNext();
      if (result == Result::kSent) pause = kFirstPause;
    } while (result == Result::kSent);
    if (result == Result::kEmpty) continue;
    MutexLock lock(mutex_);
    lock.WaitFor(changed_, pause, [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return stop_; });
    // A call that timed out has waited long enough, and driven gRPC to connect meanwhile.
    pause = result == Result::kTimedOut ? kFirstPause : std::min(pause * 2, kLongestPause);
    added_ = true;
  }
}

Outbox::Result Outbox::PublishNext() {
  {
    MutexLock lock(mutex_);
    if (stop_) return Result::kFailed;
  }
  const absl::StatusOr<std::vector<SqlRow>> rows = database_.Query(
      "SELECT sequence, alert FROM outbox WHERE state = ?1 ORDER BY sequence LIMIT 1", {kPending});
  if (!rows.ok()) {
    spdlog::error("cannot read outbox error=\"{}\"", rows.status().message());
    return Result::kFailed;
  }
  if (rows->empty()) return Result::kEmpty;
  v1::Alert alert;
  grpc::Status answer(grpc::StatusCode::INVALID_ARGUMENT, "the stored alert cannot be read");
  if (alert.ParseFromString(rows->front().Text(1))) answer = Publish(alert);
  const absl::Status recorded = Record(rows->front().Int(0), alert, answer);
  if (recorded.ok()) return Result::kSent;
  return answer.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED ? Result::kTimedOut
                                                                    : Result::kFailed;
}

grpc::Status Outbox::Publish(const v1::Alert& alert) {
  grpc::ClientContext context;
  // Once it is known to be absent, wait for it: only a waiting call drives gRPC to connect.
  SetDeadline(context, kCallTimeout, reachable_ == false);
  {
    MutexLock lock(mutex_);
    if (stop_) return {grpc::StatusCode::CANCELLED, "shutting down"};
    call_ = &context;
  }
  v1::PublishAlertRequest request;
  *request.mutable_alert() = alert;
  v1::StoredAlert stored;
  const grpc::Status answer = stub_->PublishAlert(&context, request, &stored);
  FaultPoint("outbox.published");
  MutexLock lock(mutex_);
  call_ = nullptr;
  return answer;
}

// OK: this one is settled, go on with the next.
absl::Status Outbox::Record(int64_t sequence, const v1::Alert& alert, const grpc::Status& answer) {
  const bool rejected = answer.error_code() == grpc::StatusCode::INVALID_ARGUMENT;
  if (!answer.ok() && !rejected) {
    {
      MutexLock lock(mutex_);
      if (stop_) return FromGrpc(answer);
    }
    TellReachable(false, answer.error_message());
    return FromGrpc(answer);
  }
  TellReachable(true, "");
  if (rejected) {
    // Trying again cannot help, and the rest must not wait for it. It stays in the table.
    spdlog::error("alert rejected alert={} vm={} event={} error=\"{}\"", alert.alert_id(),
                  alert.virtual_machine(), alert.event(), answer.error_message());
    return database_.Execute("UPDATE outbox SET state = ?2, error = ?3 WHERE sequence = ?1",
                             {sequence, kRejected, answer.error_message()});
  }
  return database_.Transact([&]() -> absl::Status {
    RETURN_IF_ERROR(
        database_.Execute("UPDATE outbox SET state = ?2, alert = ?3 WHERE sequence = ?1",
                          {sequence, kPublished, Blob{}}));
    return database_.Execute("DELETE FROM outbox WHERE state = ?1 AND time_ms < ?2",
                             {kPublished, absl::ToUnixMillis(absl::Now() - kRemembered)});
  });
}

void Outbox::TellReachable(bool reachable, const std::string& detail) {
  if (reachable_ == reachable) return;
  reachable_ = reachable;
  if (on_reachable_) on_reachable_(reachable, detail);
}

}  // namespace virmo
