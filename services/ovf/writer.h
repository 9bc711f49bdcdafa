// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "services/ovf/descriptor.h"

namespace virmo::ovf {

// Writes a descriptor of one virtual system as OVF 1.1, the version that every other tool reads
// (virt-v2v, Proxmox and VirtualBox know the namespace of OVF 1 only). It is valid by the schema
// of DSP8023 1.1 but for parts of vendors, which are written back as they came. Reading it again
// gives what was written: processors, memory, disks, networks, firmware, products, licences.
std::string WriteDescriptor(const Descriptor& descriptor);

struct FileDigest {
  std::string name;
  std::string sha256;
};

// The manifest of these files.
std::string WriteManifest(const std::vector<FileDigest>& files);

}  // namespace virmo::ovf
