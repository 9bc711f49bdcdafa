// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/status.h"
#include "services/cli/command.h"
#include "services/cli/context.h"

namespace virmo::cli {

// `virmo image inspect FILE`: faults go to standard error, a line each, and the exit code is 1.
absl::Status InspectImage(Context& context, const Arguments& arguments);

}  // namespace virmo::cli
