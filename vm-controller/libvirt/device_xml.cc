// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/libvirt/device_xml.h"

#include <sys/stat.h>

#include <pugixml.hpp>
#include <set>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "vm-controller/tap_name.h"

namespace virmo::vm_controller {
namespace {

using Kind = DeviceSpec::Kind;

pugi::xml_node Add(pugi::xml_node parent, const char* name) { return parent.append_child(name); }

void Set(pugi::xml_node node, const char* name, const std::string& value) {
  node.append_attribute(name).set_value(value.c_str());
}

std::string Print(const pugi::xml_node& node) {
  std::ostringstream text;
  node.print(text, "", pugi::format_raw);
  return text.str();
}

pugi::xml_node DevicesOf(pugi::xml_document& document, const std::string& xml) {
  document.load_buffer(xml.data(), xml.size());
  return document.child("domain").child("devices");
}

bool IsSpecialFile(const std::string& path, mode_t type) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && (info.st_mode & S_IFMT) == type;
}

// A disk needs a name of its own.
std::string FreeDiskName(const std::string& domain_xml, const std::string& prefix) {
  pugi::xml_document document;
  std::set<std::string> taken;
  for (const pugi::xml_node& disk : DevicesOf(document, domain_xml).children("disk")) {
    taken.insert(disk.child("target").attribute("dev").value());
  }
  for (char letter = 'a'; letter < 'z'; ++letter) {
    const std::string name = prefix + letter;
    if (taken.count(name) == 0) return name;
  }
  return prefix + "z";
}

pugi::xml_node AddDisk(pugi::xml_node parent, const DeviceSpec& spec,
                       const std::string& domain_xml) {
  const bool usb = spec.kind == Kind::kUsbDisk;
  const bool block = IsSpecialFile(spec.path, S_IFBLK);
  pugi::xml_node disk = Add(parent, "disk");
  Set(disk, "type", block ? "block" : "file");
  Set(disk, "device", "disk");
  pugi::xml_node driver = Add(disk, "driver");
  Set(driver, "name", "qemu");
  Set(driver, "type", usb ? "raw" : "qcow2");  // Never probed: a stick could claim to be anything.
  Set(Add(disk, "source"), block ? "dev" : "file", spec.path);
  pugi::xml_node target = Add(disk, "target");
  Set(target, "dev", FreeDiskName(domain_xml, usb ? "sd" : "vd"));
  Set(target, "bus", usb ? "usb" : "virtio");
  if (usb) Set(target, "removable", "on");
  if (spec.shareable) Add(disk, "shareable");
  return disk;
}

pugi::xml_node AddNic(pugi::xml_node parent, const DeviceSpec& spec) {
  pugi::xml_node nic = Add(parent, "interface");
  absl::string_view name = spec.path;
  if (absl::ConsumePrefix(&name, "bridge:")) {
    Set(nic, "type", "bridge");
    Set(Add(nic, "source"), "bridge", std::string(name));
  } else if (absl::ConsumePrefix(&name, "network:")) {
    Set(nic, "type", "network");
    Set(Add(nic, "source"), "network", std::string(name));
  } else {
    Set(nic, "type", "user");
  }
  if (spec.path != "user") Set(Add(nic, "target"), "dev", TapName(spec.mac_address));
  Set(Add(nic, "mac"), "address", spec.mac_address);
  Set(Add(nic, "model"), "type", "virtio");
  return nic;
}

pugi::xml_node AddSocketDevice(pugi::xml_node parent, const DeviceSpec& spec, const char* element) {
  pugi::xml_node device = Add(parent, element);
  const bool file = IsSpecialFile(spec.path, S_IFCHR);
  Set(device, "type", file ? "dev" : "unix");
  pugi::xml_node source = Add(device, "source");
  if (!file) Set(source, "mode", spec.kind == Kind::kListeningSerial ? "bind" : "connect");
  Set(source, "path", spec.path);
  return device;
}

pugi::xml_node AddHostUsb(pugi::xml_node parent, const DeviceSpec& spec) {
  pugi::xml_node device = Add(parent, "hostdev");
  Set(device, "mode", "subsystem");
  Set(device, "type", "usb");
  Set(device, "managed", "yes");
  pugi::xml_node address = Add(Add(device, "source"), "address");
  Set(address, "bus", absl::StrCat(spec.usb_bus));
  Set(address, "device", absl::StrCat(spec.usb_device));
  return device;
}

pugi::xml_node AddDevice(pugi::xml_node parent, const DeviceSpec& spec,
                         const std::string& domain_xml) {
  switch (spec.kind) {
    case Kind::kUsbDisk:
    case Kind::kDisk:
      return AddDisk(parent, spec, domain_xml);
    case Kind::kNic:
      return AddNic(parent, spec);
    case Kind::kUsbHost:
      return AddHostUsb(parent, spec);
    case Kind::kRedirectedUsb: {
      pugi::xml_node device = AddSocketDevice(parent, spec, "redirdev");
      Set(device, "bus", "usb");
      return device;
    }
    case Kind::kChannel: {
      pugi::xml_node device = AddSocketDevice(parent, spec, "channel");
      pugi::xml_node target = Add(device, "target");
      Set(target, "type", "virtio");
      Set(target, "name", spec.channel);
      return device;
    }
    case Kind::kSerial:
    case Kind::kListeningSerial:
      break;
  }
  pugi::xml_node device = AddSocketDevice(parent, spec, "serial");
  Set(Add(device, "target"), "type", "pci-serial");
  return device;
}

std::string SourceOf(const pugi::xml_node& device) {
  const pugi::xml_node source = device.child("source");
  for (const char* name : {"file", "dev", "path", "bridge", "network", "dir"}) {
    if (source.attribute(name)) return source.attribute(name).value();
  }
  return "";
}

}  // namespace

std::string WriteDeviceXml(const DeviceSpec& spec, const std::string& domain_xml) {
  pugi::xml_document document;
  pugi::xml_node device = AddDevice(document, spec, domain_xml);
  Set(Add(device, "alias"), "name", spec.alias);
  return Print(device);
}

std::vector<LiveDevice> ReadDevices(const std::string& domain_xml) {
  static const std::set<std::string> kElements = {"disk",     "interface", "channel", "serial",
                                                  "redirdev", "hostdev",   "sound",   "filesystem"};
  pugi::xml_document document;
  std::vector<LiveDevice> devices;
  for (const pugi::xml_node& node : DevicesOf(document, domain_xml).children()) {
    if (kElements.count(node.name()) == 0) continue;
    LiveDevice device;
    device.element = node.name();
    device.alias = node.child("alias").attribute("name").value();
    device.source = SourceOf(node);
    device.target = node.child("target").attribute("dev").value();
    if (device.element == "channel") device.target = node.child("target").attribute("name").value();
    device.mac_address = node.child("mac").attribute("address").value();
    device.cut = std::string(node.child("link").attribute("state").value()) == "down";
    devices.push_back(device);
  }
  return devices;
}

std::string InterfaceWithLink(const std::string& domain_xml, const std::string& alias, bool up) {
  pugi::xml_document document;
  for (pugi::xml_node nic : DevicesOf(document, domain_xml).children("interface")) {
    if (nic.child("alias").attribute("name").value() != alias) continue;
    nic.remove_child("link");
    Set(Add(nic, "link"), "state", up ? "up" : "down");
    return Print(nic);
  }
  return "";
}

}  // namespace virmo::vm_controller
