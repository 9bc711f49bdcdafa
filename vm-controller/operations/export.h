// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "virmo/config/v1/vm_controller_config.pb.h"
#include "virmo/v1/package_service.pb.h"
#include "vm-controller/operations/launch.h"

namespace virmo::vm_controller {

// Where exports are written.
std::string ExportDirectory(const config::v1::VmControllerConfig& config);

// The name of an export's file: as asked, else made of the virtual machine's name and id.
std::string ExportName(const v1::ExportVirtualMachineRequest& request,
                       const v1::VirtualMachine& vm);

}  // namespace virmo::vm_controller
