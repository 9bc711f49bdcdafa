// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

#include "services/cli/command.h"
#include "services/cli/context.h"

namespace virmo::cli {

enum class TraceStyle : uint8_t { kLines, kXml };

// Shows the messages in files, folders (their files by name) and `-`. What cannot be read is told,
// and the rest shown; exit code 1 then.
absl::Status TraceRecordings(Context& context, const std::vector<std::string>& paths,
                             TraceStyle style);

// Follows dm-bridge's sessions until Ctrl-C or --timeout.
absl::Status TraceLive(Context& context, const Arguments& arguments, TraceStyle style);

}  // namespace virmo::cli
