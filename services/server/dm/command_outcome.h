// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "services/server/dm/session_state.pb.h"

namespace virmo::server {

// What a device's Statuses say of one queued command.
struct CommandOutcome {
  int status = 0;  // DM Status; 0: it gave none
  bool success = false;
  int result_code = 0;  // VirMO result code of a refusal, if it gave one
  std::string detail;   // for people
};

// The worst of the Statuses that decide; that of the Sequence if its children got none. Of an
// Atomic that failed its own Status, with the child that was the cause in `detail`.
CommandOutcome OutcomeOf(const std::vector<const Sent*>& group);

}  // namespace virmo::server
