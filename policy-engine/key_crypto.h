// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace virmo::policy_engine {

// 32 secret octets: a data key, or what wraps one. Wiped from memory when it goes.
class Key {
 public:
  static constexpr size_t kSize = 32;

  static Key Random();
  // Nothing if `octets` are not 32.
  static std::optional<Key> From(absl::string_view octets);
  // Derives a key from secret octets of any number, but not from a password.
  static Key Derive(absl::string_view secret, absl::string_view purpose);

  Key(const Key&) = default;
  Key& operator=(const Key&) = default;
  ~Key();

  absl::string_view octets() const;
  const unsigned char* data() const { return octets_.data(); }

 private:
  Key() = default;

  std::array<unsigned char, kSize> octets_{};
};

// Octets of Wrap()'s result: nonce, key, authenticator.
constexpr size_t kWrapSize = 24 + Key::kSize + 16;

// Encrypts `key` under `wrapping` (XChaCha20-Poly1305). `context` is authenticated: what was
// wrapped for one virtual machine and purpose opens for no other.
std::string Wrap(const Key& key, const Key& wrapping, absl::string_view context);

// Nothing if it was not made by Wrap() with the same key and context.
std::optional<Key> Unwrap(absl::string_view wrap, const Key& wrapping, absl::string_view context);

// Tells a data key from another without telling anything of it (BLAKE2b).
std::string CheckValueOf(const Key& key, absl::string_view context);
// In constant time.
bool SameOctets(absl::string_view a, absl::string_view b);

// Seals `key` so that only the holder of the X25519 secret key can open it: libsodium's
// crypto_box_seal of the 32 octets, 80 octets, another each time.
std::string SealKey(const Key& key, absl::string_view public_key);

// Reads the device's own secret: a file of at least 32 octets. With `make`, one of 32 random
// octets is made (0600) if there is none. STORAGE_FAILED; INVALID_ARGUMENT if it is too short.
absl::StatusOr<Key> LoadHostKey(const std::string& path, bool make);

// Reads an X25519 public key: base64 of 32 octets, on one line. STORAGE_FAILED; INVALID_ARGUMENT.
absl::StatusOr<std::string> LoadPublicKey(const std::string& path);

}  // namespace virmo::policy_engine
