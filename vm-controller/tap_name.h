// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace virmo::vm_controller {

// What the names of our guests' tap interfaces begin with; the packet filter knows them by it.
constexpr char kTapPrefix[] = "vio";

// The tap interface of a guest's interface. A name has at most 15 characters.
inline std::string TapName(const std::string& mac_address) {
  const std::string digits = absl::StrReplaceAll(mac_address, {{":", ""}});
  return absl::StrCat(kTapPrefix, digits.size() > 8 ? digits.substr(digits.size() - 8) : digits);
}

}  // namespace virmo::vm_controller
