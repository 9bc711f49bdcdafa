// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libvirt/libvirt.h>

#include <string>
#include <vector>

#include "vm-controller/devices/device_port.h"
#include "vm-controller/libvirt/connection.h"

namespace virmo::vm_controller {

// DevicePort by libvirt, for QEMU.
class LibvirtDevices : public DevicePort {
 public:
  explicit LibvirtDevices(Connection& connection) : connection_(connection) {}

  absl::StatusOr<std::vector<LiveDevice>> ListDevices(const std::string& id) override;
  absl::Status Attach(const std::string& id, const DeviceSpec& spec) override;
  absl::StatusOr<Departure> Detach(const std::string& id, const std::string& alias) override;
  absl::Status SetLink(const std::string& id, const std::string& alias, bool up) override;

 private:
  Connection& connection_;
};

}  // namespace virmo::vm_controller
