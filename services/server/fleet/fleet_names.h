// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "virmo/v1/command.pb.h"

namespace virmo::server {

// Resource names of the fleet, to and from their ids.
std::string DeviceName(absl::string_view device);
std::string CommandName(absl::string_view device, absl::string_view command);
std::string AlertName(absl::string_view device, absl::string_view alert);
std::string DeviceVirtualMachineName(absl::string_view device, absl::string_view vm);
std::string ImageName(absl::string_view image);

// The ids in a name; INVALID_ARGUMENT naming `field` if it has another form. `devices/-`, where
// allowed by the caller, gives "-".
absl::StatusOr<std::string> DeviceId(absl::string_view name, absl::string_view field);
absl::StatusOr<std::string> ImageId(absl::string_view name, absl::string_view field);

struct CommandKey {
  std::string device;
  std::string command;
};
absl::StatusOr<CommandKey> CommandKeyOf(absl::string_view name, absl::string_view field);

// 1 to 63 of [a-z0-9-] (images: and `.`).
bool IsDeviceId(absl::string_view id);
bool IsImageId(absl::string_view id);

// What the machine that a Provision makes is called: as told, or after its id.
std::string ProvisionedName(const v1::Action::Provision& provision, absl::string_view vm);

}  // namespace virmo::server
