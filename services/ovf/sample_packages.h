// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace virmo::ovf {

// Packages for tests, written as the tools write them that they are named after.

// One machine as ESX and vCenter export it: firmware, vendor parts, an empty CD, a slot for VMCI.
std::string VmwareDescriptor();

// One machine as VirtualBox exports it: sound of type 35, its own settings, an ISO as a disk.
std::string VirtualBoxDescriptor();

// Deployment options, properties, licence in two languages, bounds, OVF 2.
std::string ConfigurableDescriptor();

// Two machines with a start order.
std::string CollectionDescriptor();

// The smallest sound descriptor, with `sections` before the content, `parts` in the system and
// `items` in the hardware.
std::string SmallDescriptor(const std::string& items, const std::string& sections = "",
                            const std::string& parts = "");

// A RASD item of these element names and values.
std::string Item(const std::vector<std::pair<std::string, std::string>>& elements,
                 const std::string& attributes = "");

// The header of a sparse VMDK of 1 MiB with this text as its descriptor.
std::string VmdkImage(const std::string& descriptor, int64_t sectors = 2048);
std::string StreamVmdkDescriptor();

// A tar archive of these members, in this order.
std::string TarOf(const std::vector<std::pair<std::string, std::string>>& members);

}  // namespace virmo::ovf
