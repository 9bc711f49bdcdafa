// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/statusor.h"

#include "services/cli/peer.h"

namespace virmo::cli {

// Asks the standard health service (`grpc.health.v1.Health`) of a process. Waits at most 5 s.
absl::StatusOr<bool> IsServing(const Peer& peer);

}  // namespace virmo::cli
