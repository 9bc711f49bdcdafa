// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/runtime/sqlite.h"
#include "services/server/store/secret_box.h"

namespace virmo::server {

// Keeps the data keys of encrypted virtual machines, so that a locked one opens with this server's
// help alone. A device seals each key for our public key (libsodium's sealed box: X25519,
// XSalsa20-Poly1305; nothing before or after it) and shows it at `Lock/KeyEscrow`. Thread-safe;
// takes part in a caller's transaction.
class KeyEscrow {
 public:
  static constexpr size_t kKeyOctets = 32;

  // Makes the key pair at the first start; the private half is sealed in the database. DATA_LOSS
  // (STORAGE_FAILED) if it cannot be read.
  static absl::StatusOr<std::unique_ptr<KeyEscrow>> Open(Database& database,
                                                         const SecretBox& secrets);

  // The public key in base64, 44 characters: what a device's `escrow_public_key_file` holds.
  std::string PublicKey() const;

  // Keeps what the device shows; INVALID_ARGUMENT, and the former kept, if it does not open.
  absl::Status Store(const std::string& device, const std::string& vm, absl::string_view sealed);
  // The data key. NOT_FOUND if none is held.
  absl::StatusOr<std::string> Release(const std::string& device, const std::string& vm);
  absl::StatusOr<bool> Holds(const std::string& device, const std::string& vm);
  absl::Status Remove(const std::string& device, const std::string& vm);

 private:
  KeyEscrow(Database& database, std::string public_key, std::string private_key)
      : database_(database),
        public_key_(std::move(public_key)),
        private_key_(std::move(private_key)) {}

  absl::StatusOr<std::string> Unseal(absl::string_view sealed) const;

  Database& database_;
  const std::string public_key_;
  const std::string private_key_;
};

}  // namespace virmo::server
