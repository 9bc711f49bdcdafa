// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/devices/host_scan.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "services/runtime/files.h"
#include "vm-controller/devices/classifier.h"
#include "vm-controller/devices/device_map.h"

namespace virmo::vm_controller {
namespace {

using config::v1::DeviceMap;
using v1::HostDevice;

constexpr char kNamePrefix[] = "hostDevices/";
constexpr size_t kMaxAttribute = 4096;

std::string Attribute(const std::filesystem::path& folder, const char* name) {
  const absl::StatusOr<std::string> text = ReadFile((folder / name).string(), kMaxAttribute);
  return text.ok() ? std::string(absl::StripAsciiWhitespace(*text)) : "";
}

int Number(const std::string& text, int base) {
  return text.empty() ? 0 : static_cast<int>(strtol(text.c_str(), nullptr, base));
}

void AddInterfaces(const std::filesystem::path& folder, HostDevice& device) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    if (!absl::StrContains(entry.path().filename().string(), ':')) continue;
    HostDevice::Interface* added = device.add_interfaces();
    added->set_interface_class(Number(Attribute(entry.path(), "bInterfaceClass"), 16));
    added->set_subclass(Number(Attribute(entry.path(), "bInterfaceSubClass"), 16));
    added->set_protocol(Number(Attribute(entry.path(), "bInterfaceProtocol"), 16));
  }
}

// The map may know better than the class codes.
void Classify(const DeviceMap& map, HostDevice& device) {
  for (const DeviceMap::Entry& entry : map.entries()) {
    if (entry.match().empty() || !NamesDevice(entry.match(), device)) continue;
    *device.mutable_classes() = entry.classes();
    device.set_map_entry(entry.id());
    return;
  }
  for (const v1::PeripheralClass one : ClassifyUsb(device)) device.add_classes(one);
}

void ScanUsb(const std::string& sysfs, const DeviceMap& map,
             std::vector<HostDeviceRecord>& records) {
  std::error_code ignored;
  const std::filesystem::path root(sysfs + "/bus/usb/devices");
  for (const auto& entry : std::filesystem::directory_iterator(root, ignored)) {
    const std::string port = entry.path().filename().string();
    // `usb1` is a root hub, `1-2:1.0` an interface.
    if (!absl::ascii_isdigit(static_cast<unsigned char>(port[0])) || absl::StrContains(port, ':')) {
      continue;
    }
    HostDeviceRecord record;
    HostDevice& device = record.device;
    device.set_name(absl::StrCat(kNamePrefix, "usb-", absl::StrReplaceAll(port, {{".", "-"}})));
    device.set_bus(HostDevice::BUS_USB);
    device.set_vendor_id(Attribute(entry.path(), "idVendor"));
    device.set_product_id(Attribute(entry.path(), "idProduct"));
    device.set_serial(Attribute(entry.path(), "serial"));
    device.set_description(std::string(absl::StripAsciiWhitespace(absl::StrCat(
        Attribute(entry.path(), "manufacturer"), " ", Attribute(entry.path(), "product")))));
    device.set_present(true);
    AddInterfaces(entry.path(), device);
    // One without interfaces is not configured yet; the kernel tells of it again.
    if (device.interfaces().empty() || IsHub(device)) continue;
    Classify(map, device);
    record.spec.kind = DeviceSpec::Kind::kUsbHost;
    record.spec.usb_bus = Number(Attribute(entry.path(), "busnum"), 10);
    record.spec.usb_device = Number(Attribute(entry.path(), "devnum"), 10);
    record.generation = absl::StrCat(record.spec.usb_bus, "-", record.spec.usb_device);
    records.push_back(std::move(record));
  }
}

DeviceSpec::Kind KindOf(const DeviceMap::Entry& entry) {
  switch (entry.bus()) {
    case HostDevice::BUS_USB_REDIRECTED:
      return DeviceSpec::Kind::kRedirectedUsb;
    case HostDevice::BUS_BLOCK:
      return DeviceSpec::Kind::kUsbDisk;
    case HostDevice::BUS_NETWORK:
      return DeviceSpec::Kind::kNic;
    default:
      return entry.channel().empty() ? DeviceSpec::Kind::kSerial : DeviceSpec::Kind::kChannel;
  }
}

HostDeviceRecord ScanEntry(const std::string& sysfs, const DeviceMap::Entry& entry) {
  HostDeviceRecord record;
  HostDevice& device = record.device;
  device.set_name(absl::StrCat(kNamePrefix, entry.id()));
  device.set_bus(entry.bus());
  *device.mutable_classes() = entry.classes();
  device.set_description(entry.description());
  device.set_map_entry(entry.id());
  const bool network = entry.bus() == HostDevice::BUS_NETWORK;
  const std::string path =
      network ? absl::StrCat(sysfs, "/class/net/", entry.path()) : entry.path();
  struct stat info;
  device.set_present(stat(path.c_str(), &info) == 0);
  record.spec.kind = KindOf(entry);
  record.spec.path = network ? absl::StrCat("bridge:", entry.path()) : entry.path();
  record.spec.channel = entry.channel();
  record.spec.shareable = entry.shareable();
  // A socket that was made anew has another process behind it; its time of change is no sign, since
  // libvirt gives it to QEMU's user. An image that was only written to is the same.
  if (device.present()) record.generation = absl::StrCat(absl::Hex(info.st_ino));
  if (device.present() && S_ISSOCK(info.st_mode)) {
    absl::StrAppend(&record.generation, "-", absl::Hex(info.st_mtim.tv_sec & 0xffffff), "-",
                    absl::Hex(info.st_mtim.tv_nsec));
  }
  return record;
}

}  // namespace

std::string HostDeviceId(const HostDevice& device) {
  return std::string(absl::StripPrefix(device.name(), kNamePrefix));
}

std::vector<HostDeviceRecord> ScanHost(const std::string& sysfs, const DeviceMap& map) {
  std::vector<HostDeviceRecord> records;
  ScanUsb(sysfs, map, records);
  for (const DeviceMap::Entry& entry : map.entries()) {
    if (entry.match().empty()) records.push_back(ScanEntry(sysfs, entry));
  }
  std::sort(records.begin(), records.end(),
            [](const HostDeviceRecord& a, const HostDeviceRecord& b) {
              return a.device.name() < b.device.name();
            });
  return records;
}

}  // namespace virmo::vm_controller
