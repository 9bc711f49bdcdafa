// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/disk_layers.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/status_macros.h"
#include "vm-controller/image/qemu_img.h"
#include "vm-controller/wipe_file.h"

namespace virmo::vm_controller {
namespace {

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

absl::Status Move(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
  return Error(v1::ErrorInfo::REASON_STORAGE_FAILED,
               absl::StrCat("cannot rename ", from, " to ", to, ": ", std::strerror(errno)));
}

// A disk on top of a layer; whole or not there.
absl::Status MakeDiskOn(const std::string& layer, const std::string& disk,
                        const std::string& folder) {
  if (Exists(disk)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const int64_t bytes, DiskSize(layer));
  const std::string temporary = disk + ".tmp";
  unlink(temporary.c_str());
  RETURN_IF_ERROR(MakeOverlay(layer, ImageFormat::kQcow2, bytes, temporary));
  RETURN_IF_ERROR(Move(temporary, disk));
  return SyncDirectory(folder);
}

}  // namespace

Schema DiskLayers::GetSchema() {
  return {"layers",
          {"CREATE TABLE layers (id TEXT PRIMARY KEY, below TEXT NOT NULL) STRICT;"
           "CREATE TABLE disks_on_layers (vm TEXT PRIMARY KEY, layer TEXT NOT NULL) STRICT;"}};
}

absl::StatusOr<std::string> DiskLayers::LayerOf(const std::string& vm_id) {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                   database_.Query("SELECT layer FROM disks_on_layers WHERE vm = ?1", {vm_id}));
  return rows.empty() ? std::string() : rows.front().Text(0);
}

absl::Status DiskLayers::SetLayer(const std::string& vm_id, const std::string& layer) {
  return database_.Execute("INSERT OR REPLACE INTO disks_on_layers (vm, layer) VALUES (?1, ?2)",
                           {vm_id, layer});
}

absl::Status DiskLayers::Split(const std::string& vm_id, const std::string& layer) {
  // Recorded before any file moves: what is on disk is found again.
  RETURN_IF_ERROR(database_.Transact([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const std::string below, LayerOf(vm_id));
    if (below == layer) return absl::OkStatus();
    RETURN_IF_ERROR(
        database_.Execute("INSERT INTO layers (id, below) VALUES (?1, ?2)", {layer, below}));
    return SetLayer(vm_id, layer);
  }));
  RETURN_IF_ERROR(MakeDirectory(files_.Layers(), 0711));
  if (!Exists(files_.Layer(layer))) {
    RETURN_IF_ERROR(Move(files_.Disk(vm_id), files_.Layer(layer)));
    RETURN_IF_ERROR(SyncDirectory(files_.Layers()));
  }
  return MakeDiskOn(files_.Layer(layer), files_.Disk(vm_id), files_.Directory(vm_id));
}

absl::Status DiskLayers::AddCopy(const std::string& copy_id, const std::string& layer) {
  RETURN_IF_ERROR(SetLayer(copy_id, layer));
  return MakeDiskOn(files_.Layer(layer), files_.Disk(copy_id), files_.Directory(copy_id));
}

absl::Status DiskLayers::Join(const std::string& vm_id, const std::string& layer) {
  ASSIGN_OR_RETURN(const std::string present, LayerOf(vm_id));
  if (present != layer) return absl::OkStatus();
  if (Exists(files_.Layer(layer))) {
    RETURN_IF_ERROR(Move(files_.Layer(layer), files_.Disk(vm_id)));
    RETURN_IF_ERROR(SyncDirectory(files_.Directory(vm_id)));
  }
  return database_.Transact([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                     database_.Query("SELECT below FROM layers WHERE id = ?1", {layer}));
    const std::string below = rows.empty() ? "" : rows.front().Text(0);
    RETURN_IF_ERROR(database_.Execute("DELETE FROM layers WHERE id = ?1", {layer}));
    if (!below.empty()) return SetLayer(vm_id, below);
    return database_.Execute("DELETE FROM disks_on_layers WHERE vm = ?1", {vm_id});
  });
}

absl::Status DiskLayers::Release(const std::string& vm_id) {
  RETURN_IF_ERROR(database_.Execute("DELETE FROM disks_on_layers WHERE vm = ?1", {vm_id}));
  while (true) {
    // The top ones first: one that goes may have been the last on another.
    ASSIGN_OR_RETURN(const std::vector<SqlRow> unused,
                     database_.Query("SELECT id FROM layers"
                                     " WHERE id NOT IN (SELECT layer FROM disks_on_layers)"
                                     " AND id NOT IN (SELECT below FROM layers)"));
    if (unused.empty()) return absl::OkStatus();
    for (const SqlRow& row : unused) {
      RETURN_IF_ERROR(WipeFile(files_.Layer(row.Text(0))));
      RETURN_IF_ERROR(database_.Execute("DELETE FROM layers WHERE id = ?1", {row.Text(0)}));
    }
  }
}

}  // namespace virmo::vm_controller
