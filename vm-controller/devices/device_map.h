// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "virmo/config/v1/device_map.pb.h"
#include "virmo/v1/host_device_service.pb.h"

namespace virmo::vm_controller {

// Reads the integrator's map from a file in text format. INVALID_ARGUMENT naming file, entry and
// what is wrong with it. An empty path: an empty map.
absl::StatusOr<config::v1::DeviceMap> ReadDeviceMap(const std::string& path);

// INVALID_ARGUMENT for the first entry that makes no sense.
absl::Status CheckDeviceMap(const config::v1::DeviceMap& map);

// Whether `pattern`, `vendor:product[:serial]`, names this device.
bool NamesDevice(const std::string& pattern, const v1::HostDevice& device);

}  // namespace virmo::vm_controller
