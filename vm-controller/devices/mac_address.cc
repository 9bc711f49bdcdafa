// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/devices/mac_address.h"

#include "absl/strings/str_cat.h"
#include "services/runtime/uuid.h"

namespace virmo::vm_controller {

std::string MacAddressFor(const std::string& vm_id, const std::string& device_id) {
  const std::string hash = NameUuid(vm_id, absl::StrCat("interface to ", device_id));
  return absl::StrCat("52:54:00:", hash.substr(0, 2), ":", hash.substr(2, 2), ":",
                      hash.substr(4, 2));
}

}  // namespace virmo::vm_controller
