// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/key_crypto.h"

#include <sodium.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/status_macros.h"

namespace virmo::policy_engine {
namespace {

constexpr size_t kMaxKeyFile = 4096;
constexpr size_t kNonceSize = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;

static_assert(kWrapSize == kNonceSize + Key::kSize + crypto_aead_xchacha20poly1305_ietf_ABYTES);
static_assert(Key::kSize == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);

const unsigned char* Octets(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

unsigned char* Octets(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

}  // namespace

Key Key::Random() {
  // Before it is initialised, libsodium's generator is slower, not weaker.
  Key key;
  randombytes_buf(key.octets_.data(), kSize);
  return key;
}

std::optional<Key> Key::From(absl::string_view octets) {
  if (octets.size() != kSize) return std::nullopt;
  Key key;
  std::copy(octets.begin(), octets.end(), key.octets_.begin());
  return key;
}

Key Key::Derive(absl::string_view secret, absl::string_view purpose) {
  Key key;
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, kSize);
  const std::string head = absl::StrCat(purpose.size(), ":", purpose);
  crypto_generichash_update(&state, Octets(head), head.size());
  crypto_generichash_update(&state, Octets(secret), secret.size());
  crypto_generichash_final(&state, key.octets_.data(), kSize);
  sodium_memzero(&state, sizeof(state));
  return key;
}

Key::~Key() { sodium_memzero(octets_.data(), kSize); }

absl::string_view Key::octets() const {
  return {reinterpret_cast<const char*>(octets_.data()), kSize};
}

std::string Wrap(const Key& key, const Key& wrapping, absl::string_view context) {
  std::string wrap(kWrapSize, '\0');
  unsigned char* const nonce = Octets(wrap);
  randombytes_buf(nonce, kNonceSize);
  crypto_aead_xchacha20poly1305_ietf_encrypt(nonce + kNonceSize, nullptr, key.data(), Key::kSize,
                                             Octets(context), context.size(), nullptr, nonce,
                                             wrapping.data());
  return wrap;
}

std::optional<Key> Unwrap(absl::string_view wrap, const Key& wrapping, absl::string_view context) {
  if (wrap.size() != kWrapSize) return std::nullopt;
  std::string plain(Key::kSize, '\0');
  const int failed = crypto_aead_xchacha20poly1305_ietf_decrypt(
      Octets(plain), nullptr, nullptr, Octets(wrap) + kNonceSize, kWrapSize - kNonceSize,
      Octets(context), context.size(), Octets(wrap), wrapping.data());
  std::optional<Key> key;
  if (failed == 0) key = Key::From(plain);
  sodium_memzero(plain.data(), plain.size());
  return key;
}

std::string CheckValueOf(const Key& key, absl::string_view context) {
  std::string value(crypto_generichash_BYTES, '\0');
  crypto_generichash(Octets(value), value.size(), Octets(context), context.size(), key.data(),
                     Key::kSize);
  return value;
}

bool SameOctets(absl::string_view a, absl::string_view b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string SealKey(const Key& key, absl::string_view public_key) {
  std::string sealed(crypto_box_SEALBYTES + Key::kSize, '\0');
  // Fails only for a public key that LoadPublicKey does not let in.
  const int failed = crypto_box_seal(Octets(sealed), key.data(), Key::kSize, Octets(public_key));
  return failed == 0 ? sealed : "";
}

absl::StatusOr<Key> LoadHostKey(const std::string& path, bool make) {
  if (make && access(path.c_str(), F_OK) != 0 && errno == ENOENT) {
    RETURN_IF_ERROR(WriteFileAtomically(path, Key::Random().octets(), 0600));
  }
  ASSIGN_OR_RETURN(std::string secret, ReadFile(path, kMaxKeyFile));
  if (secret.size() < Key::kSize) {
    return InvalidField("host_key_file", absl::StrCat(path, " has ", secret.size(),
                                                      " octets; at least 32 are needed"));
  }
  const Key key = Key::Derive(secret, "virmo host key 1");
  sodium_memzero(secret.data(), secret.size());
  return key;
}

absl::StatusOr<std::string> LoadPublicKey(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxKeyFile));
  const absl::string_view line = absl::StripAsciiWhitespace(text);
  std::string key(crypto_box_PUBLICKEYBYTES, '\0');
  size_t size = 0;
  const char* end = nullptr;
  const bool decoded = sodium_base642bin(Octets(key), key.size(), line.data(), line.size(), nullptr,
                                         &size, &end, sodium_base64_VARIANT_ORIGINAL) == 0;
  if (!decoded || size != key.size() || end != line.data() + line.size()) {
    return InvalidField("escrow_public_key_file",
                        absl::StrCat(path,
                                     " is not an X25519 public key: base64 of 32 octets on "
                                     "one line"));
  }
  if (SealKey(Key::Random(), key).empty()) {
    return InvalidField("escrow_public_key_file",
                        absl::StrCat(path, " is a key that protects nothing (low order)"));
  }
  return key;
}

}  // namespace virmo::policy_engine
