// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "policy-engine/key_crypto.h"

namespace virmo::policy_engine {

// What is stored of a user's PIN or password: nothing that can be turned back into it but by
// guessing, and each guess costs Argon2id (README.md says what that means for short PINs).
struct UserSecret {
  std::string salt;
  int64_t operations = 0;  // Argon2id passes.
  int64_t memory = 0;      // Argon2id memory, in bytes.
  std::string verifier;
  std::string wrap;  // The data key under the secret; empty if the VM is not encrypted.
};

// What a secret becomes at a cost of tens of milliseconds and tens of MiB: RESOURCE_EXHAUSTED
// (STORAGE_FAILED) if there is no such memory.
absl::StatusOr<Key> Stretch(absl::string_view secret, const UserSecret& with);

// A new salt at today's cost with so many bytes of memory, without verifier and wrap yet.
UserSecret NewUserSecret(int64_t memory);

// Of a stretched secret: what tells it from another, and what wraps the data key.
std::string VerifierOf(const Key& stretched);
Key WrappingOf(const Key& stretched);

}  // namespace virmo::policy_engine
