// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/libvirt/domain_xml.h"

#include <algorithm>
#include <pugixml.hpp>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/runtime/error.h"
#include "vm-controller/devices/device_port.h"
#include "vm-controller/tap_name.h"

namespace virmo::vm_controller {
namespace {

constexpr char kOwnerNamespace[] = "urn:virmo:owner:1";
constexpr char kAgentName[] = "org.qemu.guest_agent.0";

// Free slots for what is plugged in later; each such device takes one.
constexpr int kSparePciePorts = 10;

pugi::xml_node Add(pugi::xml_node parent, const char* name) { return parent.append_child(name); }

void AddText(pugi::xml_node parent, const char* name, const std::string& text) {
  Add(parent, name).text().set(text.c_str());
}

void Set(pugi::xml_node node, const char* name, const std::string& value) {
  node.append_attribute(name).set_value(value.c_str());
}

std::string Print(const pugi::xml_node& node) {
  std::ostringstream text;
  node.print(text, "", pugi::format_raw);
  return text.str();
}

void AddSize(pugi::xml_node domain, const char* name, int64_t mib) {
  pugi::xml_node size = Add(domain, name);
  Set(size, "unit", "MiB");
  size.text().set(std::to_string(mib).c_str());
}

void AddMetadata(pugi::xml_node domain, const DomainSpec& spec) {
  pugi::xml_node owner = Add(Add(domain, "metadata"), "virmo:owner");
  Set(owner, "xmlns:virmo", kOwnerNamespace);
  Set(owner, "controller", "vm-controller");
  Set(owner, "image", spec.image_digest);
}

// libvirt finds the firmware that is installed, and keeps its variables for each domain.
void AddUefi(pugi::xml_node os, bool secure) {
  Set(os, "firmware", "efi");
  pugi::xml_node firmware = Add(os, "firmware");
  for (const char* name : {"enrolled-keys", "secure-boot"}) {
    pugi::xml_node feature = Add(firmware, "feature");
    Set(feature, "enabled", secure ? "yes" : "no");
    Set(feature, "name", name);
  }
}

void AddPlatform(pugi::xml_node domain, const DomainSpec& spec, const Platform& platform) {
  using Firmware = v1::VirtualMachine::Firmware;
  pugi::xml_node os = Add(domain, "os");
  const bool secure = spec.firmware == Firmware::KIND_UEFI_SECURE;
  if (secure || spec.firmware == Firmware::KIND_UEFI) {
    AddUefi(os, secure);
  } else if (spec.firmware == Firmware::KIND_UNSPECIFIED && platform.uefi) {
    Set(os, "firmware", "efi");
  }
  pugi::xml_node type = Add(os, "type");
  if (!platform.architecture.empty()) Set(type, "arch", platform.architecture);
  if (!platform.machine.empty()) Set(type, "machine", platform.machine);
  type.text().set("hvm");
  pugi::xml_node features = Add(domain, "features");
  Add(features, "acpi");
  // Secure Boot's variables are out of the guest's reach in this mode alone.
  if (secure) Set(Add(features, "smm"), "state", "on");
  if (platform.domain_type == "kvm") {
    pugi::xml_node cpu = Add(domain, "cpu");
    Set(cpu, "mode", "host-passthrough");
  }
  AddText(domain, "on_poweroff", "destroy");
  AddText(domain, "on_reboot", "restart");
  AddText(domain, "on_crash", "destroy");
}

void AddDrive(pugi::xml_node devices, const Drive& drive) {
  pugi::xml_node disk = Add(devices, "disk");
  Set(disk, "type", "file");
  Set(disk, "device", drive.is_cd ? "cdrom" : "disk");
  pugi::xml_node driver = Add(disk, "driver");
  Set(driver, "name", "qemu");
  Set(driver, "type", drive.is_cd ? "raw" : "qcow2");
  if (!drive.is_cd) Set(driver, "discard", "unmap");
  Set(Add(disk, "source"), "file", drive.path);
  pugi::xml_node target = Add(disk, "target");
  Set(target, "dev", drive.target);
  Set(target, "bus", drive.is_cd ? "sata" : "virtio");
  if (drive.is_cd) Add(disk, "readonly");
}

void AddInterface(pugi::xml_node devices, const NetworkInterface& nic) {
  pugi::xml_node interface = Add(devices, "interface");
  absl::string_view name = nic.source;
  if (absl::ConsumePrefix(&name, "bridge:")) {
    Set(interface, "type", "bridge");
    Set(Add(interface, "source"), "bridge", std::string(name));
  } else if (absl::ConsumePrefix(&name, "network:")) {
    Set(interface, "type", "network");
    Set(Add(interface, "source"), "network", std::string(name));
  } else {
    Set(interface, "type", "user");
  }
  if (nic.source != "user" && !nic.source.empty()) {
    Set(Add(interface, "target"), "dev", TapName(nic.mac_address));
  }
  Set(Add(interface, "mac"), "address", nic.mac_address);
  Set(Add(interface, "model"), "type", nic.model.empty() ? "virtio" : nic.model);
  Set(Add(interface, "link"), "state", nic.link_up ? "up" : "down");
}

void AddConsole(pugi::xml_node devices, const std::string& socket) {
  pugi::xml_node serial = Add(devices, "serial");
  Set(serial, "type", "unix");
  pugi::xml_node source = Add(serial, "source");
  Set(source, "mode", "bind");
  Set(source, "path", socket);
  Set(Add(serial, "target"), "port", "0");
}

// Beside the console's: the path that libvirt would choose is too long for a socket below most
// state directories.
std::string AgentSocket(const std::string& console_socket) {
  return console_socket.substr(0, console_socket.rfind('/') + 1) + "agent";
}

void AddAgentChannel(pugi::xml_node devices, const std::string& console_socket) {
  pugi::xml_node channel = Add(devices, "channel");
  Set(channel, "type", "unix");
  pugi::xml_node source = Add(channel, "source");
  Set(source, "mode", "bind");
  Set(source, "path", AgentSocket(console_socket));
  pugi::xml_node target = Add(channel, "target");
  Set(target, "type", "virtio");
  Set(target, "name", kAgentName);
}

// What peripherals are plugged into while it runs: USB, and PCI for serial ports.
void AddPeripheralBuses(pugi::xml_node devices) {
  pugi::xml_node bridge = Add(devices, "controller");
  Set(bridge, "type", "pci");
  Set(bridge, "model", "pcie-to-pci-bridge");
  pugi::xml_node usb = Add(devices, "controller");
  Set(usb, "type", "usb");
  Set(usb, "model", "qemu-xhci");
  Set(usb, "ports", "15");
}

void AddDevices(pugi::xml_node domain, const DomainSpec& spec, const Platform& platform) {
  pugi::xml_node devices = Add(domain, "devices");
  if (!platform.emulator.empty()) AddText(devices, "emulator", platform.emulator);
  AddDrive(devices, {spec.disk_path, "vda", false});
  for (const Drive& drive : spec.drives) AddDrive(devices, drive);
  for (const NetworkInterface& nic : spec.interfaces) AddInterface(devices, nic);
  AddConsole(devices, spec.console_socket);
  AddAgentChannel(devices, spec.console_socket);
  if (absl::StrContains(platform.machine, "q35") || absl::StrContains(platform.machine, "virt")) {
    pugi::xml_node root = Add(devices, "controller");
    Set(root, "type", "pci");
    Set(root, "model", "pcie-root");
    for (int i = 0; i < kSparePciePorts; ++i) {
      pugi::xml_node port = Add(devices, "controller");
      Set(port, "type", "pci");
      Set(port, "model", "pcie-root-port");
    }
    AddPeripheralBuses(devices);
  }
  if (spec.tpm) {
    pugi::xml_node tpm = Add(devices, "tpm");
    Set(tpm, "model", "tpm-crb");
    pugi::xml_node emulator = Add(tpm, "backend");
    Set(emulator, "type", "emulator");
    Set(emulator, "version", "2.0");
  }
  Set(Add(devices, "memballoon"), "model", "virtio");
  pugi::xml_node rng = Add(devices, "rng");
  Set(rng, "model", "virtio");
  pugi::xml_node backend = Add(rng, "backend");
  Set(backend, "model", "random");
  backend.text().set("/dev/urandom");
}

std::string SourceOf(const pugi::xml_node& interface) {
  const std::string type = interface.attribute("type").value();
  if (type != "bridge" && type != "network") return type;
  return absl::StrCat(type, ":", interface.child("source").attribute(type.c_str()).value());
}

NetworkInterface ReadInterface(const pugi::xml_node& node) {
  NetworkInterface nic;
  nic.mac_address = node.child("mac").attribute("address").value();
  nic.source = SourceOf(node);
  nic.model = node.child("model").attribute("type").value();
  nic.link_up = std::string(node.child("link").attribute("state").value()) != "down";
  return nic;
}

// A peripheral, that is no part of what it was made with.
bool IsPluggedIn(const pugi::xml_node& device) {
  return IsOurDevice(device.child("alias").attribute("name").value());
}

// libvirt writes `virmo:owner` back under the prefix it was given.
pugi::xml_node OwnerMark(const pugi::xml_node& domain) {
  for (const pugi::xml_node& node : domain.child("metadata").children()) {
    for (const pugi::xml_attribute& attribute : node.attributes()) {
      if (absl::StartsWith(attribute.name(), "xmlns") &&
          std::string(attribute.value()) == kOwnerNamespace) {
        return node;
      }
    }
  }
  return {};
}

pugi::xml_node FindAgentChannel(const pugi::xml_document& document) {
  for (const pugi::xml_node& channel :
       document.child("domain").child("devices").children("channel")) {
    if (std::string(channel.child("target").attribute("name").value()) == kAgentName) {
      return channel;
    }
  }
  return {};
}

int64_t MemoryMib(const pugi::xml_node& node) {
  return node.text().as_llong() / 1024;  // libvirt always answers in KiB.
}

}  // namespace

std::string DomainName(const std::string& id) { return absl::StrCat("virmo-", id); }

std::string WriteDomainXml(const DomainSpec& spec, const Platform& platform) {
  pugi::xml_document document;
  pugi::xml_node domain = document.append_child("domain");
  Set(domain, "type", platform.domain_type);
  AddText(domain, "name", DomainName(spec.id));
  AddText(domain, "uuid", spec.id);
  AddText(domain, "title", spec.title);
  AddMetadata(domain, spec);
  AddSize(domain, "memory", std::max(spec.memory_mib, spec.memory_max_mib));
  AddSize(domain, "currentMemory", spec.memory_mib);
  pugi::xml_node vcpu = Add(domain, "vcpu");
  Set(vcpu, "current", absl::StrCat(spec.cpu_count));
  vcpu.text().set(std::max(spec.cpu_count, spec.cpu_max));
  AddPlatform(domain, spec, platform);
  AddDevices(domain, spec, platform);
  return Print(domain);
}

absl::StatusOr<Domain> ReadDomainXml(const std::string& xml) {
  pugi::xml_document document;
  const pugi::xml_parse_result parsed = document.load_buffer(xml.data(), xml.size());
  const pugi::xml_node node = document.child("domain");
  if (!parsed || !node) {
    return Error(v1::ErrorInfo::REASON_INTERNAL,
                 absl::StrCat("cannot read a domain's XML: ", parsed.description()));
  }
  const pugi::xml_node devices = node.child("devices");
  const pugi::xml_node owner = OwnerMark(node);
  Domain domain;
  domain.ours = owner;
  domain.spec.id = node.child_value("uuid");
  domain.spec.title = node.child_value("title");
  domain.spec.image_digest = owner.attribute("image").value();
  domain.spec.memory_mib = MemoryMib(node.child("memory"));
  domain.memory_mib = MemoryMib(node.child("currentMemory"));
  const pugi::xml_node vcpu = node.child("vcpu");
  domain.spec.cpu_max = vcpu.text().as_int(1);
  domain.spec.cpu_count = vcpu.attribute("current").as_int(domain.spec.cpu_max);
  const pugi::xml_node disk = devices.find_child([](const pugi::xml_node& child) {
    return std::string(child.name()) == "disk" && !IsPluggedIn(child);
  });
  domain.spec.disk_path = disk.child("source").attribute("file").value();
  domain.spec.console_socket = devices.child("serial").child("source").attribute("path").value();
  for (const pugi::xml_node& nic : devices.children("interface")) {
    if (IsPluggedIn(nic)) continue;
    domain.spec.interfaces.push_back(ReadInterface(nic));
  }
  return domain;
}

std::vector<std::string> InterfacesWithLink(const std::string& xml, bool up) {
  pugi::xml_document document;
  document.load_buffer(xml.data(), xml.size());
  std::vector<std::string> interfaces;
  for (pugi::xml_node nic : document.child("domain").child("devices").children("interface")) {
    // The link of one that was plugged in is its policy's to open.
    if (ReadInterface(nic).link_up == up || (up && IsPluggedIn(nic))) continue;
    nic.remove_child("link");
    Set(Add(nic, "link"), "state", up ? "up" : "down");
    interfaces.push_back(Print(nic));
  }
  return interfaces;
}

std::string AgentChannel(const std::string& xml) {
  pugi::xml_document document;
  document.load_buffer(xml.data(), xml.size());
  const pugi::xml_node channel = FindAgentChannel(document);
  return channel ? Print(channel) : "";
}

std::string NewAgentChannel(const std::string& xml) {
  pugi::xml_document domain;
  domain.load_buffer(xml.data(), xml.size());
  const pugi::xml_node serial = domain.child("domain").child("devices").child("serial");
  pugi::xml_document document;
  AddAgentChannel(document, serial.child("source").attribute("path").value());
  return Print(document.first_child());
}

}  // namespace virmo::vm_controller
