// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/devices/device_map.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/text_format.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/status_macros.h"

namespace virmo::vm_controller {
namespace {

using Entry = config::v1::DeviceMap::Entry;
using v1::HostDevice;

constexpr size_t kMaxBytes = 1 << 20;
constexpr size_t kMaxId = 63;

// Keeps the first complaint of the parser, with its place.
class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, int column, const std::string& message) override {
    if (text_.empty()) text_ = absl::StrCat("line ", line + 1, ":", column + 1, ": ", message);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

bool IsId(const std::string& id) {
  return !id.empty() && id.size() <= kMaxId && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

std::string Fault(const Entry& entry) {
  if (!IsId(entry.id())) return "its id must be 1 to 63 of [a-z0-9-]";
  if (entry.classes().empty()) return "it names no class";
  for (const int one : entry.classes()) {
    if (one == 0 || !v1::PeripheralClass_IsValid(one)) return "it names an unknown class";
  }
  if (!entry.match().empty()) {
    if (!entry.path().empty() || entry.bus() != HostDevice::BUS_UNSPECIFIED) {
      return "with `match` it must have neither bus nor path";
    }
    if (entry.match().size() < 9 || entry.match()[4] != ':') {
      return "`match` must be vendor:product or vendor:product:serial";
    }
    return "";
  }
  switch (entry.bus()) {
    case HostDevice::BUS_USB_REDIRECTED:
    case HostDevice::BUS_BLOCK:
    case HostDevice::BUS_NETWORK:
    case HostDevice::BUS_CHARACTER:
      break;
    case HostDevice::BUS_UNSPECIFIED:
      return "it has neither `match` nor `bus`";
    default:
      return absl::StrCat(HostDevice::Bus_Name(entry.bus()), " cannot be mapped");
  }
  if (entry.path().empty()) return "it has no path";
  const bool network = entry.bus() == HostDevice::BUS_NETWORK;
  if (network == (entry.path()[0] == '/')) {
    return network ? "its path must be the name of a bridge" : "its path must be absolute";
  }
  if (!entry.channel().empty() && entry.bus() != HostDevice::BUS_CHARACTER) {
    return "only a CHARACTER device has a channel";
  }
  return "";
}

}  // namespace

absl::Status CheckDeviceMap(const config::v1::DeviceMap& map) {
  std::set<std::string> ids;
  for (int i = 0; i < map.entries_size(); ++i) {
    const Entry& entry = map.entries(i);
    std::string fault = Fault(entry);
    if (fault.empty() && !ids.insert(entry.id()).second) fault = "its id is used twice";
    if (fault.empty()) continue;
    return InvalidField(absl::StrCat("entries[", i, "]"),
                        absl::StrCat("`", entry.id(), "`: ", fault));
  }
  return absl::OkStatus();
}

absl::StatusOr<config::v1::DeviceMap> ReadDeviceMap(const std::string& path) {
  config::v1::DeviceMap map;
  if (path.empty()) return map;
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxBytes));
  FirstError error;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  if (!parser.ParseFromString(text, &map)) {
    return InvalidField("device_map_file", absl::StrCat(path, ": ", error.text()));
  }
  const absl::Status status = CheckDeviceMap(map);
  if (status.ok()) return map;
  return InvalidField("device_map_file", absl::StrCat(path, ": ", status.message()));
}

bool NamesDevice(const std::string& pattern, const HostDevice& device) {
  if (device.vendor_id().empty()) return false;
  const std::string ids = absl::StrCat(device.vendor_id(), ":", device.product_id());
  return pattern == ids || pattern == absl::StrCat(ids, ":", device.serial());
}

}  // namespace virmo::vm_controller
