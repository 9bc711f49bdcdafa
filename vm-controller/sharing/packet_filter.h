// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"

namespace virmo::vm_controller {

// Which tap may send to which: first to second.
using TapFlows = std::set<std::pair<std::string, std::string>>;

// The rules in nft's language: between taps of guests only `flows` pass, and between two of which
// either may send to the other, address resolution too. All else on the bridges goes on.
std::string PacketFilterRules(const TapFlows& flows);

// Puts them into the kernel's bridge filter, all at once. NOT_SUPPORTED with nft's own words.
absl::Status SetPacketFilter(const TapFlows& flows);

}  // namespace virmo::vm_controller
