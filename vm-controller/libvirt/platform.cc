// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/libvirt/platform.h"

#include <pugixml.hpp>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "vm-controller/libvirt/libvirt_error.h"

namespace virmo::vm_controller {
namespace {

std::string TakeText(char* text) {
  std::string copy = text == nullptr ? "" : text;
  free(text);
  return copy;
}

pugi::xml_node GuestOf(const pugi::xml_node& capabilities, const std::string& architecture) {
  for (const pugi::xml_node& guest : capabilities.children("guest")) {
    const pugi::xml_node arch = guest.child("arch");
    if (std::string(guest.child_value("os_type")) == "hvm" &&
        arch.attribute("name").value() == architecture) {
      return arch;
    }
  }
  return {};
}

// PCI Express boards, which every device of ours wants; else what the hypervisor thinks best.
std::string MachineOf(const pugi::xml_node& arch) {
  for (const char* wanted : {"q35", "virt"}) {
    for (const pugi::xml_node& machine : arch.children("machine")) {
      if (std::string(machine.child_value()) == wanted) return wanted;
    }
  }
  return "";
}

std::string DomainTypeOf(const pugi::xml_node& arch) {
  std::string type;
  for (const pugi::xml_node& domain : arch.children("domain")) {
    const std::string name = domain.attribute("type").value();
    if (name == "kvm") return name;
    if (type.empty()) type = name;
  }
  return type;
}

void AddSupport(v1::Host& host, const char* operation, bool supported, const char* reason = "") {
  v1::OperationSupport* support = host.add_operations();
  support->set_operation(operation);
  support->set_supported(supported);
  if (!supported) support->set_reason(reason);
}

void AddOperations(v1::Host& host, bool is_test) {
  for (const char* operation : {"Provision", "Delete", "Clone", "Start", "Stop", "Suspend",
                                "Resume", "Pause", "Unpause", "Lock", "Unlock", "UserUnlock"}) {
    AddSupport(host, operation, true);
  }
  AddSupport(host, "Console", !is_test, "the test driver has no guests");
  for (const char* operation : {"Firmware", "RAMBalloon", "CPUHotplug", "NetQoS", "Transfer"}) {
    AddSupport(host, operation, false, "not built into this controller");
  }
}

std::string VersionText(unsigned long version) {
  return absl::StrCat(version / 1000000, ".", version / 1000 % 1000, ".", version % 1000);
}

}  // namespace

absl::StatusOr<Platform> ReadPlatform(virConnectPtr connect) {
  char* text = virConnectGetCapabilities(connect);
  if (text == nullptr) return LibvirtError("ask the hypervisor for its capabilities");
  pugi::xml_document document;
  document.load_string(TakeText(text).c_str());
  const pugi::xml_node capabilities = document.child("capabilities");
  Platform platform;
  platform.architecture = capabilities.child("host").child("cpu").child_value("arch");
  const pugi::xml_node arch = GuestOf(capabilities, platform.architecture);
  if (!arch) {
    return Error(v1::ErrorInfo::REASON_NOT_SUPPORTED,
                 absl::StrCat("the hypervisor runs no guests of the host's architecture, ",
                              platform.architecture));
  }
  platform.machine = MachineOf(arch);
  platform.emulator = arch.child_value("emulator");
  platform.domain_type = DomainTypeOf(arch);
  if (platform.domain_type == "test") platform.emulator.clear();
  return platform;
}

absl::StatusOr<v1::Host> DescribeHost(virConnectPtr connect, const Platform& platform) {
  virNodeInfo node;
  unsigned long version = 0;
  if (virNodeGetInfo(connect, &node) != 0) return LibvirtError("ask for the host's size");
  virConnectGetVersion(connect, &version);
  const bool is_test = platform.domain_type == "test";
  v1::Host host;
  host.set_hypervisor_type(v1::Host::HYPERVISOR_TYPE_TYPE_2);
  host.set_hypervisor_name(virConnectGetType(connect));
  host.set_hypervisor_version(VersionText(version));
  host.set_architecture(platform.architecture);
  host.set_memory_total_mib(static_cast<int64_t>(node.memory) / 1024);
  host.set_processor_total(static_cast<int64_t>(node.cpus) * 100);
  host.set_accelerator(platform.domain_type == "qemu" ? "tcg" : platform.domain_type);
  host.set_reachable(true);
  AddOperations(host, is_test);
  return host;
}

}  // namespace virmo::vm_controller
