// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace virmo {

// Writes a file so that after any crash it has either its old content or all of the new: under a
// temporary name, fsynced, renamed, folder fsynced.
absl::Status WriteFileAtomically(const std::string& path, absl::string_view content, int mode);

// Reads a whole file of at most `max_bytes`.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes = 16 << 20);

// Makes a folder and its parents; sets `mode` on it if it is new.
absl::Status MakeDirectory(const std::string& path, int mode = 0700);

// fsyncs a folder, so that renames in it are durable.
absl::Status SyncDirectory(const std::string& path);

}  // namespace virmo
