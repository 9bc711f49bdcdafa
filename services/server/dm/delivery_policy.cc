// SPDX-License-Identifier: Apache-2.0
#include "services/server/dm/delivery_policy.h"

#include "services/runtime/clock.h"
#include "services/syncml/status_code.h"

namespace virmo::server {

using syncml::StatusCode;

bool AsksForLater(int status) {
  return status == Number(StatusCode::kRetryLater) ||
         status == Number(StatusCode::kServiceUnavailable);
}

bool MayPass(int status) {
  return status == 0 || AsksForLater(status) || status == Number(StatusCode::kSizeMismatch);
}

bool MaySendAgain(const v1::Command& command, absl::Time now) {
  if (command.attempts() < kMaxAttempts) return true;
  if (!AsksForLater(command.dm_status())) return false;
  for (const v1::Command::Step& step : command.timeline()) {
    if (step.state() != v1::Command::STATE_FETCHED) continue;
    return now - FromTimestamp(step.time()) < kPatience;
  }
  return true;
}

}  // namespace virmo::server
