// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/journal.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "google/protobuf/empty.pb.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/util/time_util.h"
#include "services/runtime/error.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"

namespace virmo {

namespace {

using google::longrunning::Operation;

constexpr absl::Duration kKept = absl::Hours(30 * 24);
constexpr absl::Duration kTellAtMostEvery = absl::Milliseconds(500);
constexpr int kDefaultPageSize = 50;
constexpr int kMaxPageSize = 1000;

constexpr char kColumns[] = "id, metadata, request, state, done, error, response, sequence";

struct Row {
  OperationJournal::Entry entry;
  google::rpc::Status error;
  google::protobuf::Any response;
  int64_t sequence = 0;
};

// The same message always gives the same octets, map fields included: requests are compared so.
std::string DeterministicOctets(const google::protobuf::Message& message) {
  std::string octets;
  {
    google::protobuf::io::StringOutputStream stream(&octets);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return octets;
}

google::protobuf::Any Pack(const google::protobuf::Message& message) {
  google::protobuf::Any any;
  any.set_type_url(absl::StrCat("type.googleapis.com/", message.GetDescriptor()->full_name()));
  any.set_value(DeterministicOctets(message));
  return any;
}

Blob ToBlob(const google::protobuf::Message& message) { return {message.SerializeAsString()}; }

absl::Status NotFound(const std::string& id) {
  return Error(v1::ErrorInfo::REASON_NOT_FOUND, absl::StrCat("no operation has id ", id),
               {{"operation", OperationName(id)}});
}

absl::StatusOr<Row> ParseRow(const SqlRow& columns) {
  Row row;
  row.entry.id = columns.Text(0);
  row.entry.done = columns.Int(4) != 0;
  row.sequence = columns.Int(7);
  if (!row.entry.metadata.ParseFromString(columns.Text(1)) ||
      !row.entry.request.ParseFromString(columns.Text(2)) ||
      !row.entry.state.ParseFromString(columns.Text(3)) ||
      !row.error.ParseFromString(columns.Text(5)) ||
      !row.response.ParseFromString(columns.Text(6))) {
    return Error(v1::ErrorInfo::REASON_STORAGE_FAILED,
                 absl::StrCat("the record of operation ", row.entry.id, " is damaged"),
                 {{"operation", OperationName(row.entry.id)}});
  }
  return row;
}

absl::StatusOr<Row> ReadRow(Database& database, const std::string& id) {
  ASSIGN_OR_RETURN(
      const std::vector<SqlRow> rows,
      database.Query(absl::StrCat("SELECT ", kColumns, " FROM operations WHERE id = ?1"), {id}));
  if (rows.empty()) return NotFound(id);
  return ParseRow(rows.front());
}

absl::Status WriteMetadata(Database& database, const OperationJournal::Entry& entry) {
  return database.Execute("UPDATE operations SET metadata = ?2 WHERE id = ?1",
                          {entry.id, ToBlob(entry.metadata)});
}

google::protobuf::Timestamp Now() { return google::protobuf::util::TimeUtil::GetCurrentTime(); }

int64_t ToMs(const google::protobuf::Timestamp& time) {
  return google::protobuf::util::TimeUtil::TimestampToMilliseconds(time);
}

int ResultOf(const absl::Status& outcome) {
  return outcome.ok() ? 1200 : ResultCodeOf(ReasonOf(outcome));
}

// Fills in what an end means for the metadata.
void SetEnd(const absl::Status& outcome, const google::protobuf::Timestamp& time,
            v1::OperationMetadata& metadata) {
  *metadata.mutable_end_time() = time;
  metadata.set_result_code(ResultOf(outcome));
  if (outcome.ok()) metadata.set_progress_percent(100);
}

google::protobuf::Any ResponseOf(const google::protobuf::Message* response) {
  return response == nullptr ? Pack(google::protobuf::Empty()) : Pack(*response);
}

Operation ToOperation(const Row& row) {
  Operation operation;
  operation.set_name(OperationName(row.entry.id));
  operation.mutable_metadata()->PackFrom(row.entry.metadata);
  operation.set_done(row.entry.done);
  if (!row.entry.done) return operation;
  if (row.error.code() != 0) {
    *operation.mutable_error() = row.error;
  } else {
    *operation.mutable_response() = row.response;
  }
  return operation;
}

}  // namespace

Schema OperationJournal::GetSchema() {
  return {"operations",
          {"CREATE TABLE operations("
           "  sequence INTEGER PRIMARY KEY AUTOINCREMENT,"
           "  id TEXT NOT NULL UNIQUE,"
           "  metadata BLOB NOT NULL,"  // virmo.v1.OperationMetadata
           "  request BLOB NOT NULL,"   // google.protobuf.Any
           "  state BLOB NOT NULL,"     // google.protobuf.Any
           "  done INTEGER NOT NULL,"
           "  end_ms INTEGER NOT NULL,"         // Since 1970; 0 while it runs.
           "  error BLOB NOT NULL,"             // google.rpc.Status
           "  response BLOB NOT NULL) STRICT;"  // google.protobuf.Any
           "CREATE INDEX operations_end ON operations(done, end_ms);"}};
}

OperationJournal::OperationJournal(Database& database) : database_(database) {}

absl::StatusOr<std::optional<Operation>> OperationJournal::FindRequest(
    const std::string& request_id, const google::protobuf::Message& request) {
  if (!IsUuid(request_id)) {
    return InvalidField("request_id", absl::StrCat("want a lower-case UUID, got `",
                                                   request_id.substr(0, 100), "`"));
  }
  absl::StatusOr<Row> row = ReadRow(database_, request_id);
  if (absl::IsNotFound(row.status())) return std::optional<Operation>();
  if (!row.ok()) return row.status();
  const google::protobuf::Any packed = Pack(request);
  if (row->entry.request.type_url() != packed.type_url() ||
      row->entry.request.value() != packed.value()) {
    return Error(
        v1::ErrorInfo::REASON_REQUEST_ID_REUSED,
        absl::StrCat("request id ", request_id, " was used for another request; use a new one"),
        {{"request_id", request_id}});
  }
  Merge(row->entry);
  return std::optional<Operation>(ToOperation(*row));
}

absl::Status OperationJournal::Insert(const std::string& request_id, v1::OperationMetadata metadata,
                                      const google::protobuf::Message& request) {
  *metadata.mutable_create_time() = Now();
  metadata.set_alert_id(NameUuid(request_id, "alert"));
  RETURN_IF_ERROR(database_.Execute(
      "INSERT INTO operations(id, metadata, request, state, done, end_ms, error, response) "
      "VALUES (?1, ?2, ?3, ?4, 0, 0, ?4, ?4)",
      {request_id, ToBlob(metadata), ToBlob(Pack(request)), Blob{}}));
  TellAfterCommit(request_id);
  return absl::OkStatus();
}

absl::Status OperationJournal::InsertDone(const std::string& request_id,
                                          v1::OperationMetadata metadata,
                                          const google::protobuf::Message& request,
                                          const absl::Status& outcome,
                                          const google::protobuf::Message* response) {
  const google::protobuf::Timestamp now = Now();
  *metadata.mutable_create_time() = now;
  metadata.clear_alert_id();
  SetEnd(outcome, now, metadata);
  RETURN_IF_ERROR(database_.Execute(
      "INSERT INTO operations(id, metadata, request, state, done, end_ms, error, response) "
      "VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?7)",
      {request_id, ToBlob(metadata), ToBlob(Pack(request)), Blob{}, ToMs(now),
       outcome.ok() ? Blob{} : ToBlob(ToRpc(outcome)),
       outcome.ok() ? ToBlob(ResponseOf(response)) : Blob{}}));
  TellAfterCommit(request_id);
  return absl::OkStatus();
}

absl::Status OperationJournal::SetStep(const std::string& id, absl::string_view step,
                                       const google::protobuf::Message* state) {
  return database_.Transact([&]() -> absl::Status {
    ASSIGN_OR_RETURN(Row row, ReadRow(database_, id));
    if (row.entry.done) {
      return Error(v1::ErrorInfo::REASON_WRONG_STATE,
                   absl::StrCat("operation ", id, " has ended; cannot begin step ", step),
                   {{"operation", OperationName(id)}, {"step", std::string(step)}});
    }
    row.entry.metadata.set_step(std::string(step));
    Merge(row.entry);
    RETURN_IF_ERROR(WriteMetadata(database_, row.entry));
    if (state != nullptr) {
      RETURN_IF_ERROR(database_.Execute("UPDATE operations SET state = ?2 WHERE id = ?1",
                                        {id, ToBlob(Pack(*state))}));
    }
    TellAfterCommit(id);
    return absl::OkStatus();
  });
}

void OperationJournal::SetProgress(const std::string& id, int percent, int64_t bytes_done,
                                   int64_t bytes_total) {
  {
    MutexLock lock(mutex_);
    Progress& progress = progress_[id];
    progress.percent = std::max(progress.percent, std::clamp(percent, 0, 100));
    progress.bytes_done = bytes_done;
    progress.bytes_total = bytes_total;
    const absl::Time now = absl::Now();
    // A clock set back must not silence it.
    if (now >= progress.told && now < progress.told + kTellAtMostEvery) return;
    progress.told = now;
  }
  TellAfterCommit(id);
}

absl::Status OperationJournal::Finish(const std::string& id, const absl::Status& outcome,
                                      const google::protobuf::Message* response) {
  return database_.Transact([&]() -> absl::Status {
    ASSIGN_OR_RETURN(Row row, ReadRow(database_, id));
    if (row.entry.done) return absl::OkStatus();
    Merge(row.entry);
    const google::protobuf::Timestamp now = Now();
    SetEnd(outcome, now, row.entry.metadata);
    RETURN_IF_ERROR(database_.Execute(
        "UPDATE operations SET metadata = ?2, done = 1, end_ms = ?3, error = ?4, response = ?5 "
        "WHERE id = ?1",
        {id, ToBlob(row.entry.metadata), ToMs(now), outcome.ok() ? Blob{} : ToBlob(ToRpc(outcome)),
         outcome.ok() ? ToBlob(ResponseOf(response)) : Blob{}}));
    TellAfterCommit(id);
    return absl::OkStatus();
  });
}

absl::Status OperationJournal::RequestCancel(const std::string& id) {
  return database_.Transact([&]() -> absl::Status {
    ASSIGN_OR_RETURN(Row row, ReadRow(database_, id));
    if (row.entry.done || row.entry.metadata.cancel_requested()) return absl::OkStatus();
    row.entry.metadata.set_cancel_requested(true);
    RETURN_IF_ERROR(WriteMetadata(database_, row.entry));
    TellAfterCommit(id);
    return absl::OkStatus();
  });
}

bool OperationJournal::IsCancelRequested(const std::string& id) {
  const absl::StatusOr<Row> row = ReadRow(database_, id);
  return row.ok() && row->entry.metadata.cancel_requested();
}

absl::StatusOr<OperationJournal::Entry> OperationJournal::Get(const std::string& id) {
  ASSIGN_OR_RETURN(Row row, ReadRow(database_, id));
  Merge(row.entry);
  return row.entry;
}

absl::StatusOr<Operation> OperationJournal::GetOperation(const std::string& id) {
  ASSIGN_OR_RETURN(Row row, ReadRow(database_, id));
  Merge(row.entry);
  return ToOperation(row);
}

absl::StatusOr<google::longrunning::ListOperationsResponse> OperationJournal::List(
    int page_size, const std::string& page_token) {
  if (page_size < 0) return InvalidField("page_size", "must not be negative");
  const int64_t limit = page_size == 0 ? kDefaultPageSize : std::min(page_size, kMaxPageSize);
  int64_t before = INT64_MAX;
  if (!page_token.empty() && !absl::SimpleAtoi(page_token, &before)) {
    return InvalidField("page_token", "is not one that was returned");
  }
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                   database_.Query(absl::StrCat("SELECT ", kColumns,
                                                " FROM operations WHERE sequence < ?1 "
                                                "ORDER BY sequence DESC LIMIT ?2"),
                                   {before, limit + 1}));
  google::longrunning::ListOperationsResponse response;
  for (const SqlRow& columns : rows) {
    if (response.operations_size() == limit) {
      response.set_next_page_token(absl::StrCat(before));
      break;
    }
    ASSIGN_OR_RETURN(Row row, ParseRow(columns));
    Merge(row.entry);
    *response.add_operations() = ToOperation(row);
    before = row.sequence;
  }
  return response;
}

absl::StatusOr<std::vector<OperationJournal::Entry>> OperationJournal::Unfinished() {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                   database_.Query(absl::StrCat("SELECT ", kColumns,
                                                " FROM operations WHERE done = 0 "
                                                "ORDER BY sequence")));
  std::vector<Entry> entries;
  for (const SqlRow& columns : rows) {
    ASSIGN_OR_RETURN(Row row, ParseRow(columns));
    entries.push_back(std::move(row.entry));
  }
  return entries;
}

absl::Status OperationJournal::Prune() {
  return database_.Execute("DELETE FROM operations WHERE done = 1 AND end_ms < ?1",
                           {absl::ToUnixMillis(absl::Now() - kKept)});
}

void OperationJournal::Merge(Entry& entry) {
  MutexLock lock(mutex_);
  const auto found = progress_.find(entry.id);
  if (found == progress_.end() || entry.done) return;
  v1::OperationMetadata& metadata = entry.metadata;
  metadata.set_progress_percent(std::max(metadata.progress_percent(), found->second.percent));
  metadata.set_bytes_done(found->second.bytes_done);
  metadata.set_bytes_total(found->second.bytes_total);
}

void OperationJournal::TellAfterCommit(const std::string& id) {
  database_.AfterCommit([this, id] { Tell(id); });
}

void OperationJournal::Tell(const std::string& id) {
  absl::StatusOr<Row> row = ReadRow(database_, id);
  if (!row.ok()) return;  // Watchers lose one event; what they read next shows the state.
  if (row->entry.done) {
    MutexLock lock(mutex_);
    progress_.erase(id);  // Also what a late SetProgress has put there.
  }
  Merge(row->entry);
  v1::OperationEvent event;
  event.set_name(OperationName(id));
  *event.mutable_metadata() = row->entry.metadata;
  event.set_done(row->entry.done);
  event.set_error_message(row->error.message());
  events_.Publish(event);
}

}  // namespace virmo
