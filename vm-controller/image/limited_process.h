// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace virmo::vm_controller {

// How a tool is run that reads what others wrote.
struct ProcessLimits {
  // Run as `nobody`, if we are root.
  bool unprivileged = true;
  absl::Duration timeout = absl::Seconds(30);
  int64_t memory_bytes = int64_t{1} << 30;  // Address space.
  int64_t cpu_seconds = 30;
  int64_t file_bytes = 0;  // The largest file that it may write; 0 = no bound.
  // Asked ten times a second; true ends it (CANCELLED).
  std::function<bool()> is_cancelled = [] { return false; };
};

// Runs a program without a shell, with no input, an empty environment and these limits, and
// returns what it wrote to standard output (at most 1 MiB). INTERNAL with its standard error if
// it fails; DEADLINE_EXCEEDED (TIMED_OUT).
absl::StatusOr<std::string> RunLimited(const std::vector<std::string>& command,
                                       const ProcessLimits& limits);

}  // namespace virmo::vm_controller
