// SPDX-License-Identifier: Apache-2.0
// The descriptors follow USB 2.0 §9.6; the serial ones USB CDC 1.2 §5 and PSTN 1.2 (abstract
// control model), the radio's the Bluetooth Core Specification 5.x, Vol 4 Part B and Part E.
#include "tests/support/software_usb/usb_function.h"

#include <algorithm>

namespace virmo::testing_support {
namespace {

void Append(Bytes& bytes, const Bytes& more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

uint8_t Low(size_t value) { return static_cast<uint8_t>(value & 0xff); }
uint8_t High(size_t value) { return static_cast<uint8_t>((value >> 8) & 0xff); }

// A serial port by CDC-ACM: `to_host` is what its port says.
class SerialFunction : public UsbFunction {
 public:
  SerialFunction() {
    device_class = 0x02;
    UsbInterface control;
    control.interface_class = 0x02;
    control.subclass = 0x02;
    control.protocol = 0x01;
    // Header, call management, abstract control management, union of interfaces 0 and 1.
    control.class_descriptors = {5, 0x24, 0, 0x10, 1, 5,    0x24, 1, 0, 1,
                                 4, 0x24, 2, 2,    5, 0x24, 6,    0, 1};
    control.endpoints = {{0x81, true, 16}};
    UsbInterface data;
    data.interface_class = 0x0a;
    data.endpoints = {{0x82, false, 64}, {0x02, false, 64}};
    interfaces = {control, data};
  }
  Bytes OnControl(uint8_t request, const Bytes& /*data*/) override {
    constexpr uint8_t kGetLineCoding = 0x21;
    if (request == kGetLineCoding) return {0x80, 0x25, 0, 0, 0, 0, 8};  // 9600 8N1.
    return {};
  }
  void OnBulk(const Bytes& /*data*/) override {}

 protected:
  void Say(const std::string& text) { send_bulk(Bytes(text.begin(), text.end())); }
};

// A satellite receiver: one NMEA sentence a tick.
class GpsFunction : public SerialFunction {
 public:
  GpsFunction() {
    vendor = 0x1546;
    product = 0x01a8;
    name = "Software GPS";
  }
  void OnTick() override {
    Say("$GPGGA,120000.00,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n");
  }
};

// A modem: answers every AT command.
class ModemFunction : public SerialFunction {
 public:
  ModemFunction() {
    vendor = 0x12d1;
    product = 0x1001;
    name = "Software modem";
  }
  void OnBulk(const Bytes& data) override {
    for (const uint8_t byte : data) {
      if (byte != '\r' && byte != '\n') {
        line_ += static_cast<char>(byte);
        continue;
      }
      if (line_.rfind("ATD", 0) == 0) {
        Say("\r\nDIALLED " + line_.substr(3) + "\r\nOK\r\n");
      } else if (!line_.empty()) {
        Say("\r\nOK\r\n");
      }
      line_.clear();
    }
  }

 private:
  std::string line_;
};

// A Bluetooth radio, as far as a driver asks when it comes up.
class BluetoothFunction : public UsbFunction {
 public:
  BluetoothFunction() {
    vendor = 0x0a12;
    product = 0x0042;
    device_class = 0xe0;
    subclass = 0x01;
    protocol = 0x01;
    name = "Software Bluetooth radio";
    UsbInterface radio;
    radio.interface_class = 0xe0;
    radio.subclass = 0x01;
    radio.protocol = 0x01;
    radio.endpoints = {{0x81, true, 16}, {0x82, false, 64}, {0x02, false, 64}};
    interfaces = {radio};
  }
  Bytes OnControl(uint8_t /*request*/, const Bytes& data) override {
    if (data.size() < 3) return {};
    Bytes parameters = {0x00};  // Success.
    Append(parameters, AnswerTo(static_cast<uint16_t>(data[0] | data[1] << 8)));
    Bytes event = {0x0e, Low(3 + parameters.size()), 1, data[0], data[1]};  // Command complete.
    Append(event, parameters);
    send_interrupt(event);
    return {};
  }
  void OnBulk(const Bytes& /*data*/) override {}

 private:
  static Bytes AnswerTo(uint16_t opcode) {
    switch (opcode) {
      case 0x1001:  // Read Local Version Information.
        return {9, 0, 0, 9, 0x0f, 0, 0, 0};
      case 0x1002: {  // Read Local Supported Commands.
        Bytes commands(64, 0);
        commands[0] = 0x21;
        commands[5] = 0x40;
        commands[10] = 0x04;
        commands[14] = 0x28;
        return commands;
      }
      case 0x1003:  // Read Local Supported Features.
        return {0, 0, 0, 0, 0x40, 0, 0, 0};
      case 0x1005:  // Read Buffer Size.
        return {0x40, 0, 0, 4, 0, 0, 0};
      case 0x1009:  // Read BD_ADDR.
        return {0x33, 0x22, 0x11, 0xaa, 0x55, 0x02};
      case 0x2002:  // LE Read Buffer Size.
        return {0x1b, 0, 4};
      case 0x2003:  // LE Read Local Supported Features.
      case 0x201c:  // LE Read Supported States.
        return Bytes(8, 0);
      case 0x2007:  // LE Read Advertising Channel Tx Power.
        return {0};
      case 0x200f:  // LE Read Filter Accept List Size.
        return {4};
      case 0x0c14:  // Read Local Name.
        return Bytes(248, 0);
      case 0x0c23:  // Read Class of Device.
        return {0, 0, 0};
      case 0x0c16:  // Read Connection Accept Timeout.
      case 0x0c25:  // Read Voice Setting.
        return {0, 0};
      case 0x0c1d:  // Read Page Scan Activity and the like.
      case 0x0c38:
      case 0x0c39:
        return {0};
      default:
        return {};
    }
  }
};

// Something that no class driver knows.
class OtherFunction : public UsbFunction {
 public:
  OtherFunction() {
    vendor = 0x1d6b;
    product = 0x0104;
    name = "Software thing";
    UsbInterface thing;
    thing.interface_class = 0xff;
    thing.endpoints = {{0x82, false, 64}, {0x02, false, 64}};
    interfaces = {thing};
  }
  Bytes OnControl(uint8_t /*request*/, const Bytes& /*data*/) override { return {}; }
  void OnBulk(const Bytes& data) override { send_bulk(data); }
};

}  // namespace

Bytes UsbFunction::DeviceDescriptor() const {
  return {18,
          1,
          0,
          2,
          device_class,
          subclass,
          protocol,
          64,
          Low(vendor),
          High(vendor),
          Low(product),
          High(product),
          0,
          1,
          1,
          2,
          3,
          1};
}

Bytes UsbFunction::ConfigurationDescriptor() const {
  constexpr uint8_t kSelfPowered = 0xc0, kMilliampere100 = 50;
  Bytes all = {9, 2, 0, 0, Low(interfaces.size()), 1, 0, kSelfPowered, kMilliampere100};
  for (size_t i = 0; i < interfaces.size(); ++i) {
    const UsbInterface& one = interfaces[i];
    Append(all, {9, 4, Low(i), 0, Low(one.endpoints.size()), one.interface_class, one.subclass,
                 one.protocol, 0});
    Append(all, one.class_descriptors);
    for (const UsbInterface::Endpoint& end : one.endpoints) {
      constexpr uint8_t kBulk = 2, kInterrupt = 3;
      Append(all, {7, 5, end.address, end.interrupt ? kInterrupt : kBulk, Low(end.max_packet),
                   High(end.max_packet), static_cast<uint8_t>(end.interrupt ? 10 : 0)});
    }
  }
  all[2] = Low(all.size());
  all[3] = High(all.size());
  return all;
}

std::unique_ptr<UsbFunction> MakeUsbFunction(const std::string& kind) {
  if (kind == "gps") return std::make_unique<GpsFunction>();
  if (kind == "modem") return std::make_unique<ModemFunction>();
  if (kind == "bluetooth") return std::make_unique<BluetoothFunction>();
  if (kind == "other") return std::make_unique<OtherFunction>();
  return nullptr;
}

}  // namespace virmo::testing_support
