// SPDX-License-Identifier: Apache-2.0
#include "services/cli/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

#include "services/cli/exit_code.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/status_macros.h"

namespace virmo::cli {
namespace {

absl::Status ExistsError(const std::string& path) {
  return WithHint(Error(v1::ErrorInfo::REASON_ALREADY_EXISTS,
                        absl::StrCat(path, " exists already and is left as it is")),
                  "name another file, or replace it with --force");
}

absl::Status WriteError(const std::string& path) {
  return WithExitCode(Error(v1::ErrorInfo::REASON_STORAGE_FAILED,
                            absl::StrCat("cannot write ", path, ": ", std::strerror(errno))),
                      ExitCode::kInternal);
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

absl::StatusOr<std::unique_ptr<SecretFile>> SecretFile::Prepare(const std::string& path,
                                                                bool replace) {
  struct stat existing = {};
  if (!replace && lstat(path.c_str(), &existing) == 0) return ExistsError(path);
  std::string temporary = absl::StrCat(path, ".XXXXXX");
  const int file = mkostemp(temporary.data(), O_CLOEXEC);  // Mode 0600.
  if (file < 0) return WriteError(path);
  return std::unique_ptr<SecretFile>(new SecretFile(path, temporary, file, replace));
}

SecretFile::~SecretFile() {
  if (file_ >= 0) close(file_);
  unlink(temporary_.c_str());
}

absl::Status SecretFile::Commit(absl::string_view content) {
  while (!content.empty()) {
    const ssize_t written = write(file_, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return WriteError(path_);
    content.remove_prefix(static_cast<size_t>(written));
  }
  if (fsync(file_) != 0) return WriteError(path_);
  RETURN_IF_ERROR(MoveIntoPlace());
  return SyncDirectory(FolderOf(path_));
}

absl::Status SecretFile::MoveIntoPlace() {
  if (replace_) {
    return rename(temporary_.c_str(), path_.c_str()) == 0 ? absl::OkStatus() : WriteError(path_);
  }
  // Unlike rename(), link() does not replace a file that appeared meanwhile.
  if (link(temporary_.c_str(), path_.c_str()) == 0) return absl::OkStatus();
  return errno == EEXIST ? ExistsError(path_) : WriteError(path_);
}

}  // namespace virmo::cli
