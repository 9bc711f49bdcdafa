// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "dm-bridge/objects/account_object.h"
#include "dm-bridge/tree/tree.h"
#include "virmo/v1/dm_bridge_service.pb.h"

namespace virmo::dm_bridge {

// Takes a bootstrap document over (OMA-TS-DM_Bootstrap §5): TNDS as XML or WBXML, or a DM message
// with Adds to `./Inbox`; all of it or nothing. An account of a server that has one already is
// changed. Returns the servers whose accounts it has. INVALID_ARGUMENT naming what is wrong;
// UNAUTHENTICATED if its MAC does not fit.
absl::StatusOr<std::vector<std::string>> TakeBootstrap(const v1::BootstrapRequest& request,
                                                       Tree& tree, AccountObject& accounts);

}  // namespace virmo::dm_bridge
