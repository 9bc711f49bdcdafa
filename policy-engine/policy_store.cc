// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/policy_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/fault_point.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"

namespace virmo::policy_engine {
namespace {

constexpr char kRecordColumns[] =
    "SELECT id, status, created_by, seen, peak_memory, peak_processor, charged_memory,"
    " charged_processor, revision, transfer, escrow_memory FROM policies ";

absl::StatusOr<Record> ReadRecord(const SqlRow& row) {
  Record record;
  record.id = row.Text(0);
  if (!record.status.ParseFromString(row.Text(1))) {
    return Error(v1::ErrorInfo::REASON_STORAGE_FAILED,
                 absl::StrCat("stored policy of ", record.id, " is damaged"));
  }
  record.created_by = row.Text(2);
  record.seen = row.Int(3) != 0;
  record.peak_memory = row.Int(4);
  record.peak_processor = row.Int(5);
  record.charged_memory = row.Int(6);
  record.charged_processor = row.Int(7);
  record.revision = row.Int(8);
  record.transfer = row.Text(9);
  record.escrow_memory = row.Int(10);
  return record;
}

}  // namespace

bool NeverCompleted(const Record& record) {
  return !record.created_by.empty() && !record.seen && record.revision == 1;
}

Schema PolicyStore::GetSchema() {
  return {"policy",
          {"CREATE TABLE policies ("
           " id TEXT PRIMARY KEY, status BLOB NOT NULL, created_by TEXT NOT NULL,"
           " seen INTEGER NOT NULL, peak_memory INTEGER NOT NULL, peak_processor INTEGER NOT NULL,"
           " charged_memory INTEGER NOT NULL, charged_processor INTEGER NOT NULL,"
           " revision INTEGER NOT NULL) WITHOUT ROWID;"
           "CREATE TABLE removed_policies ("
           " id TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;"
           "CREATE TABLE inventory (id TEXT PRIMARY KEY, item BLOB NOT NULL) WITHOUT ROWID;"
           "CREATE TABLE admissions ("
           " id TEXT NOT NULL, operation TEXT NOT NULL, PRIMARY KEY (id, operation))"
           " WITHOUT ROWID;"
           "CREATE TABLE controller ("
           " one INTEGER PRIMARY KEY CHECK (one = 1), instance TEXT NOT NULL,"
           " sequence INTEGER NOT NULL, host BLOB);"
           "CREATE TABLE requests ("
           " id TEXT PRIMARY KEY, request BLOB NOT NULL, response BLOB NOT NULL,"
           " time INTEGER NOT NULL) WITHOUT ROWID;",
           // Key material is in tables with a rowid: a value of the same size replaces the former
           // one in place. See disk_keys.h.
           "CREATE TABLE disk_keys ("
           " id TEXT PRIMARY KEY, check_value BLOB NOT NULL, host_wrap BLOB NOT NULL);"
           "CREATE TABLE disk_key_grants ("
           " serial INTEGER PRIMARY KEY, id TEXT NOT NULL, operation TEXT NOT NULL,"
           " UNIQUE (id, operation));",
           "CREATE TABLE user_unlocks ("
           " id TEXT PRIMARY KEY, salt BLOB NOT NULL, operations INTEGER NOT NULL,"
           " memory INTEGER NOT NULL, verifier BLOB NOT NULL, wrap BLOB NOT NULL,"
           " latest INTEGER NOT NULL, confirmed_total INTEGER NOT NULL,"
           " exhaustion_told INTEGER NOT NULL);"
           "ALTER TABLE policies ADD COLUMN transfer TEXT NOT NULL DEFAULT '';"
           "ALTER TABLE policies ADD COLUMN escrow_memory INTEGER NOT NULL DEFAULT 0;"}};
}

PolicyStore::PolicyStore(Database& database, std::function<void(const absl::Status&)> on_storage)
    : database_(database), on_storage_(std::move(on_storage)) {
  // What is deleted is overwritten.
  absl::Status status = database_.Query("PRAGMA secure_delete=ON").status();
  // Killed between a change and its Scrub, a former run left it to us.
  if (status.ok()) status = Scrub();
  if (!status.ok()) on_storage_(status);
}

absl::Status PolicyStore::Change(const std::function<absl::Status()>& body) {
  absl::Status status = database_.Transact(body);
  if (status.ok() && scrub_.load()) {
    FaultPoint("store.committed");
    status = Scrub();
  }
  if (status.ok() || ReasonOf(status) == v1::ErrorInfo::REASON_STORAGE_FAILED) {
    on_storage_(status);
  }
  return status;
}

absl::Status PolicyStore::Scrub() {
  // The page that held a secret is overwritten, but the log still has its older copy, until it is
  // written back and cut off.
  ASSIGN_OR_RETURN(const auto rows, database_.Query("PRAGMA wal_checkpoint(TRUNCATE)"));
  if (rows.empty() || rows[0].Int(0) != 0) {
    return Error(v1::ErrorInfo::REASON_STORAGE_FAILED,
                 "the database's log cannot be written back: another program reads the database");
  }
  scrub_.store(false);
  return absl::OkStatus();
}

absl::Status PolicyStore::Read(const std::function<absl::Status()>& body) {
  return database_.Transact(body);
}

absl::Status PolicyStore::Watch(std::unique_ptr<Subscription>* subscription,
                                std::vector<v1::PolicyStatus>* policies) {
  // Changes are published before the next transaction can begin: none is missed, none comes twice.
  return database_.Transact([&]() -> absl::Status {
    *subscription = std::make_unique<Subscription>(changes_);
    ASSIGN_OR_RETURN(const std::vector<Record> records, List("", -1));
    for (const Record& record : records) policies->push_back(record.status);
    return absl::OkStatus();
  });
}

absl::StatusOr<Record> PolicyStore::Load(const std::string& id) {
  ASSIGN_OR_RETURN(std::optional<Record> record, Find(id));
  if (record) return *std::move(record);
  return Error(v1::ErrorInfo::REASON_VM_NOT_FOUND,
               absl::StrCat("there is no policy for ", VirtualMachineName(id)),
               {{"virtual_machine", VirtualMachineName(id)}});
}

absl::StatusOr<std::optional<Record>> PolicyStore::Find(const std::string& id) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query(std::string(kRecordColumns) + "WHERE id = ?1", {id}));
  if (rows.empty()) return std::optional<Record>();
  ASSIGN_OR_RETURN(Record record, ReadRecord(rows[0]));
  return std::optional<Record>(std::move(record));
}

absl::StatusOr<std::vector<Record>> PolicyStore::List(const std::string& after, int limit) {
  ASSIGN_OR_RETURN(const auto rows, database_.Query(std::string(kRecordColumns) +
                                                        "WHERE id > ?1 ORDER BY id LIMIT ?2",
                                                    {after, int64_t{limit}}));
  std::vector<Record> records;
  for (const SqlRow& row : rows) {
    ASSIGN_OR_RETURN(records.emplace_back(), ReadRecord(row));
  }
  return records;
}

absl::Status PolicyStore::Save(Record& record) {
  ++record.revision;
  record.status.set_etag(absl::StrCat(record.status.policy().version(), "-", record.revision));
  RETURN_IF_ERROR(database_.Execute(
      "INSERT OR REPLACE INTO policies VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
      {record.id, Blob{record.status.SerializeAsString()}, record.created_by, int64_t{record.seen},
       record.peak_memory, record.peak_processor, record.charged_memory, record.charged_processor,
       record.revision, record.transfer, record.escrow_memory}));
  PolicyChange change;
  *change.mutable_changed() = record.status;
  database_.AfterCommit([this, change] { changes_.Publish(change); });
  return absl::OkStatus();
}

absl::Status PolicyStore::Remove(const Record& record) {
  RETURN_IF_ERROR(database_.Execute("INSERT OR REPLACE INTO removed_policies VALUES (?1, ?2)",
                                    {record.id, record.status.policy().version()}));
  for (const char* table :
       {"policies", "inventory", "admissions", "disk_keys", "disk_key_grants", "user_unlocks"}) {
    RETURN_IF_ERROR(
        database_.Execute(absl::StrCat("DELETE FROM ", table, " WHERE id = ?1"), {record.id}));
  }
  ScrubAfterCommit();
  PolicyChange change;
  change.set_removed(VirtualMachineName(record.id));
  database_.AfterCommit([this, change] { changes_.Publish(change); });
  return absl::OkStatus();
}

void PolicyStore::ScrubAfterCommit() { scrub_.store(true); }

absl::StatusOr<int64_t> PolicyStore::RemovedVersion(const std::string& id) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT version FROM removed_policies WHERE id = ?1", {id}));
  return rows.empty() ? 0 : rows[0].Int(0);
}

absl::StatusOr<std::optional<v1::InventoryItem>> PolicyStore::Inventory(const std::string& id) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT item FROM inventory WHERE id = ?1", {id}));
  if (rows.empty()) return std::optional<v1::InventoryItem>();
  v1::InventoryItem item;
  if (!item.ParseFromString(rows[0].Text(0))) {
    return Error(v1::ErrorInfo::REASON_STORAGE_FAILED,
                 absl::StrCat("stored inventory of ", id, " is damaged"));
  }
  return std::optional<v1::InventoryItem>(std::move(item));
}

absl::StatusOr<std::optional<std::string>> PolicyStore::FindByDisplayName(const std::string& name) {
  ASSIGN_OR_RETURN(const auto rows, database_.Query("SELECT id, item FROM inventory"));
  for (const SqlRow& row : rows) {
    v1::InventoryItem item;
    if (item.ParseFromString(row.Text(1)) && item.display_name() == name) {
      return std::optional<std::string>(row.Text(0));
    }
  }
  return std::optional<std::string>();
}

absl::Status PolicyStore::SetInventory(const std::string& id, const v1::InventoryItem& item) {
  return database_.Execute("INSERT OR REPLACE INTO inventory VALUES (?1, ?2)",
                           {id, Blob{item.SerializeAsString()}});
}

absl::Status PolicyStore::RemoveInventory(const std::string& id) {
  return database_.Execute("DELETE FROM inventory WHERE id = ?1", {id});
}

absl::StatusOr<std::vector<std::string>> PolicyStore::Admissions(const std::string& id) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT operation FROM admissions WHERE id = ?1", {id}));
  std::vector<std::string> operations;
  for (const SqlRow& row : rows) operations.push_back(row.Text(0));
  return operations;
}

absl::Status PolicyStore::AddAdmission(const std::string& id, const std::string& operation) {
  return database_.Execute("INSERT OR IGNORE INTO admissions VALUES (?1, ?2)", {id, operation});
}

absl::Status PolicyStore::RemoveAdmission(const std::string& id, const std::string& operation) {
  return database_.Execute("DELETE FROM admissions WHERE id = ?1 AND operation = ?2",
                           {id, operation});
}

absl::StatusOr<PolicyStore::Charges> PolicyStore::TotalCharges() {
  ASSIGN_OR_RETURN(
      const auto rows,
      database_.Query("SELECT sum(charged_memory), sum(charged_processor) FROM policies"));
  return Charges{rows[0].Int(0), rows[0].Int(1)};
}

absl::StatusOr<Controller> PolicyStore::GetController() {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT instance, sequence, host FROM controller"));
  Controller controller;
  if (rows.empty()) return controller;
  controller.instance = rows[0].Text(0);
  controller.sequence = rows[0].Int(1);
  if (!rows[0].IsNull(2) && !controller.host.emplace().ParseFromString(rows[0].Text(2))) {
    return Error(v1::ErrorInfo::REASON_STORAGE_FAILED, "stored report of the host is damaged");
  }
  return controller;
}

absl::Status PolicyStore::SetController(const Controller& controller) {
  return database_.Execute(
      "INSERT OR REPLACE INTO controller VALUES (1, ?1, ?2, ?3)",
      {controller.instance, controller.sequence,
       controller.host ? SqlValue(Blob{controller.host->SerializeAsString()}) : SqlValue(nullptr)});
}

absl::StatusOr<std::optional<v1::PolicyStatus>> PolicyStore::FindRequest(
    const std::string& request_id, const google::protobuf::Message& request) {
  ASSIGN_OR_RETURN(
      const auto rows,
      database_.Query("SELECT request, response FROM requests WHERE id = ?1", {request_id}));
  if (rows.empty()) return std::optional<v1::PolicyStatus>();
  if (rows[0].Text(0) != request.GetTypeName() + request.SerializeAsString()) {
    return Error(v1::ErrorInfo::REASON_REQUEST_ID_REUSED,
                 absl::StrCat("request id ", request_id, " was used before for another request"),
                 {{"request_id", request_id}});
  }
  v1::PolicyStatus response;
  if (!response.ParseFromString(rows[0].Text(1))) {
    return Error(v1::ErrorInfo::REASON_STORAGE_FAILED, "stored answer is damaged");
  }
  return std::optional<v1::PolicyStatus>(std::move(response));
}

absl::Status PolicyStore::AddRequest(const std::string& request_id,
                                     const google::protobuf::Message& request,
                                     const v1::PolicyStatus& response, absl::Time now) {
  return database_.Execute("INSERT INTO requests VALUES (?1, ?2, ?3, ?4)",
                           {request_id, Blob{request.GetTypeName() + request.SerializeAsString()},
                            Blob{response.SerializeAsString()}, absl::ToUnixSeconds(now)});
}

absl::Status PolicyStore::PruneRequests(absl::Time before) {
  return database_.Execute("DELETE FROM requests WHERE time < ?1", {absl::ToUnixSeconds(before)});
}

}  // namespace virmo::policy_engine
