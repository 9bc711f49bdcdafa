// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "virmo/v1/policy.pb.h"

namespace virmo {

// The name of a class in reports, `usb_storage`, and the item of a report about it,
// `peripherals.usb_storage`.
std::string PeripheralClassId(v1::PeripheralClass peripheral_class);
std::string PeripheralItem(v1::PeripheralClass peripheral_class);

// The name of a class in OMA DM's tree, `USBStorage`; and back, UNSPECIFIED if it is none.
std::string PeripheralNodeName(v1::PeripheralClass peripheral_class);
v1::PeripheralClass PeripheralClassOfNode(const std::string& node_name);

}  // namespace virmo
