// SPDX-License-Identifier: Apache-2.0
#include "services/server/fleet/fleet_names.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/runtime/error.h"
#include "services/runtime/uuid.h"

namespace virmo::server {
namespace {

bool IsId(absl::string_view id, absl::string_view extra) {
  return !id.empty() && id.size() <= 63 && std::all_of(id.begin(), id.end(), [&](char c) {
    return absl::ascii_islower(static_cast<unsigned char>(c)) ||
           absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '-' ||
           extra.find(c) != absl::string_view::npos;
  });
}

absl::Status WrongForm(absl::string_view field, absl::string_view name, absl::string_view form) {
  return InvalidField(field, absl::StrCat(field, " \"", name.substr(0, 200), "\" is not ", form));
}

}  // namespace

std::string DeviceName(absl::string_view device) { return absl::StrCat("devices/", device); }

std::string CommandName(absl::string_view device, absl::string_view command) {
  return absl::StrCat("devices/", device, "/commands/", command);
}

std::string AlertName(absl::string_view device, absl::string_view alert) {
  return absl::StrCat("devices/", device, "/alerts/", alert);
}

std::string DeviceVirtualMachineName(absl::string_view device, absl::string_view vm) {
  return absl::StrCat("devices/", device, "/virtualMachines/", vm);
}

std::string ImageName(absl::string_view image) { return absl::StrCat("images/", image); }

bool IsDeviceId(absl::string_view id) { return IsId(id, "") && id != "-"; }

// An id of dots only would be a path.
bool IsImageId(absl::string_view id) {
  return IsId(id, ".") && id.find_first_not_of('.') != absl::string_view::npos;
}

absl::StatusOr<std::string> DeviceId(absl::string_view name, absl::string_view field) {
  absl::string_view id = name;
  if (absl::ConsumePrefix(&id, "devices/") && (id == "-" || IsDeviceId(id))) return std::string(id);
  return WrongForm(field, name, "devices/{device}");
}

absl::StatusOr<std::string> ImageId(absl::string_view name, absl::string_view field) {
  absl::string_view id = name;
  if (absl::ConsumePrefix(&id, "images/") && IsImageId(id)) return std::string(id);
  return WrongForm(field, name, "images/{image}, with an id of 1 to 63 of [a-z0-9.-]");
}

absl::StatusOr<CommandKey> CommandKeyOf(absl::string_view name, absl::string_view field) {
  const std::vector<std::string> parts = absl::StrSplit(name, '/');
  if (parts.size() == 4 && parts[0] == "devices" && IsDeviceId(parts[1]) &&
      parts[2] == "commands" && IsUuid(parts[3])) {
    return CommandKey{parts[1], parts[3]};
  }
  return WrongForm(field, name, "devices/{device}/commands/{command}");
}

std::string ProvisionedName(const v1::Action::Provision& provision, absl::string_view vm) {
  const std::string& name = provision.display_name();
  return name.empty() ? absl::StrCat("vm-", vm.substr(0, 8)) : name;
}

}  // namespace virmo::server
