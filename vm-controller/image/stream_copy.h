// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "services/ovf/byte_source.h"

namespace virmo::vm_controller {

struct StreamCopyOptions {
  bool gzip = false;      // Decompress.
  int64_t max_bytes = 0;  // More than this is refused: a bomb.
  std::function<bool()> is_cancelled = [] { return false; };
};

// Writes all of a source to a new file, readable by its owner alone. PACKAGE_INVALID for more than
// the bound or damaged compression, CANCELLED, DOWNLOAD_STORAGE_FULL, STORAGE_FAILED. On failure
// the file is gone.
absl::Status StreamCopy(const ovf::ByteSource& source, const std::string& path,
                        const StreamCopyOptions& options);

}  // namespace virmo::vm_controller
