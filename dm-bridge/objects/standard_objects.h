// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "dm-bridge/accounts/account_store.h"
#include "dm-bridge/tree/node.h"
#include "virmo/config/v1/dm_bridge_config.pb.h"

// The management objects that every DM client has (OMA-TS-DM_StdObj 1.2).
namespace virmo::dm_bridge {

inline constexpr char kClientVersion[] = "0.1.0";

// What the device says of itself, by node name: `DevId`, `Man`, `Mod`, `DmV`, `Lang`. DevId is
// that of the account, since servers may each have given one.
using DevInfo = std::vector<std::pair<std::string, std::string>>;
DevInfo MakeDevInfo(const config::v1::DmBridgeConfig& config, const std::string& device_uri);

// `./DevInfo`. DevId is that of the account of the server that asks, else of the first.
ManagementObject MakeDevInfoObject(const config::v1::DmBridgeConfig& config,
                                   AccountStore& accounts);

// `./DevDetail`.
ManagementObject MakeDevDetailObject(const config::v1::DmBridgeConfig& config);

}  // namespace virmo::dm_bridge
