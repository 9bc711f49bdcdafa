// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/libvirt/parking.h"

#include <algorithm>
#include <pugixml.hpp>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/runtime/error.h"
#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"
#include "vm-controller/libvirt/handles.h"
#include "vm-controller/libvirt/libvirt_error.h"

namespace virmo::vm_controller {
namespace {

constexpr char kUri[] = "urn:virmo:parked:1";
constexpr char kKey[] = "parked";
constexpr unsigned kBoth = VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG;

// How long a guest may take to let a device go.
constexpr absl::Duration kPatience = absl::Seconds(10);
constexpr absl::Duration kLookEvery = absl::Milliseconds(50);

std::string Print(const pugi::xml_node& node) {
  std::ostringstream text;
  node.print(text, "", pugi::format_raw);
  return text.str();
}

bool BarsSaving(const pugi::xml_node& device) {
  const std::string name = device.name();
  const auto is = [&](const char* child, const char* attribute, const char* value) {
    return std::string(device.child(child).attribute(attribute).value()) == value;
  };
  if (name == "filesystem") return is("driver", "type", "virtiofs");
  if (name == "serial") return is("target", "type", "usb-serial");
  if (name == "interface") return is("model", "type", "usb-net");
  return name == "shmem" && std::string(device.attribute("role").value()) != "master" &&
         is("model", "type", "ivshmem-plain");
}

std::string LiveXml(virDomainPtr domain) { return TakeText(virDomainGetXMLDesc(domain, 0)); }

// What was noted; empty if nothing was.
std::vector<std::string> Noted(virDomainPtr domain) {
  pugi::xml_document document;
  const std::string text =
      TakeText(virDomainGetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, kUri, 0));
  document.load_buffer(text.data(), text.size());
  std::vector<std::string> devices;
  for (const pugi::xml_node& device : document.first_child().children()) {
    devices.emplace_back(device.child_value());
  }
  return devices;
}

absl::Status Note(virDomainPtr domain, const std::vector<std::string>& devices) {
  pugi::xml_document document;
  pugi::xml_node list = document.append_child("devices");
  for (const std::string& device : devices) {
    list.append_child("device").text().set(device.c_str());
  }
  const std::string text = Print(document);
  if (virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT,
                           devices.empty() ? nullptr : text.c_str(), kKey, kUri, kBoth) == 0) {
    return absl::OkStatus();
  }
  return LibvirtError("note the devices that bar saving");
}

absl::Status AwaitGone(virDomainPtr domain) {
  for (const absl::Time end = absl::Now() + kPatience; absl::Now() < end;) {
    if (DevicesThatBarSaving(LiveXml(domain)).empty()) return absl::OkStatus();
    absl::SleepFor(kLookEvery);
  }
  return Error(v1::ErrorInfo::REASON_HYPERVISOR_FAILED,
               "the guest does not let go of a device that bars saving its state");
}

}  // namespace

std::vector<std::string> DevicesThatBarSaving(const std::string& xml) {
  pugi::xml_document document;
  document.load_buffer(xml.data(), xml.size());
  std::vector<std::string> devices;
  for (const pugi::xml_node& device : document.child("domain").child("devices").children()) {
    if (BarsSaving(device)) devices.push_back(Print(device));
  }
  return devices;
}

absl::Status ParkDevices(virDomainPtr domain) {
  const std::vector<std::string> present = DevicesThatBarSaving(LiveXml(domain));
  if (present.empty()) return absl::OkStatus();
  // Some were taken out before a crash.
  std::vector<std::string> all = Noted(domain);
  for (const std::string& device : present) {
    if (std::find(all.begin(), all.end(), device) == all.end()) all.push_back(device);
  }
  RETURN_IF_ERROR(Note(domain, all));
  for (const std::string& device : present) {
    if (virDomainDetachDeviceFlags(domain, device.c_str(), VIR_DOMAIN_AFFECT_LIVE) != 0) {
      return LibvirtError("take out a device that bars saving");
    }
  }
  return AwaitGone(domain);
}

void ReturnDevices(virDomainPtr domain) {
  const std::vector<std::string> devices = Noted(domain);
  if (devices.empty()) return;
  const std::vector<std::string> present = DevicesThatBarSaving(LiveXml(domain));
  for (const std::string& device : devices) {
    if (std::find(present.begin(), present.end(), device) != present.end()) continue;
    if (virDomainAttachDeviceFlags(domain, device.c_str(), VIR_DOMAIN_AFFECT_LIVE) == 0) continue;
    spdlog::warn("could not put a device back domain={} cause=\"{}\"", virDomainGetName(domain),
                 LibvirtError("attach it").message());
  }
  const absl::Status status = Note(domain, {});
  if (!status.ok()) spdlog::warn("could not forget parked devices cause=\"{}\"", status.message());
}

}  // namespace virmo::vm_controller
