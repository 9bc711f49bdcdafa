// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/uuid.h"

#include <openssl/evp.h>
#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace virmo {

namespace {

using Octets = std::array<unsigned char, 16>;

std::string Format(Octets octets, int version) {
  octets[6] = static_cast<unsigned char>((octets[6] & 0x0f) | (version << 4));
  octets[8] = static_cast<unsigned char>((octets[8] & 0x3f) | 0x80);
  const std::string hex = absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(octets.data()), octets.size()));
  return absl::StrCat(hex.substr(0, 8), "-", hex.substr(8, 4), "-", hex.substr(12, 4), "-",
                      hex.substr(16, 4), "-", hex.substr(20));
}

}  // namespace

std::string NewUuid() {
  Octets octets;
  // Up to 256 octets are all or nothing; EINTR is possible only before the pool is seeded.
  while (getrandom(octets.data(), octets.size(), 0) != static_cast<ssize_t>(octets.size())) {
    if (errno != EINTR) std::abort();
  }
  return Format(octets, 4);
}

std::string NameUuid(absl::string_view space, absl::string_view name) {
  const std::string input =
      absl::StrCat(absl::HexStringToBytes(absl::StrReplaceAll(space, {{"-", ""}})), name);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  // OpenSSL fails here only without memory or without its default provider: nothing to go on with.
  if (EVP_Digest(input.data(), input.size(), digest.data(), nullptr, EVP_sha1(), nullptr) != 1) {
    std::abort();
  }
  Octets octets;
  std::copy_n(digest.begin(), octets.size(), octets.begin());
  return Format(octets, 5);
}

bool IsUuid(absl::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const char c = text[i];
    if (dash ? c != '-' : !(absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f'))) return false;
  }
  return true;
}

}  // namespace virmo
