// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace virmo::testing_support {

using Bytes = std::vector<uint8_t>;

// An interface of a software USB device, with its endpoints.
struct UsbInterface {
  struct Endpoint {
    uint8_t address = 0;  // Bit 7 set: to the host.
    bool interrupt = false;
    uint16_t max_packet = 64;
  };
  uint8_t interface_class = 0, subclass = 0, protocol = 0;
  Bytes class_descriptors;  // Between the interface's descriptor and its endpoints'.
  std::vector<Endpoint> endpoints;
};

// What a software USB device is, and how it behaves. It says what it has to say by the two
// functions that the link sets.
class UsbFunction {
 public:
  virtual ~UsbFunction() = default;

  uint16_t vendor = 0, product = 0;
  uint8_t device_class = 0, subclass = 0, protocol = 0;
  std::string name;
  std::vector<UsbInterface> interfaces;

  std::function<void(const Bytes&)> send_bulk;       // On the bulk endpoint to the host.
  std::function<void(const Bytes&)> send_interrupt;  // On the interrupt endpoint.

  // A class or vendor request; `data` is what the host sends, or the answer is returned.
  virtual Bytes OnControl(uint8_t request, const Bytes& data) = 0;
  virtual void OnBulk(const Bytes& data) = 0;
  // Called a few times a second.
  virtual void OnTick() {}

  Bytes DeviceDescriptor() const;
  Bytes ConfigurationDescriptor() const;
};

// `gps`, `modem`, `bluetooth` or `other`; nullptr for another word.
std::unique_ptr<UsbFunction> MakeUsbFunction(const std::string& kind);

}  // namespace virmo::testing_support
