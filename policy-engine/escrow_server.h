// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sodium.h>

#include <fstream>
#include <string>

namespace virmo::policy_engine {

// The server's half of the escrow, for tests: a key pair, and what opens a sealed key with it.
class EscrowServer {
 public:
  EscrowServer() { crypto_box_keypair(public_key_, secret_key_); }

  // Writes the public key as policy-engine reads it.
  void WritePublicKey(const std::string& path) const {
    char text[64];
    sodium_bin2base64(text, sizeof(text), public_key_, sizeof(public_key_),
                      sodium_base64_VARIANT_ORIGINAL);
    std::ofstream(path) << text << "\n";
  }

  // Empty if it was not sealed for this server.
  std::string Open(const std::string& sealed) const {
    if (sealed.size() < crypto_box_SEALBYTES) return "";
    std::string key(sealed.size() - crypto_box_SEALBYTES, '\0');
    const int failed = crypto_box_seal_open(reinterpret_cast<unsigned char*>(key.data()),
                                            reinterpret_cast<const unsigned char*>(sealed.data()),
                                            sealed.size(), public_key_, secret_key_);
    return failed == 0 ? key : "";
  }

 private:
  unsigned char public_key_[crypto_box_PUBLICKEYBYTES];
  unsigned char secret_key_[crypto_box_SECRETKEYBYTES];
};

}  // namespace virmo::policy_engine
