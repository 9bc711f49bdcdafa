// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "virmo/v1/virtual_machine_service.pb.h"

namespace virmo::vm_controller {

// Checks of requests that need nothing but the request. INVALID_ARGUMENT naming the field.
absl::Status CheckRequestId(const std::string& request_id);
absl::Status CheckDisplayName(const std::string& display_name);
absl::Status CheckDescription(const std::string& description);
absl::Status CheckUpdateMask(const v1::UpdateVirtualMachineRequest& request);
absl::Status CheckNewMachine(const v1::CreateVirtualMachineRequest& request);

}  // namespace virmo::vm_controller
