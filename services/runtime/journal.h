// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/longrunning/operations.pb.h"
#include "google/protobuf/any.pb.h"
#include "google/protobuf/message.h"
#include "services/runtime/broadcast.h"
#include "services/runtime/sqlite.h"
#include "virmo/v1/operation.pb.h"

namespace virmo {

// The durable record of a service's operations: intent before act, each step, one outcome. It
// lives in the service's own database, so that an operation and what it changes are committed
// together. Remembers an operation for at least 30 days and as long as it is not done, so that a
// repeated request id returns the first outcome. Thread-safe.
//
// A service accepts a request like this:
//
//   database.Transact([&] {
//     ASSIGN_OR_RETURN(std::optional<Operation> first, journal.FindRequest(id, request));
//     if (first) { *response = *first; return OkStatus(); }
//     … check; write the transient state …
//     return journal.Insert(id, metadata, request);
//   });
//
// then runs the steps on a worker, calling SetStep before each, and ends with Finish in one
// transaction with the state it leaves and the alert (Outbox::Add). After a restart it goes on
// with what Unfinished() returns.
class OperationJournal {
 public:
  struct Entry {
    std::string id;  // The request id; the operation's name is `operations/{id}`.
    v1::OperationMetadata metadata;
    google::protobuf::Any request;  // The request that began it.
    google::protobuf::Any state;    // What SetStep stored last; empty at first.
    bool done = false;
  };

  static Schema GetSchema();

  explicit OperationJournal(Database& database);

  // The operation that `request_id` began, if there is one. INVALID_ARGUMENT
  // (REASON_REQUEST_ID_REUSED) if it was another request. `request_id` must be a UUID.
  absl::StatusOr<std::optional<google::longrunning::Operation>> FindRequest(
      const std::string& request_id, const google::protobuf::Message& request);

  // Records a new operation. Sets `create_time`, and `alert_id` (derived from the id).
  absl::Status Insert(const std::string& request_id, v1::OperationMetadata metadata,
                      const google::protobuf::Message& request);

  // Records an operation that is done as it is accepted: no alert follows.
  absl::Status InsertDone(const std::string& request_id, v1::OperationMetadata metadata,
                          const google::protobuf::Message& request, const absl::Status& outcome,
                          const google::protobuf::Message* response);

  // Records that `step` is about to be done, with what is needed to repeat it (nullptr: what was
  // recorded last stays). WRONG_STATE if the operation has ended.
  absl::Status SetStep(const std::string& id, absl::string_view step,
                       const google::protobuf::Message* state = nullptr);

  // Tells watchers how far it is. Kept in memory only; told at most twice a second.
  void SetProgress(const std::string& id, int percent, int64_t bytes_done = 0,
                   int64_t bytes_total = 0);

  // Records the outcome; `response` if it succeeded. The first outcome stands: a second Finish
  // changes nothing.
  absl::Status Finish(const std::string& id, const absl::Status& outcome,
                      const google::protobuf::Message* response = nullptr);

  // Marks it to be cancelled. NOT_FOUND for an unknown one; a done one stays as it is.
  absl::Status RequestCancel(const std::string& id);
  bool IsCancelRequested(const std::string& id);

  absl::StatusOr<Entry> Get(const std::string& id);
  absl::StatusOr<google::longrunning::Operation> GetOperation(const std::string& id);
  // Newest first; `page_token` as returned. 50 a page if `page_size` is 0, 1000 at most.
  absl::StatusOr<google::longrunning::ListOperationsResponse> List(int page_size,
                                                                   const std::string& page_token);

  // Operations that were accepted and have no outcome, oldest first.
  absl::StatusOr<std::vector<Entry>> Unfinished();

  // Removes what has been done for longer than 30 days. Called by the service once a day.
  absl::Status Prune();

  // Every acceptance, step, progress, cancel request and end, after it was committed.
  Broadcast<v1::OperationEvent>& events() { return events_; }

 private:
  struct Progress {
    int percent = 0;
    int64_t bytes_done = 0;
    int64_t bytes_total = 0;
    absl::Time told;
  };

  // Adds to what is stored what is known in memory of its progress.
  void Merge(Entry& entry);
  // Publishes an event once what it tells of is committed, in order of commit: a watcher never
  // hears of what was rolled back.
  void TellAfterCommit(const std::string& id);
  void Tell(const std::string& id);

  Database& database_;
  Broadcast<v1::OperationEvent> events_;
  Mutex mutex_;
  std::map<std::string, Progress> progress_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace virmo
