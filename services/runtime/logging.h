// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "fmt/format.h"
#include "spdlog/spdlog.h"
#include "virmo/config/v1/common.pb.h"

// Debian's absl::string_view is not std's, and fmt does not know it.
template <>
struct fmt::formatter<absl::string_view> : fmt::formatter<fmt::string_view> {
  template <typename Context>
  auto format(absl::string_view text, Context& context) const {
    return fmt::formatter<fmt::string_view>::format(fmt::string_view(text.data(), text.size()),
                                                    context);
  }
};

namespace virmo {

// Makes spdlog's default logger write to standard error as `config` says: one line an event,
// `verb key=value …`, or one JSON object a line. INVALID_ARGUMENT for an unknown level.
absl::Status StartLogging(const config::v1::Logging& config, const std::string& process);

// Changes the level; INVALID_ARGUMENT for an unknown one.
absl::Status SetLogLevel(const std::string& level);
std::string LogLevel();

}  // namespace virmo
