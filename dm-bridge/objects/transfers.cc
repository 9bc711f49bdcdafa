// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/objects/transfers.h"

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {

Schema TransferStore::GetSchema() {
  return {"transfer",
          {"CREATE TABLE transfer (name TEXT PRIMARY KEY, status INTEGER NOT NULL,"
           " operation TEXT NOT NULL, transfer BLOB NOT NULL)"}};
}

absl::StatusOr<std::vector<std::string>> TransferStore::Names() {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                   database_.Query("SELECT name FROM transfer ORDER BY name"));
  std::vector<std::string> names;
  for (const SqlRow& row : rows) names.push_back(row.Text(0));
  return names;
}

absl::StatusOr<bool> TransferStore::Has(const std::string& name) {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                   database_.Query("SELECT 1 FROM transfer WHERE name = ?1", {name}));
  return !rows.empty();
}

absl::StatusOr<TransferRecord> TransferStore::Get(const std::string& name) {
  ASSIGN_OR_RETURN(
      const std::vector<SqlRow> rows,
      database_.Query("SELECT status, operation, transfer FROM transfer WHERE name = ?1", {name}));
  if (rows.empty()) {
    return Error(v1::ErrorInfo::REASON_NOT_FOUND, absl::StrCat("no transfer ", name));
  }
  TransferRecord record{.status = static_cast<TransferStatus>(rows[0].Int(0)),
                        .operation = rows[0].Text(1)};
  if (!record.transfer.ParseFromString(rows[0].Text(2))) {
    return Error(v1::ErrorInfo::REASON_STORAGE_FAILED,
                 absl::StrCat("what is stored of transfer ", name, " is damaged"));
  }
  return record;
}

absl::Status TransferStore::MakeRoom() {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> count,
                   database_.Query("SELECT COUNT(*) FROM transfer"));
  if (count[0].Int(0) < kMaxRequests) return absl::OkStatus();
  ASSIGN_OR_RETURN(
      const std::vector<SqlRow> ended,
      database_.Query("SELECT name FROM transfer WHERE status IN (?1, ?2) ORDER BY rowid LIMIT 1",
                      {static_cast<int64_t>(TransferStatus::kDone),
                       static_cast<int64_t>(TransferStatus::kFailed)}));
  if (!ended.empty()) return Remove(ended[0].Text(0));
  return Error(v1::ErrorInfo::REASON_INSUFFICIENT_RESOURCES,
               absl::StrCat("there are ", kMaxRequests, " transfers; delete old ones first"));
}

absl::Status TransferStore::Create(const std::string& name, const TransferRecord& record) {
  return database_.Transact([&]() -> absl::Status {
    RETURN_IF_ERROR(MakeRoom());
    return database_.Execute(
        "INSERT INTO transfer (name, status, operation, transfer) VALUES (?1, ?2, ?3, ?4)",
        {name, static_cast<int64_t>(record.status), record.operation,
         Blob{record.transfer.SerializeAsString()}});
  });
}

absl::Status TransferStore::Set(const std::string& name, const TransferRecord& record) {
  return database_.Execute(
      "UPDATE transfer SET status = ?2, operation = ?3, transfer = ?4 WHERE name = ?1",
      {name, static_cast<int64_t>(record.status), record.operation,
       Blob{record.transfer.SerializeAsString()}});
}

absl::Status TransferStore::Remove(const std::string& name) {
  return database_.Execute("DELETE FROM transfer WHERE name = ?1", {name});
}

}  // namespace virmo::dm_bridge
