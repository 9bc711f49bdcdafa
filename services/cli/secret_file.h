// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace virmo::cli {

// A file for secrets that can be had only once: everything that could keep it from being written
// is tried before they are asked for. 0600 from its first moment; never half there; another
// file of that name is replaced only if that was asked for.
class SecretFile {
 public:
  // Makes a temporary file beside `path`. ALREADY_EXISTS if `path` exists and not `replace`;
  // FAILED_PRECONDITION if its folder cannot be written to.
  static absl::StatusOr<std::unique_ptr<SecretFile>> Prepare(const std::string& path, bool replace);
  // Removes the temporary file.
  ~SecretFile();
  SecretFile(const SecretFile&) = delete;
  SecretFile& operator=(const SecretFile&) = delete;

  // Puts `content` at `path`, durably.
  absl::Status Commit(absl::string_view content);

 private:
  SecretFile(std::string path, std::string temporary, int file, bool replace)
      : path_(std::move(path)), temporary_(std::move(temporary)), file_(file), replace_(replace) {}
  absl::Status MoveIntoPlace();

  const std::string path_;
  const std::string temporary_;
  int file_;
  const bool replace_;
};

}  // namespace virmo::cli
