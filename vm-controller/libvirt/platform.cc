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

std::string HostArchitecture(virConnectPtr connect) {
  virNodeInfo node;
  return virNodeGetInfo(connect, &node) == 0 ? node.model : "";
}

// The capabilities of the driver's own choice of emulator, with the best machine type: a PCI
// Express board, which every device of ours wants, else what the hypervisor thinks best. (Not
// virConnectGetCapabilities: it tries every emulator that is installed, for seconds each.)
std::string DomainCapabilities(virConnectPtr connect, const std::string& architecture) {
  for (const char* machine : {"q35", "virt", static_cast<const char*>(nullptr)}) {
    char* text = virConnectGetDomainCapabilities(connect, nullptr, architecture.c_str(), machine,
                                                 nullptr, 0);
    if (text != nullptr) return TakeText(text);
  }
  return "";
}

// Of the test driver, which has no domain capabilities.
absl::StatusOr<Platform> ReadCapabilities(virConnectPtr connect) {
  char* text = virConnectGetCapabilities(connect);
  if (text == nullptr) return LibvirtError("ask the hypervisor for its capabilities");
  pugi::xml_document document;
  document.load_string(TakeText(text).c_str());
  Platform platform;
  for (const pugi::xml_node& guest : document.child("capabilities").children("guest")) {
    if (std::string(guest.child_value("os_type")) != "hvm") continue;
    platform.architecture = guest.child("arch").attribute("name").value();
    platform.domain_type = guest.child("arch").child("domain").attribute("type").value();
    return platform;
  }
  return Error(v1::ErrorInfo::REASON_NOT_SUPPORTED, "the hypervisor runs no full guests");
}

// Whether an `<enum name='…'>` of the capabilities has this value.
bool Offers(const pugi::xml_node& part, const char* name, const char* value) {
  for (const pugi::xml_node& choice :
       part.find_child_by_attribute("enum", "name", name).children("value")) {
    if (std::string(choice.child_value()) == value) return true;
  }
  return false;
}

void AddSupport(v1::Host& host, const char* operation, bool supported, const char* reason = "") {
  v1::OperationSupport* support = host.add_operations();
  support->set_operation(operation);
  support->set_supported(supported);
  if (!supported) support->set_reason(reason);
}

void AddFirmware(v1::Host& host, const Platform& platform) {
  AddSupport(host, "UEFI", platform.has_uefi, "no UEFI firmware is installed on the host");
  AddSupport(host, "SecureBoot", platform.has_secure_boot,
             "no UEFI firmware with Secure Boot is installed on the host");
  AddSupport(host, "TPM", platform.has_tpm, "swtpm is not installed on the host");
  for (const char* operation : {"DirectKernel", "Encrypted"}) {
    AddSupport(host, operation, false, "not built into this controller");
  }
}

void AddOperations(v1::Host& host, bool is_test) {
  for (const char* operation : {"Provision", "Delete", "Clone", "Start", "Stop", "Suspend",
                                "Resume", "Pause", "Unpause", "Lock", "Unlock", "UserUnlock"}) {
    AddSupport(host, operation, true);
  }
  for (const char* operation : {"Snapshot", "Revert", "LinkedClone"}) {
    AddSupport(host, operation, true);
  }
  AddSupport(host, "LiveClone", !is_test, "the test driver has no disks");
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
  if (std::string(virConnectGetType(connect)) == "TEST") return ReadCapabilities(connect);
  const std::string architecture = HostArchitecture(connect);
  const std::string text = DomainCapabilities(connect, architecture);
  if (text.empty()) return LibvirtError("ask the hypervisor what it runs");
  pugi::xml_document document;
  document.load_string(text.c_str());
  const pugi::xml_node capabilities = document.child("domainCapabilities");
  Platform platform;
  platform.architecture = architecture;
  platform.machine = capabilities.child_value("machine");
  platform.emulator = capabilities.child_value("path");
  platform.domain_type = capabilities.child_value("domain");
  const pugi::xml_node os = capabilities.child("os");
  platform.has_uefi = Offers(os, "firmware", "efi");
  platform.has_secure_boot = platform.has_uefi && Offers(os.child("loader"), "secure", "yes");
  const pugi::xml_node tpm = capabilities.child("devices").child("tpm");
  platform.has_tpm = std::string(tpm.attribute("supported").value()) == "yes" &&
                     Offers(tpm, "backendModel", "emulator");
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
  AddFirmware(host, platform);
  return host;
}

}  // namespace virmo::vm_controller
