// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"

namespace virmo::vm_controller {

// What the aliases of devices begin with that we plug in: by it they are ours, also after a
// restart, and no part of what the virtual machine was made with.
constexpr char kDeviceAliasPrefix[] = "ua-virmo-";

inline bool IsOurDevice(const std::string& alias) {
  return absl::StartsWith(alias, kDeviceAliasPrefix);
}

// A device to plug into a started domain.
struct DeviceSpec {
  enum class Kind {
    kRedirectedUsb,   // `path`: the unix socket of a usbredir host.
    kUsbDisk,         // `path`: an image file or block device, raw.
    kDisk,            // `path`: a qcow2 file; virtio.
    kUsbHost,         // `usb_bus`, `usb_device`.
    kNic,             // `path`: `user`, `bridge:NAME` or `network:NAME`; `mac_address`.
    kChannel,         // `path`: a unix socket that is there; `channel`: its name in the guest.
    kSerial,          // `path`: a unix socket that is there, or a character device.
    kListeningSerial  // `path`: a unix socket that the hypervisor makes.
  };
  Kind kind = Kind::kUsbDisk;
  std::string alias;  // Begins with kDeviceAliasPrefix.
  std::string path;
  std::string channel;
  std::string mac_address;
  int usb_bus = 0;
  int usb_device = 0;
  bool shareable = false;  // kUsbDisk: others may have it too.
};

// A device that a started domain has.
struct LiveDevice {
  std::string alias;
  std::string element;      // libvirt's: `disk`, `interface`, `redirdev`, `hostdev`, …
  std::string source;       // File, socket, bridge: where it leads; empty if nowhere.
  std::string target;       // `sda`, `vnet0`; empty if it has none.
  std::string mac_address;  // Of an interface.
  bool cut = false;         // An interface whose link is down.
};

// How a device went.
enum class Departure {
  kGone,  // The guest has it no more.
  kCut    // The guest has not let it go, but there is nothing behind it any more.
};

// Plugs devices into started domains, and out. A port beside Hypervisor, for those that can:
// otherwise NOT_SUPPORTED. Idempotent like Hypervisor, and with its failures. Thread-safe.
class DevicePort {
 public:
  virtual ~DevicePort() = default;

  // Every device that leads somewhere: disks, interfaces, serial ports, channels, USB, folders.
  virtual absl::StatusOr<std::vector<LiveDevice>> ListDevices(const std::string& id) = 0;

  // Succeeds if a device of this alias is there already.
  virtual absl::Status Attach(const std::string& id, const DeviceSpec& spec) = 0;

  // Takes access away at once, and waits a moment for the guest to let go. Succeeds with kGone if
  // there is none.
  virtual absl::StatusOr<Departure> Detach(const std::string& id, const std::string& alias) = 0;

  // Sets the link of an interface.
  virtual absl::Status SetLink(const std::string& id, const std::string& alias, bool up) = 0;
};

}  // namespace virmo::vm_controller
