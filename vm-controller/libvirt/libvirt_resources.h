// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "vm-controller/libvirt/connection.h"
#include "vm-controller/resources/resource_port.h"

namespace virmo::vm_controller {

// ResourcePort by libvirt, for QEMU: balloon, CPU hot plug, control groups, QEMU's own throttle of
// block devices.
class LibvirtResources : public ResourcePort {
 public:
  explicit LibvirtResources(Connection& connection) : connection_(connection) {}

  absl::StatusOr<LiveResources> GetResources(const std::string& id) override;
  absl::Status SetMemory(const std::string& id, int64_t mib) override;
  absl::Status SetCpuCount(const std::string& id, int count) override;
  absl::Status SetCpuShare(const std::string& id, int64_t weight, int64_t limit) override;
  absl::Status SetBlockRates(const std::string& id, const v1::BlockRates& rates) override;

 private:
  Connection& connection_;
};

}  // namespace virmo::vm_controller
