// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/objects/provision.h"

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "services/runtime/error.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {
namespace {

// Result codes of what can go wrong before the package is on the device and verified.
bool IsDownloadFailure(int result_code) {
  return (result_code >= 1402 && result_code <= 1404) || result_code == 1407 ||
         (result_code >= 1500 && result_code < 1600);
}

bool IsFetching(const std::string& step) {
  return step.empty() || step == "fetch" || step == "verify";
}

}  // namespace

Schema ProvisionStore::GetSchema() {
  return {"provision",
          {"CREATE TABLE provision (name TEXT PRIMARY KEY, status INTEGER NOT NULL,"
           " operation TEXT NOT NULL, download_only INTEGER NOT NULL, vm_id TEXT NOT NULL);"
           "CREATE INDEX provision_operation ON provision (operation);"
           "CREATE TABLE provision_leaf (name TEXT NOT NULL, path TEXT NOT NULL,"
           " value BLOB NOT NULL, PRIMARY KEY (name, path))"}};
}

absl::StatusOr<std::vector<std::string>> ProvisionStore::Names() {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                   database_.Query("SELECT name FROM provision ORDER BY name"));
  std::vector<std::string> names;
  for (const SqlRow& row : rows) names.push_back(row.Text(0));
  return names;
}

absl::StatusOr<bool> ProvisionStore::Has(const std::string& name) {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                   database_.Query("SELECT 1 FROM provision WHERE name = ?1", {name}));
  return !rows.empty();
}

// Makes room by forgetting the oldest request that has ended.
absl::Status ProvisionStore::MakeRoom() {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> count,
                   database_.Query("SELECT COUNT(*) FROM provision"));
  if (count[0].Int(0) < kMaxRequests) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<SqlRow> ended,
                   database_.Query("SELECT name FROM provision WHERE status NOT IN (?1, ?2, ?3) "
                                   "ORDER BY rowid LIMIT 1",
                                   {static_cast<int64_t>(ProvisionStatus::kIdle),
                                    static_cast<int64_t>(ProvisionStatus::kDownloadProgressing),
                                    static_cast<int64_t>(ProvisionStatus::kProvisionProgressing)}));
  if (!ended.empty()) return Remove(ended[0].Text(0));
  return Error(v1::ErrorInfo::REASON_INSUFFICIENT_RESOURCES,
               absl::StrCat("there are ", kMaxRequests, " requests; delete old ones first"));
}

absl::Status ProvisionStore::Create(const std::string& name) {
  return database_.Transact([&]() -> absl::Status {
    RETURN_IF_ERROR(MakeRoom());
    return database_.Execute(
        "INSERT INTO provision (name, status, operation, download_only, vm_id) "
        "VALUES (?1, ?2, '', 0, '')",
        {name, static_cast<int64_t>(ProvisionStatus::kIdle)});
  });
}

absl::Status ProvisionStore::Remove(const std::string& name) {
  return database_.Transact([&]() -> absl::Status {
    RETURN_IF_ERROR(database_.Execute("DELETE FROM provision_leaf WHERE name = ?1", {name}));
    return database_.Execute("DELETE FROM provision WHERE name = ?1", {name});
  });
}

absl::StatusOr<std::optional<std::string>> ProvisionStore::GetLeaf(const std::string& name,
                                                                   const std::string& path) {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                   database_.Query("SELECT value FROM provision_leaf WHERE name = ?1 AND path = ?2",
                                   {name, path}));
  if (rows.empty()) return std::nullopt;
  return rows[0].Text(0);
}

absl::StatusOr<std::map<std::string, std::string>> ProvisionStore::LeavesBelow(
    const std::string& name, const std::string& path) {
  ASSIGN_OR_RETURN(
      const std::vector<SqlRow> rows,
      database_.Query("SELECT substr(path, length(?2) + 2), value FROM provision_leaf"
                      " WHERE name = ?1 AND substr(path, 1, length(?2) + 1) = ?2 || '/'",
                      {name, path}));
  std::map<std::string, std::string> leaves;
  for (const SqlRow& row : rows) leaves[row.Text(0)] = row.Text(1);
  return leaves;
}

absl::Status ProvisionStore::SetLeaf(const std::string& name, const std::string& path,
                                     const std::string& value) {
  return database_.Execute(
      "INSERT OR REPLACE INTO provision_leaf (name, path, value) VALUES (?1, ?2, ?3)",
      {name, path, Blob{value}});
}

absl::Status ProvisionStore::RemoveLeaf(const std::string& name, const std::string& path) {
  return database_.Execute(
      "DELETE FROM provision_leaf WHERE name = ?1 AND "
      "(path = ?2 OR (path >= ?2 || '/' AND path < ?2 || '0'))",
      {name, path});
}

absl::Status ProvisionStore::Rename(const std::string& name, const std::string& to) {
  return database_.Transact([&]() -> absl::Status {
    RETURN_IF_ERROR(
        database_.Execute("UPDATE provision_leaf SET name = ?2 WHERE name = ?1", {name, to}));
    return database_.Execute("UPDATE provision SET name = ?2 WHERE name = ?1", {name, to});
  });
}

absl::StatusOr<std::string> ProvisionStore::Save(const std::string& name) {
  ASSIGN_OR_RETURN(const ProvisionRecord record, GetRecord(name));
  std::vector<std::string> fields = {absl::StrCat(static_cast<int>(record.status)),
                                     record.operation, record.download_only ? "1" : "0",
                                     record.vm_id};
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                   database_.Query("SELECT path, value FROM provision_leaf WHERE name = ?1 "
                                   "ORDER BY path",
                                   {name}));
  for (const SqlRow& row : rows) {
    fields.push_back(row.Text(0));
    fields.push_back(row.Text(1));
  }
  for (std::string& field : fields) field = absl::CEscape(field);
  return absl::StrJoin(fields, "\n");
}

absl::Status ProvisionStore::Restore(const std::string& name, const std::string& saved) {
  std::vector<std::string> fields = absl::StrSplit(saved, '\n');
  for (std::string& field : fields) absl::CUnescape(std::string(field), &field);
  int status = 0;
  if (fields.size() < 4 || !absl::SimpleAtoi(fields[0], &status)) {
    return absl::DataLossError(absl::StrCat("what was saved of request ", name, " is damaged"));
  }
  return database_.Transact([&]() -> absl::Status {
    RETURN_IF_ERROR(Create(name));
    RETURN_IF_ERROR(SetRecord(name, {.status = static_cast<ProvisionStatus>(status),
                                     .operation = fields[1],
                                     .download_only = fields[2] == "1",
                                     .vm_id = fields[3]}));
    for (size_t i = 4; i + 1 < fields.size(); i += 2) {
      RETURN_IF_ERROR(SetLeaf(name, fields[i], fields[i + 1]));
    }
    return absl::OkStatus();
  });
}

absl::StatusOr<ProvisionRecord> ProvisionStore::GetRecord(const std::string& name) {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                   database_.Query("SELECT status, operation, download_only, vm_id "
                                   "FROM provision WHERE name = ?1",
                                   {name}));
  if (rows.empty()) {
    return Error(v1::ErrorInfo::REASON_NOT_FOUND, absl::StrCat("no request ", name));
  }
  return ProvisionRecord{.status = static_cast<ProvisionStatus>(rows[0].Int(0)),
                         .operation = rows[0].Text(1),
                         .download_only = rows[0].Int(2) != 0,
                         .vm_id = rows[0].Text(3)};
}

absl::Status ProvisionStore::SetRecord(const std::string& name, const ProvisionRecord& record) {
  return database_.Execute(
      "UPDATE provision SET status = ?2, operation = ?3, download_only = ?4, vm_id = ?5 "
      "WHERE name = ?1",
      {name, static_cast<int64_t>(record.status), record.operation,
       static_cast<int64_t>(record.download_only), record.vm_id});
}

absl::Status ProvisionStore::OnOperation(const v1::OperationEvent& event) {
  ASSIGN_OR_RETURN(const std::string operation, OperationId(event.name()));
  return database_.Transact([&]() -> absl::Status {
    ASSIGN_OR_RETURN(
        const std::vector<SqlRow> rows,
        database_.Query("SELECT name FROM provision WHERE operation = ?1", {operation}));
    for (const SqlRow& row : rows) {
      {
        MutexLock lock(mutex_);
        progress_[operation] = event.metadata().progress_percent();
        if (event.done()) progress_.erase(operation);
      }
      ASSIGN_OR_RETURN(const ProvisionRecord record, GetRecord(row.Text(0)));
      const ProvisionRecord next = Advance(record, event);
      if (next.status != record.status) RETURN_IF_ERROR(SetRecord(row.Text(0), next));
    }
    return absl::OkStatus();
  });
}

int ProvisionStore::ProgressOf(const std::string& operation) const {
  MutexLock lock(mutex_);
  const auto found = progress_.find(operation);
  return found == progress_.end() ? 0 : found->second;
}

ProvisionRecord Advance(ProvisionRecord record, const v1::OperationEvent& event) {
  const v1::OperationMetadata& metadata = event.metadata();
  if (!event.done()) {
    record.status = IsFetching(metadata.step()) ? ProvisionStatus::kDownloadProgressing
                                                : ProvisionStatus::kProvisionProgressing;
  } else if (metadata.result_code() >= 1200 && metadata.result_code() < 1300) {
    record.status =
        record.download_only ? ProvisionStatus::kDownloadComplete : ProvisionStatus::kProvisioned;
    if (!record.download_only) record.vm_id = VirtualMachineId(metadata.target()).value_or("");
  } else if (record.download_only || IsDownloadFailure(metadata.result_code())) {
    record.status = ProvisionStatus::kDownloadFailed;
  } else {
    record.status = ProvisionStatus::kProvisionFailed;
  }
  return record;
}

}  // namespace virmo::dm_bridge
