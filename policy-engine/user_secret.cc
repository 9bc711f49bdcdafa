// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/user_secret.h"

#include <sodium.h>

#include "services/runtime/error.h"

namespace virmo::policy_engine {
namespace {

constexpr int64_t kOperations = 3;

}  // namespace

UserSecret NewUserSecret(int64_t memory) {
  UserSecret secret;
  secret.salt.resize(crypto_pwhash_SALTBYTES);
  randombytes_buf(secret.salt.data(), secret.salt.size());
  secret.operations = kOperations;
  secret.memory = memory;
  return secret;
}

absl::StatusOr<Key> Stretch(absl::string_view secret, const UserSecret& with) {
  std::string octets(Key::kSize, '\0');
  const int failed =
      with.salt.size() != crypto_pwhash_SALTBYTES
          ? -1
          : crypto_pwhash(reinterpret_cast<unsigned char*>(octets.data()), octets.size(),
                          secret.data(), secret.size(),
                          reinterpret_cast<const unsigned char*>(with.salt.data()),
                          static_cast<unsigned long long>(with.operations),
                          static_cast<size_t>(with.memory), crypto_pwhash_ALG_ARGON2ID13);
  std::optional<Key> key;
  if (failed == 0) key = Key::From(octets);
  sodium_memzero(octets.data(), octets.size());
  if (key) return *key;
  return ErrorWithCode(absl::StatusCode::kResourceExhausted, v1::ErrorInfo::REASON_STORAGE_FAILED,
                       "not enough memory to check the secret");
}

std::string VerifierOf(const Key& stretched) {
  return std::string(Key::Derive(stretched.octets(), "virmo user secret verifier 1").octets());
}

Key WrappingOf(const Key& stretched) {
  return Key::Derive(stretched.octets(), "virmo user secret wrap 1");
}

}  // namespace virmo::policy_engine
