// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "vm-controller/hypervisor.h"

namespace virmo::vm_controller {

// What a domain's XML takes from the host instead of from us.
struct Platform {
  std::string domain_type;   // `kvm`, `qemu`, `test`.
  std::string architecture;  // `x86_64`.
  std::string machine;       // `q35`; empty: the hypervisor's default.
  std::string emulator;      // Empty: the hypervisor's default.
  bool uefi = false;         // By default.
  bool has_uefi = false;     // Whether it is there at all.
  bool has_secure_boot = false;
  bool has_tpm = false;
};

// The name of the domain of a virtual machine, `virmo-{uuid}`.
std::string DomainName(const std::string& id);

// The libvirt XML of a domain, with our owner mark. Everything is escaped.
std::string WriteDomainXml(const DomainSpec& spec, const Platform& platform);

// What WriteDomainXml wrote, as libvirt gives it back: `spec` and `ours`. INTERNAL if it is not
// XML of a domain.
absl::StatusOr<Domain> ReadDomainXml(const std::string& xml);

// The XML of each live interface, with its link set up or down, for an update of the device.
std::vector<std::string> InterfacesWithLink(const std::string& xml, bool up);

// The XML of the guest agent's channel in a live domain; empty if it has none.
std::string AgentChannel(const std::string& xml);

// The XML of a guest agent's channel to attach to the domain of this XML.
std::string NewAgentChannel(const std::string& xml);

}  // namespace virmo::vm_controller
