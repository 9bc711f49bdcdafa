// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/devices/classifier.h"

#include <set>

namespace virmo::vm_controller {
namespace {

constexpr int kAny = -1;
constexpr int kHub = 0x09;
constexpr int kCdcData = 0x0a;  // Belongs to a control interface, which says what it is.

struct ClassCode {
  int interface_class, subclass, protocol;
  v1::PeripheralClass peripheral_class;
};

// https://www.usb.org/defined-class-codes; the first that fits counts.
constexpr ClassCode kClassCodes[] = {
    {0x01, kAny, kAny, v1::PERIPHERAL_CLASS_MICROPHONE},     // Audio: in and out by one interface.
    {0x02, 0x0e, kAny, v1::PERIPHERAL_CLASS_CELLULAR_DATA},  // MBIM.
    {0x06, kAny, kAny, v1::PERIPHERAL_CLASS_CAMERA},         // Still image.
    {0x08, kAny, kAny, v1::PERIPHERAL_CLASS_USB_STORAGE},
    {0x0b, kAny, kAny, v1::PERIPHERAL_CLASS_SMART_CARD},
    {0x0e, kAny, kAny, v1::PERIPHERAL_CLASS_CAMERA},  // Video.
    {0xe0, 0x01, 0x01, v1::PERIPHERAL_CLASS_BLUETOOTH},
    {0xe0, 0x01, 0x03, v1::PERIPHERAL_CLASS_CELLULAR_DATA},  // RNDIS: a tethered telephone.
    {0xe0, 0x01, 0x04, v1::PERIPHERAL_CLASS_BLUETOOTH},      // AMP controller.
};

struct KnownDevice {
  const char* vendor;
  const char* product;  // Empty: all of this vendor.
  v1::PeripheralClass peripheral_class;
};

// Devices whose class code is that of a serial port, or the vendor's own.
constexpr KnownDevice kKnownDevices[] = {
    {"1546", "", v1::PERIPHERAL_CLASS_GPS},      // u-blox receivers (CDC-ACM).
    {"091e", "", v1::PERIPHERAL_CLASS_GPS},      // Garmin.
    {"0e8d", "3329", v1::PERIPHERAL_CLASS_GPS},  // MediaTek receiver.
    {"04cc", "0531", v1::PERIPHERAL_CLASS_NFC},  // NXP PN531, PN533.
    {"04cc", "2533", v1::PERIPHERAL_CLASS_NFC},
    {"054c", "0193", v1::PERIPHERAL_CLASS_NFC},  // Sony.
    {"054c", "02e1", v1::PERIPHERAL_CLASS_NFC},
    {"072f", "2200", v1::PERIPHERAL_CLASS_NFC},  // ACS ACR122U (also a smart card reader).
};

v1::PeripheralClass ClassOf(const v1::HostDevice::Interface& interface) {
  for (const ClassCode& code : kClassCodes) {
    if (code.interface_class == interface.interface_class() &&
        (code.subclass == kAny || code.subclass == interface.subclass()) &&
        (code.protocol == kAny || code.protocol == interface.protocol())) {
      return code.peripheral_class;
    }
  }
  return v1::PERIPHERAL_CLASS_OTHER_USB;
}

v1::PeripheralClass KnownClassOf(const v1::HostDevice& device) {
  for (const KnownDevice& known : kKnownDevices) {
    if (device.vendor_id() != known.vendor) continue;
    if (*known.product == '\0' || device.product_id() == known.product) {
      return known.peripheral_class;
    }
  }
  return v1::PERIPHERAL_CLASS_UNSPECIFIED;
}

}  // namespace

bool IsHub(const v1::HostDevice& device) {
  for (const v1::HostDevice::Interface& interface : device.interfaces()) {
    if (interface.interface_class() == kHub) return true;
  }
  return false;
}

std::vector<v1::PeripheralClass> ClassifyUsb(const v1::HostDevice& device) {
  const v1::PeripheralClass known = KnownClassOf(device);
  std::set<v1::PeripheralClass> classes;
  if (known != v1::PERIPHERAL_CLASS_UNSPECIFIED) classes.insert(known);
  for (const v1::HostDevice::Interface& interface : device.interfaces()) {
    if (interface.interface_class() == kCdcData) continue;
    const v1::PeripheralClass by_code = ClassOf(interface);
    // The maker says what its nameless interfaces are; a storage interface stays one.
    if (by_code == v1::PERIPHERAL_CLASS_OTHER_USB && !classes.empty() && known != 0) continue;
    classes.insert(by_code);
  }
  if (classes.empty()) classes.insert(v1::PERIPHERAL_CLASS_OTHER_USB);
  return {classes.begin(), classes.end()};
}

}  // namespace virmo::vm_controller
