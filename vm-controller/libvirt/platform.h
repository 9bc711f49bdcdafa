// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libvirt/libvirt.h>

#include "absl/status/statusor.h"
#include "virmo/v1/virtual_machine.pb.h"
#include "vm-controller/libvirt/domain_xml.h"

namespace virmo::vm_controller {

// What the hypervisor can run on this host, from libvirt's capabilities: the host's own
// architecture, its best machine type, and `kvm` as type if the driver offers it (whether it
// works is another question).
absl::StatusOr<Platform> ReadPlatform(virConnectPtr connect);

// Host and hypervisor, with what this controller can do on them.
absl::StatusOr<v1::Host> DescribeHost(virConnectPtr connect, const Platform& platform);

}  // namespace virmo::vm_controller
