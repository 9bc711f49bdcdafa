// SPDX-License-Identifier: Apache-2.0
#include "services/cli/input.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace virmo::cli {
namespace {

constexpr size_t kPiece = 65536;

bool IsStandardInput(const std::string& path) { return path.empty() || path == "-"; }

absl::Status Failure(const std::string& path, int error) {
  const std::string message = absl::StrCat("cannot read ", path, ": ", std::strerror(error));
  if (error == ENOENT) return absl::NotFoundError(message);
  if (error == EACCES || error == EPERM) return absl::PermissionDeniedError(message);
  return absl::InternalError(message);
}

absl::StatusOr<std::string> ReadAll(int file, const std::string& path, size_t max_bytes) {
  std::string octets;
  while (true) {
    const size_t had = octets.size();
    octets.resize(had + std::min(kPiece, max_bytes + 1 - had));
    const ssize_t got = read(file, octets.data() + had, octets.size() - had);
    if (got < 0 && errno == EINTR) {
      octets.resize(had);
      continue;
    }
    if (got < 0) return Failure(path, errno);
    octets.resize(had + static_cast<size_t>(got));
    if (got == 0) return octets;
    if (octets.size() > max_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("octet ", max_bytes, ": longer than the limit of ", max_bytes, " octets"));
    }
  }
}

}  // namespace

std::string InputName(const std::string& path) {
  return IsStandardInput(path) ? "standard input" : path;
}

absl::StatusOr<std::string> ReadInput(const std::string& path, size_t max_bytes) {
  if (IsStandardInput(path)) return ReadAll(STDIN_FILENO, InputName(path), max_bytes);
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return Failure(path, errno);
  absl::StatusOr<std::string> octets = ReadAll(file, path, max_bytes);
  close(file);
  return octets;
}

}  // namespace virmo::cli
