// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/devices/foreign_devices.h"

#include <algorithm>
#include <filesystem>

namespace virmo::vm_controller {
namespace {

// Our state directory, above the virtual machine's own: what lies in it is ours.
std::string StateDirectory(const Domain& domain) {
  return std::filesystem::path(domain.spec.disk_path)
      .parent_path()
      .parent_path()
      .parent_path()
      .string();
}

bool IsInside(const std::string& path, const std::string& directory) {
  return directory.size() > 1 && absl::StartsWith(path, directory + "/");
}

}  // namespace

bool IsForeignDevice(const LiveDevice& device, const MachineRecord& record,
                     const std::optional<Domain>& domain) {
  if (IsOurDevice(device.alias) || !domain) return false;
  if (device.element == "hostdev" || device.element == "redirdev") return true;
  if (device.element == "interface") {
    const auto& nics = record.vm.network_interfaces();
    return std::none_of(nics.begin(), nics.end(),
                        [&](const auto& nic) { return nic.mac_address() == device.mac_address; });
  }
  if (device.element == "filesystem") return true;
  if (device.element == "disk") {
    const auto& disks = record.vm.disks();
    const bool own = std::any_of(disks.begin(), disks.end(),
                                 [&](const auto& disk) { return disk.target() == device.target; });
    if (own) return false;
  }
  if (device.element == "sound" || device.source.empty()) return false;
  // The terminal of a serial port is libvirt's own.
  if (absl::StartsWith(device.source, "/dev/pts/")) return false;
  return !IsInside(device.source, StateDirectory(*domain));
}

}  // namespace virmo::vm_controller
