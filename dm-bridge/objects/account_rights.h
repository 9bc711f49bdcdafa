// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "dm-bridge/objects/settings.h"
#include "dm-bridge/tree/acl.h"
#include "virmo/config/v1/dm_bridge_config.pb.h"

namespace virmo::dm_bridge {

// Gives accounts that are new the rights that they came with (DmAccount.acl; none: every right), in
// the ACLs of the root and of the management objects. Once for each account: what servers make of
// those ACLs later stays. As long as no account is restricted, the root's default does. An ACL that
// is wrong gives no rights.
absl::Status ApplyAccountRights(const std::vector<config::v1::DmAccount>& accounts,
                                SettingsStore& settings, AclStore& acls);

// The account is gone: should it come again, it is new.
absl::Status ForgetAccountRights(const std::string& server_id, SettingsStore& settings);

}  // namespace virmo::dm_bridge
