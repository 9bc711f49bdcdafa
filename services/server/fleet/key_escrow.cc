// SPDX-License-Identifier: Apache-2.0
#include "services/server/fleet/key_escrow.h"

#include <sodium.h>

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"

namespace virmo::server {
namespace {

constexpr const char* kName = "escrow";
constexpr const char* kContext = "server_key:escrow";

const unsigned char* Octets(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

absl::Status MakeKeyPair(Database& database, const SecretBox& secrets) {
  std::string public_key(crypto_box_PUBLICKEYBYTES, '\0');
  std::string private_key(crypto_box_SECRETKEYBYTES, '\0');
  crypto_box_keypair(reinterpret_cast<unsigned char*>(public_key.data()),
                     reinterpret_cast<unsigned char*>(private_key.data()));
  ASSIGN_OR_RETURN(std::string sealed, secrets.Seal(private_key, kContext));
  sodium_memzero(private_key.data(), private_key.size());
  return database.Execute(
      "INSERT INTO server_key (name, public_key, private_key) VALUES (?1, ?2, ?3) ON CONFLICT "
      "(name) DO NOTHING",
      {kName, Blob{std::move(public_key)}, Blob{std::move(sealed)}});
}

}  // namespace

absl::StatusOr<std::unique_ptr<KeyEscrow>> KeyEscrow::Open(Database& database,
                                                           const SecretBox& secrets) {
  if (sodium_init() < 0) return Error(v1::ErrorInfo::REASON_INTERNAL, "libsodium does not start");
  const std::string find = "SELECT public_key, private_key FROM server_key WHERE name = ?1";
  ASSIGN_OR_RETURN(auto rows, database.Query(find, {kName}));
  if (rows.empty()) {
    RETURN_IF_ERROR(MakeKeyPair(database, secrets));
    ASSIGN_OR_RETURN(rows, database.Query(find, {kName}));
  }
  ASSIGN_OR_RETURN(std::string private_key, secrets.Unseal(rows[0].Text(1), kContext));
  std::string public_key = rows[0].Text(0);
  if (public_key.size() != crypto_box_PUBLICKEYBYTES ||
      private_key.size() != crypto_box_SECRETKEYBYTES) {
    return Error(v1::ErrorInfo::REASON_STORAGE_FAILED, "the escrow key's record is damaged");
  }
  return std::unique_ptr<KeyEscrow>(
      new KeyEscrow(database, std::move(public_key), std::move(private_key)));
}

std::string KeyEscrow::PublicKey() const { return absl::Base64Escape(public_key_); }

absl::StatusOr<std::string> KeyEscrow::Unseal(absl::string_view sealed) const {
  std::string key(kKeyOctets, '\0');
  if (sealed.size() != crypto_box_SEALBYTES + kKeyOctets ||
      crypto_box_seal_open(reinterpret_cast<unsigned char*>(key.data()), Octets(sealed),
                           sealed.size(), Octets(public_key_), Octets(private_key_)) != 0) {
    return Error(v1::ErrorInfo::REASON_INVALID_ARGUMENT,
                 "the escrow was not sealed for this server's key");
  }
  return key;
}

absl::Status KeyEscrow::Store(const std::string& device, const std::string& vm,
                              absl::string_view sealed) {
  RETURN_IF_ERROR(Unseal(sealed).status());
  return database_.Execute(
      "INSERT INTO key_escrow (device, virtual_machine, sealed_key) VALUES (?1, ?2, ?3) ON "
      "CONFLICT (device, virtual_machine) DO UPDATE SET sealed_key = excluded.sealed_key",
      {device, vm, Blob{std::string(sealed)}});
}

absl::StatusOr<std::string> KeyEscrow::Release(const std::string& device, const std::string& vm) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT sealed_key FROM key_escrow WHERE device "
                                   "= ?1 AND virtual_machine = ?2",
                                   {device, vm}));
  if (!rows.empty()) return Unseal(rows[0].Text(0));
  return Error(v1::ErrorInfo::REASON_NOT_FOUND,
               absl::StrCat("no key of virtual machine ", vm, " is held in escrow"));
}

absl::StatusOr<bool> KeyEscrow::Holds(const std::string& device, const std::string& vm) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT 1 FROM key_escrow WHERE device = ?1 AND "
                                   "virtual_machine = ?2",
                                   {device, vm}));
  return !rows.empty();
}

absl::Status KeyEscrow::Remove(const std::string& device, const std::string& vm) {
  return database_.Execute("DELETE FROM key_escrow WHERE device = ?1 AND virtual_machine = ?2",
                           {device, vm});
}

}  // namespace virmo::server
