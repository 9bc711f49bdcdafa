// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "vm-controller/devices/device_port.h"

namespace virmo::vm_controller {

// The XML of a device to attach to the live domain of `domain_xml`, whose taken names it avoids.
std::string WriteDeviceXml(const DeviceSpec& spec, const std::string& domain_xml);

// The devices of a live domain that lead somewhere.
std::vector<LiveDevice> ReadDevices(const std::string& domain_xml);

// The XML of the interface with this alias, with its link set; empty if there is none.
std::string InterfaceWithLink(const std::string& domain_xml, const std::string& alias, bool up);

}  // namespace virmo::vm_controller
