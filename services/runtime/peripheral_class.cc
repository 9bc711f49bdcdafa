// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/peripheral_class.h"

#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace virmo {
namespace {

constexpr std::array<std::pair<v1::PeripheralClass, const char*>, 14> kNodeNames = {{
    {v1::PERIPHERAL_CLASS_USB_STORAGE, "USBStorage"},
    {v1::PERIPHERAL_CLASS_OTHER_USB, "OtherUSB"},
    {v1::PERIPHERAL_CLASS_MEMORY_CARD, "MemoryCard"},
    {v1::PERIPHERAL_CLASS_WIFI, "WiFi"},
    {v1::PERIPHERAL_CLASS_BLUETOOTH, "Bluetooth"},
    {v1::PERIPHERAL_CLASS_NFC, "NFC"},
    {v1::PERIPHERAL_CLASS_GPS, "GPS"},
    {v1::PERIPHERAL_CLASS_VOICE_CALL_OUT, "VoiceCallOut"},
    {v1::PERIPHERAL_CLASS_VOICE_CALL_IN, "VoiceCallIn"},
    {v1::PERIPHERAL_CLASS_CAMERA, "Camera"},
    {v1::PERIPHERAL_CLASS_MICROPHONE, "Microphone"},
    {v1::PERIPHERAL_CLASS_DISPLAY, "Display"},
    {v1::PERIPHERAL_CLASS_CELLULAR_DATA, "CellularData"},
    {v1::PERIPHERAL_CLASS_SMART_CARD, "SmartCard"},
}};

}  // namespace

std::string PeripheralClassId(v1::PeripheralClass peripheral_class) {
  const std::string name = v1::PeripheralClass_Name(peripheral_class);
  return absl::AsciiStrToLower(absl::StripPrefix(name, "PERIPHERAL_CLASS_"));
}

std::string PeripheralItem(v1::PeripheralClass peripheral_class) {
  return absl::StrCat("peripherals.", PeripheralClassId(peripheral_class));
}

std::string PeripheralNodeName(v1::PeripheralClass peripheral_class) {
  for (const auto& [known, name] : kNodeNames) {
    if (known == peripheral_class) return name;
  }
  return "";
}

v1::PeripheralClass PeripheralClassOfNode(const std::string& node_name) {
  for (const auto& [known, name] : kNodeNames) {
    if (name == node_name) return known;
  }
  return v1::PERIPHERAL_CLASS_UNSPECIFIED;
}

}  // namespace virmo
