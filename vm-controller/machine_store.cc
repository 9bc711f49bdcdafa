// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/machine_store.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/runtime/error.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"

namespace virmo::vm_controller {
namespace {

constexpr char kColumns[] = "SELECT id, vm, suspended_by_lock, stable_state FROM machines ";

absl::StatusOr<MachineRecord> RecordOf(const SqlRow& row) {
  MachineRecord record;
  record.id = row.Text(0);
  if (!record.vm.ParseFromString(row.Text(1))) {
    return Error(v1::ErrorInfo::REASON_STORAGE_FAILED,
                 absl::StrCat("the record of ", record.id, " is damaged"));
  }
  record.suspended_by_lock = row.Int(2) != 0;
  record.stable_state = static_cast<v1::VirtualMachine::State>(row.Int(3));
  return record;
}

absl::Status Taken(const std::string& what, const std::string& value) {
  return Error(v1::ErrorInfo::REASON_ALREADY_EXISTS, absl::StrCat(what, " ", value),
               {{"value", value}});
}

}  // namespace

Schema MachineStore::GetSchema() {
  return {"machines",
          {"CREATE TABLE machines (id TEXT PRIMARY KEY, display_name TEXT NOT NULL UNIQUE,"
           " vm BLOB NOT NULL, suspended_by_lock INTEGER NOT NULL, stable_state INTEGER NOT NULL);"
           "CREATE TABLE tombstones (id TEXT PRIMARY KEY, delete_time INTEGER NOT NULL);"
           "CREATE TABLE policies (id TEXT PRIMARY KEY, version INTEGER NOT NULL,"
           " policy BLOB NOT NULL);"}};
}

absl::StatusOr<std::vector<MachineRecord>> MachineStore::Select(
    const std::string& where, const std::vector<SqlValue>& arguments) {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                   database_.Query(absl::StrCat(kColumns, where), arguments));
  std::vector<MachineRecord> records;
  for (const SqlRow& row : rows) {
    ASSIGN_OR_RETURN(MachineRecord record, RecordOf(row));
    records.push_back(std::move(record));
  }
  return records;
}

absl::StatusOr<MachineRecord> MachineStore::Get(const std::string& id) {
  ASSIGN_OR_RETURN(std::vector<MachineRecord> records, Select("WHERE id = ?1", {id}));
  if (records.empty()) {
    return Error(v1::ErrorInfo::REASON_VM_NOT_FOUND,
                 absl::StrCat("there is no ", VirtualMachineName(id)),
                 {{"virtual_machine", VirtualMachineName(id)}});
  }
  return std::move(records.front());
}

absl::StatusOr<std::vector<MachineRecord>> MachineStore::List() {
  return Select("ORDER BY id", {});
}

absl::Status MachineStore::Put(const MachineRecord& record) {
  RETURN_IF_ERROR(CheckNameIsFree(record.vm.display_name(), record.id));
  return database_.Execute(
      "INSERT OR REPLACE INTO machines (id, display_name, vm, suspended_by_lock, stable_state)"
      " VALUES (?1, ?2, ?3, ?4, ?5)",
      {record.id, record.vm.display_name(), Blob{record.vm.SerializeAsString()},
       int64_t{record.suspended_by_lock}, int64_t{record.stable_state}});
}

absl::Status MachineStore::Remove(const std::string& id, bool keep_tombstone) {
  return database_.Transact([&] {
    RETURN_IF_ERROR(database_.Execute("DELETE FROM machines WHERE id = ?1", {id}));
    RETURN_IF_ERROR(database_.Execute("DELETE FROM policies WHERE id = ?1", {id}));
    if (!keep_tombstone) return absl::OkStatus();
    return database_.Execute("INSERT OR IGNORE INTO tombstones (id, delete_time) VALUES (?1, ?2)",
                             {id, absl::ToUnixSeconds(absl::Now())});
  });
}

absl::Status MachineStore::CheckIdIsFree(const std::string& id) {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> live,
                   database_.Query("SELECT 1 FROM machines WHERE id = ?1", {id}));
  if (!live.empty()) return Taken("there is already a virtual machine", id);
  ASSIGN_OR_RETURN(const std::vector<SqlRow> dead,
                   database_.Query("SELECT 1 FROM tombstones WHERE id = ?1", {id}));
  if (!dead.empty()) return Taken("ids are never reused, and one was deleted that had", id);
  return absl::OkStatus();
}

absl::Status MachineStore::CheckNameIsFree(const std::string& display_name, const std::string& id) {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                   database_.Query("SELECT id FROM machines WHERE display_name = ?1 AND id <> ?2",
                                   {display_name, id}));
  if (rows.empty()) return absl::OkStatus();
  return Taken("another virtual machine has the display name", display_name);
}

absl::Status MachineStore::PutPolicy(const v1::EffectivePolicy& policy) {
  ASSIGN_OR_RETURN(const std::string id, VirtualMachineId(policy.virtual_machine()));
  return database_.Transact([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const std::optional<v1::EffectivePolicy> stored, GetPolicy(id));
    if (stored && stored->version() > policy.version()) {
      return Error(
          v1::ErrorInfo::REASON_STALE_POLICY,
          absl::StrCat("policy version ", policy.version(), " of ", policy.virtual_machine(),
                       " is older than the stored ", stored->version()),
          {{"version", absl::StrCat(policy.version())},
           {"stored_version", absl::StrCat(stored->version())}});
    }
    v1::EffectivePolicy kept = policy;
    // A high-water mark: a policy database put back from a copy is known by it.
    if (stored) {
      kept.set_unlock_attempts_total(
          std::max(kept.unlock_attempts_total(), stored->unlock_attempts_total()));
    }
    const std::string octets = kept.SerializeAsString();
    // Most admissions bring what is known: that is worth no write to the disk.
    if (stored && stored->SerializeAsString() == octets) return absl::OkStatus();
    return database_.Execute(
        "INSERT OR REPLACE INTO policies (id, version, policy) VALUES (?1, ?2, ?3)",
        {id, kept.version(), Blob{octets}});
  });
}

absl::StatusOr<std::optional<v1::EffectivePolicy>> MachineStore::GetPolicy(const std::string& id) {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                   database_.Query("SELECT policy FROM policies WHERE id = ?1", {id}));
  if (rows.empty()) return std::optional<v1::EffectivePolicy>();
  v1::EffectivePolicy policy;
  if (!policy.ParseFromString(rows.front().Text(0))) {
    return Error(v1::ErrorInfo::REASON_STORAGE_FAILED,
                 absl::StrCat("the stored policy of ", id, " is damaged"));
  }
  return std::optional<v1::EffectivePolicy>(std::move(policy));
}

bool IsLocked(const std::optional<v1::EffectivePolicy>& policy) {
  return !policy || policy->lock().locked();
}

}  // namespace virmo::vm_controller
