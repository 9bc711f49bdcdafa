// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "services/syncml/status_code.h"

namespace virmo::dm_bridge {

// An error whose meaning to a DM peer is `code` (OMA-TS-DM_RepPro §10), for what the tree itself
// refuses. What a service refused keeps its own reason, and the DM status follows from that.
absl::Status DmError(syncml::StatusCode code, absl::string_view message);

// As DmError(); `node` is the URI of another node than the addressed one that the peer should
// know: the deepest that exists, the parent that could not be made.
absl::Status DmErrorAt(syncml::StatusCode code, absl::string_view message, absl::string_view node);

// The node that an error names; empty if none.
std::string NodeOf(const absl::Status& status);

// The same error, naming `node` if it names none yet.
absl::Status NamingNode(absl::Status status, absl::string_view node);

// The DM status that answers a command which ended in `status`; 200 if it is OK.
syncml::StatusCode DmStatusOf(const absl::Status& status);

// Text for Status/Item/Data: the message, after the VirMO result code (`1419 cannot suspend …`)
// if a service gave a reason. Empty if `status` is OK.
std::string DmTextOf(const absl::Status& status);

}  // namespace virmo::dm_bridge
