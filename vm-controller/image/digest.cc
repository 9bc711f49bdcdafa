// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/image/digest.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"

namespace virmo::vm_controller {

absl::StatusOr<std::string> FileSha256(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    return Error(v1::ErrorInfo::REASON_STORAGE_FAILED,
                 absl::StrCat("cannot open ", path, ": ", std::strerror(errno)));
  }
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        EVP_MD_CTX_free);
  EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr);
  std::vector<char> buffer(1 << 20);
  ssize_t count = 0;
  while ((count = read(file, buffer.data(), buffer.size())) > 0) {
    EVP_DigestUpdate(context.get(), buffer.data(), static_cast<size_t>(count));
  }
  const int error = errno;
  close(file);
  if (count < 0) {
    return Error(v1::ErrorInfo::REASON_STORAGE_FAILED,
                 absl::StrCat("cannot read ", path, ": ", std::strerror(error)));
  }
  std::string digest(32, '\0');
  EVP_DigestFinal_ex(context.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr);
  return absl::BytesToHexString(digest);
}

}  // namespace virmo::vm_controller
