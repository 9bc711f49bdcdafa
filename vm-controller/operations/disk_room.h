// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/statvfs.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "vm-controller/operation_plan.h"

namespace virmo::vm_controller {

// RESOURCE_EXHAUSTED (INSUFFICIENT_RESOURCES) if a new disk of `bytes` would not leave the reserve
// free.
inline absl::Status CheckDiskRoom(const Workshop& shop, int64_t bytes) {
  struct statvfs info;
  if (statvfs(shop.files.Root().c_str(), &info) != 0) return absl::OkStatus();
  const int64_t free_mib =
      static_cast<int64_t>(info.f_bavail) * static_cast<int64_t>(info.f_frsize) / (1 << 20);
  const int64_t needed_mib = bytes / (1 << 20) + shop.config.storage_reserve_mib();
  if (free_mib >= needed_mib) return absl::OkStatus();
  return Error(v1::ErrorInfo::REASON_INSUFFICIENT_RESOURCES,
               absl::StrCat("no room for the disk: ", free_mib, " MiB are free, ", needed_mib,
                            " MiB are needed"),
               {{"resource", "storage"},
                {"free_mib", absl::StrCat(free_mib)},
                {"needed_mib", absl::StrCat(needed_mib)}});
}

}  // namespace virmo::vm_controller
