// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "services/ovf/descriptor.h"

namespace virmo::vm_controller {

// An OVF package as we keep it: a folder with `descriptor.ovf`, and of each file that it refers to
// `disk-{n}.qcow2`, which disks may lie on, or `file-{n}` as it is; n is its place in References.

struct UnpackJob {
  std::string source;   // An archive, or a descriptor beside its files.
  std::string folder;   // To be made. Its file system takes what is made on the way, too.
  std::string anchors;  // PEM certificates that its signature must lead to; empty: not demanded.
  bool demand_manifest = false;  // Whether a manifest has to cover every file.
  std::function<absl::Status(int64_t bytes)> check_room;
  std::function<bool()> is_cancelled;
};

// Checks the whole package, converts its disks (`qemu-img` as nobody, limited) and makes the folder
// at once, so that it is there whole or not at all; whatever failed before is removed. Returns the
// virtual size of its disks, in bytes. PACKAGE_INVALID, UNSUPPORTED_ENVIRONMENT, CANCELLED,
// DOWNLOAD_STORAGE_FULL.
absl::StatusOr<int64_t> UnpackPackage(const UnpackJob& job);

// The descriptor of a kept package, read for these inputs.
absl::StatusOr<ovf::Descriptor> ReadKeptDescriptor(
    const std::string& folder, const std::string& deployment_option,
    const std::map<std::string, std::string>& properties);

// Where a referenced file lies: a qcow2 image, or the file as it is. `id` is in the descriptor.
std::string KeptDisk(const std::string& folder, const ovf::Descriptor& descriptor,
                     const std::string& id);
std::string KeptFile(const std::string& folder, const ovf::Descriptor& descriptor,
                     const std::string& id);

}  // namespace virmo::vm_controller
