// SPDX-License-Identifier: Apache-2.0
// The part of LibvirtHypervisor that saves the state of a domain on disk, and drops it.
#include <sys/statvfs.h>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"
#include "vm-controller/libvirt/handles.h"
#include "vm-controller/libvirt/job_watcher.h"
#include "vm-controller/libvirt/libvirt_error.h"
#include "vm-controller/libvirt/libvirt_hypervisor.h"
#include "vm-controller/libvirt/parking.h"
#include "vm-controller/wipe_file.h"

namespace virmo::vm_controller {

absl::Status LibvirtHypervisor::CheckSaveRoom(const std::string& id) {
  struct statvfs info;
  if (options_.save_directory.empty()) return absl::OkStatus();
  if (statvfs(options_.save_directory.c_str(), &info) != 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const Domain domain, Get(id));
  const int64_t free_mib =
      static_cast<int64_t>(info.f_bavail) * static_cast<int64_t>(info.f_frsize) / (1 << 20);
  const int64_t needed_mib = domain.memory_mib + options_.storage_reserve_mib;
  if (free_mib >= needed_mib) return absl::OkStatus();
  return Error(v1::ErrorInfo::REASON_INSUFFICIENT_RESOURCES,
               absl::StrCat("cannot save the memory: ", free_mib, " MiB are free in ",
                            options_.save_directory, ", ", needed_mib, " MiB are needed"),
               {{"resource", "storage"},
                {"free_mib", absl::StrCat(free_mib)},
                {"needed_mib", absl::StrCat(needed_mib)}});
}

absl::Status LibvirtHypervisor::Save(const std::string& id, const ActWatch& watch) {
  RETURN_IF_ERROR(CheckSaveRoom(id));
  bool cancelled = false;
  absl::Status parked;
  const auto is_saved = [](DomainState state) { return state == DomainState::kSaved; };
  const absl::Status status = Act("save", id, is_saved, [&](virDomainPtr domain) {
    if (!IsTestDriver(domain)) parked = ParkDevices(domain);
    if (!parked.ok()) return -1;
    JobWatcher watcher(domain, watch);
    const int result = virDomainManagedSave(domain, 0);
    cancelled = watcher.cancelled();
    if (result != 0 && !IsTestDriver(domain)) ReturnDevices(domain);
    return result;
  });
  if (status.ok()) return status;
  if (!parked.ok()) return parked;
  if (cancelled) return Error(v1::ErrorInfo::REASON_CANCELLED, "cancelled while it was saved");
  return status;
}

// A file that was saved in clear holds the guest's memory: it is overwritten before it goes.
int LibvirtHypervisor::DropSavedState(virDomainPtr domain) {
  if (virDomainHasManagedSaveImage(domain, 0) != 1) return 0;
  if (!options_.save_directory.empty()) {
    const absl::Status emptied =
        EmptyFile(absl::StrCat(options_.save_directory, "/", virDomainGetName(domain), ".save"));
    if (!emptied.ok()) spdlog::warn("could not wipe a saved state cause=\"{}\"", emptied.message());
  }
  return virDomainManagedSaveRemove(domain, 0);
}

}  // namespace virmo::vm_controller
