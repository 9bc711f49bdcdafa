// SPDX-License-Identifier: Apache-2.0
#include "services/server/store/secret_box.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <unistd.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/status_macros.h"

namespace virmo::server {
namespace {

constexpr size_t kKeySize = 32;
constexpr int kNonceSize = 12;
constexpr int kTagSize = 16;

using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

const unsigned char* Octets(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* Octets(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

absl::Status Failed(absl::string_view what) {
  return Error(v1::ErrorInfo::REASON_STORAGE_FAILED, what);
}

absl::StatusOr<std::string> RandomOctets(size_t count) {
  std::string octets(count, '\0');
  if (RAND_bytes(Octets(octets), static_cast<int>(count)) != 1) {
    return Error(v1::ErrorInfo::REASON_INTERNAL, "the system gives no random numbers");
  }
  return octets;
}

absl::StatusOr<std::string> MakeKey(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string key, RandomOctets(kKeySize));
  RETURN_IF_ERROR(WriteFileAtomically(path, absl::BytesToHexString(key) + "\n", 0600));
  return key;
}

}  // namespace

absl::StatusOr<std::string> RandomHex(size_t bytes) {
  ASSIGN_OR_RETURN(const std::string octets, RandomOctets(bytes));
  return absl::BytesToHexString(octets);
}

absl::StatusOr<std::unique_ptr<SecretBox>> SecretBox::Open(const std::string& path,
                                                           IfMissing if_missing) {
  std::string key;
  if (access(path.c_str(), F_OK) == 0) {
    ASSIGN_OR_RETURN(const std::string text, ReadFile(path, 1024));
    // HexStringToBytes takes anything, so look first.
    const bool is_hex = text.find_first_not_of("0123456789abcdef\n") == std::string::npos;
    if (is_hex) key = absl::HexStringToBytes(text.substr(0, 2 * kKeySize));
    if (!is_hex || text.size() < 2 * kKeySize) {
      return Failed(absl::StrCat(path, " is no key of ours; restore it from a backup"));
    }
  } else if (if_missing == IfMissing::kMakeKey) {
    ASSIGN_OR_RETURN(key, MakeKey(path));
  } else {
    return Failed(absl::StrCat(path,
                               " is missing, and enrolled devices need it; restore it from "
                               "a backup, or remove the database and enrol them anew"));
  }
  return std::unique_ptr<SecretBox>(new SecretBox(std::move(key)));
}

absl::StatusOr<std::string> SecretBox::Seal(absl::string_view secret,
                                            absl::string_view context) const {
  ASSIGN_OR_RETURN(std::string sealed, RandomOctets(kNonceSize));
  Context cipher(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  std::string text(secret.size(), '\0');
  std::string tag(kTagSize, '\0');
  int size = 0;
  const bool done =
      EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, Octets(key_), Octets(sealed)) ==
          1 &&
      EVP_EncryptUpdate(cipher.get(), nullptr, &size, Octets(context),
                        static_cast<int>(context.size())) == 1 &&
      EVP_EncryptUpdate(cipher.get(), Octets(text), &size, Octets(secret),
                        static_cast<int>(secret.size())) == 1 &&
      EVP_EncryptFinal_ex(cipher.get(), nullptr, &size) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kTagSize, tag.data()) == 1;
  if (!done) return Error(v1::ErrorInfo::REASON_INTERNAL, "cannot seal a secret");
  return absl::StrCat(sealed, text, tag);
}

absl::StatusOr<std::string> SecretBox::Unseal(absl::string_view sealed,
                                              absl::string_view context) const {
  if (sealed.size() < kNonceSize + kTagSize) return Failed("a sealed secret is cut short");
  const absl::string_view body = sealed.substr(kNonceSize, sealed.size() - kNonceSize - kTagSize);
  std::string tag(sealed.substr(sealed.size() - kTagSize));
  std::string secret(body.size(), '\0');
  Context cipher(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  int size = 0;
  const bool done =
      EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, Octets(key_), Octets(sealed)) ==
          1 &&
      EVP_DecryptUpdate(cipher.get(), nullptr, &size, Octets(context),
                        static_cast<int>(context.size())) == 1 &&
      EVP_DecryptUpdate(cipher.get(), Octets(secret), &size, Octets(body),
                        static_cast<int>(body.size())) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kTagSize, tag.data()) == 1 &&
      EVP_DecryptFinal_ex(cipher.get(), nullptr, &size) == 1;
  if (!done) return Failed("a sealed secret does not open with this server's key file");
  return secret;
}

}  // namespace virmo::server
