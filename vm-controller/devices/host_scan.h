// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "virmo/config/v1/device_map.pb.h"
#include "virmo/v1/host_device_service.pb.h"
#include "vm-controller/devices/device_port.h"

namespace virmo::vm_controller {

// A device of the host, and how it is plugged in.
struct HostDeviceRecord {
  v1::HostDevice device;
  DeviceSpec spec;         // Without the alias.
  std::string generation;  // Another one after it was plugged in anew.
};

// The id of a host device: its name without `hostDevices/`.
std::string HostDeviceId(const v1::HostDevice& device);

// Looks what the host has: USB devices (hubs excepted) below `sysfs`, and the map's entries, which
// are listed also when absent. Ordered by name.
std::vector<HostDeviceRecord> ScanHost(const std::string& sysfs, const config::v1::DeviceMap& map);

}  // namespace virmo::vm_controller
