// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace virmo::cli {

// Reads a secret that must not stand on the command line, where everybody sees it: the first line
// of the file at `path` (`-`: of standard input), or, with an empty path, what the user types twice
// at the terminal, unseen, when asked for `what`. INVALID_ARGUMENT if it is empty, the two differ,
// or there is no terminal; NOT_FOUND if the file cannot be read.
absl::StatusOr<std::string> ReadSecret(const std::string& path, absl::string_view what);

}  // namespace virmo::cli
