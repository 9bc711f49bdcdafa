// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/snapshot_store.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/runtime/error.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"

namespace virmo::vm_controller {
namespace {

constexpr char kSegment[] = "/snapshots/";
constexpr size_t kMaxIdLength = 63;

bool IsSnapshotId(const std::string& id) {
  return !id.empty() && id.size() <= kMaxIdLength && std::all_of(id.begin(), id.end(), [](char c) {
    return absl::ascii_islower(static_cast<unsigned char>(c)) ||
           absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '-';
  });
}

absl::StatusOr<v1::Snapshot> SnapshotOf(const SqlRow& row) {
  v1::Snapshot snapshot;
  if (snapshot.ParseFromString(row.Text(0))) return snapshot;
  return Error(v1::ErrorInfo::REASON_STORAGE_FAILED, "the record of a snapshot is damaged");
}

}  // namespace

std::string SnapshotName(const std::string& vm_id, const std::string& snapshot_id) {
  return absl::StrCat(VirtualMachineName(vm_id), kSegment, snapshot_id);
}

absl::StatusOr<SnapshotPath> ParseSnapshotName(const std::string& name) {
  const std::vector<std::string> parts = absl::StrSplit(name, kSegment);
  if (parts.size() != 2 || !IsSnapshotId(parts[1])) {
    return InvalidField(
        "name", "want `virtualMachines/{uuid}/snapshots/{id}`, the id 1 to 63 of [a-z0-9-]");
  }
  ASSIGN_OR_RETURN(const std::string vm_id, VirtualMachineId(parts[0]));
  return SnapshotPath{vm_id, parts[1]};
}

Schema SnapshotStore::GetSchema() {
  return {"snapshots",
          {"CREATE TABLE snapshots (sequence INTEGER PRIMARY KEY AUTOINCREMENT, vm TEXT NOT NULL,"
           " id TEXT NOT NULL, snapshot BLOB NOT NULL, UNIQUE (vm, id)) STRICT;"}};
}

absl::StatusOr<std::vector<v1::Snapshot>> SnapshotStore::List(const std::string& vm_id) {
  ASSIGN_OR_RETURN(
      const std::vector<SqlRow> rows,
      database_.Query("SELECT snapshot FROM snapshots WHERE vm = ?1 ORDER BY sequence", {vm_id}));
  std::vector<v1::Snapshot> snapshots;
  for (const SqlRow& row : rows) {
    ASSIGN_OR_RETURN(v1::Snapshot snapshot, SnapshotOf(row));
    snapshots.push_back(std::move(snapshot));
  }
  return snapshots;
}

absl::StatusOr<v1::Snapshot> SnapshotStore::Get(const SnapshotPath& path) {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                   database_.Query("SELECT snapshot FROM snapshots WHERE vm = ?1 AND id = ?2",
                                   {path.vm_id, path.snapshot_id}));
  if (!rows.empty()) return SnapshotOf(rows.front());
  const std::string name = SnapshotName(path.vm_id, path.snapshot_id);
  return Error(v1::ErrorInfo::REASON_NOT_FOUND, absl::StrCat("there is no ", name),
               {{"snapshot", name}});
}

absl::Status SnapshotStore::Add(const SnapshotPath& path, const v1::Snapshot& snapshot) {
  return database_.Execute("INSERT INTO snapshots (vm, id, snapshot) VALUES (?1, ?2, ?3)",
                           {path.vm_id, path.snapshot_id, Blob{snapshot.SerializeAsString()}});
}

absl::Status SnapshotStore::Remove(const SnapshotPath& path) {
  return database_.Execute("DELETE FROM snapshots WHERE vm = ?1 AND id = ?2",
                           {path.vm_id, path.snapshot_id});
}

absl::Status SnapshotStore::RemoveAll(const std::string& vm_id) {
  return database_.Execute("DELETE FROM snapshots WHERE vm = ?1", {vm_id});
}

}  // namespace virmo::vm_controller
