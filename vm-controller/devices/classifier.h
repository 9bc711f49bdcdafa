// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "virmo/v1/host_device_service.pb.h"

namespace virmo::vm_controller {

// A USB hub: never given to a virtual machine, since all that is behind it would go with it.
bool IsHub(const v1::HostDevice& device);

// The classes of a USB device, by all its interfaces (USB-IF's class codes) and, where the code
// says nothing, by the few makers whose devices are all of one kind. What is unknown is OTHER_USB:
// never nothing, so that nothing is given by accident.
std::vector<v1::PeripheralClass> ClassifyUsb(const v1::HostDevice& device);

}  // namespace virmo::vm_controller
