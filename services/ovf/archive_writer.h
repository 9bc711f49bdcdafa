// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace virmo::ovf {

// Writes a tar archive (ustar) into a new file, readable by its owner alone. Members are in the
// order in which they are added. Errors: STORAGE_FAILED, CANCELLED, ALREADY_EXISTS. A file that is
// not finished stays; who made it removes it. Not thread-safe.
class ArchiveWriter {
 public:
  ArchiveWriter(const std::string& path, std::function<bool()> is_cancelled);
  ~ArchiveWriter();
  ArchiveWriter(const ArchiveWriter&) = delete;
  ArchiveWriter& operator=(const ArchiveWriter&) = delete;

  absl::Status AddText(const std::string& name, absl::string_view text);
  absl::Status AddFile(const std::string& name, const std::string& path);

  // Ends the archive and makes it durable.
  absl::Status Finish();

 private:
  absl::Status Write(absl::string_view octets);

  const std::string path_;
  const std::function<bool()> is_cancelled_;
  const int fd_;
};

}  // namespace virmo::ovf
