// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/credential.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace virmo::syncml {
namespace {

Meta MetaOf(AuthType type) {
  Meta meta;
  meta.format = "b64";
  meta.type = std::string(Name(type));
  return meta;
}

// Not short-circuited: which of the two was wrong must not show in time.
bool BothFit(bool user_fits, bool digest_fits) {
  return (static_cast<unsigned>(user_fits) & static_cast<unsigned>(digest_fits)) != 0;
}

bool ProvesBasic(const Cred& cred, const Identity& identity) {
  const absl::StatusOr<UserPassword> given = ParseBasicCred(cred.data);
  const UserPassword pair = given.ok() ? *given : UserPassword{};
  // "a:b" with "c" and "a" with "b:c" have the same hash, so the name counts by itself.
  return BothFit(ConstantTimeEquals(pair.user, identity.user),
                 ConstantTimeEquals(HashedCredential(pair.user, pair.password),
                                    identity.hashed_credential)) &&
         given.ok();
}

}  // namespace

absl::string_view Name(AuthType type) {
  switch (type) {
    case AuthType::kBasic:
      return kAuthBasic;
    case AuthType::kMd5:
      return kAuthMd5;
    case AuthType::kMac:
      return kAuthMac;
  }
  return {};
}

std::optional<AuthType> ParseAuthType(absl::string_view type) {
  type = absl::StripAsciiWhitespace(type);
  for (const AuthType known : {AuthType::kBasic, AuthType::kMd5, AuthType::kMac}) {
    if (absl::EqualsIgnoreCase(type, Name(known))) return known;
  }
  return std::nullopt;
}

Chal MakeChallenge(absl::string_view nonce_octets, AuthType type) {
  Chal chal = {.meta = MetaOf(type)};
  if (type != AuthType::kBasic) chal.meta.next_nonce = Base64Encode(nonce_octets);
  return chal;
}

std::optional<AuthType> AuthTypeOf(const Chal& chal) {
  return ParseAuthType(chal.meta.type.value_or(""));
}

std::optional<AuthType> AuthTypeOf(const Cred& cred) {
  if (!cred.meta.type) return AuthType::kBasic;
  return ParseAuthType(*cred.meta.type);
}

std::optional<std::string> NextNonceOf(const std::optional<Chal>& chal) {
  if (!chal || !chal->meta.next_nonce) return std::nullopt;
  absl::StatusOr<std::string> octets =
      Base64Decode(absl::StripAsciiWhitespace(*chal->meta.next_nonce));
  if (!octets.ok()) return std::nullopt;
  return *std::move(octets);
}

Identity MakeIdentity(absl::string_view user, absl::string_view password) {
  return {.user = std::string(user), .hashed_credential = HashedCredential(user, password)};
}

Cred MakeBasicCred(absl::string_view user, absl::string_view password) {
  return {.meta = MetaOf(AuthType::kBasic), .data = BasicCred(user, password)};
}

Cred MakeMd5Cred(const Identity& identity, absl::string_view nonce_octets) {
  return {.meta = MetaOf(AuthType::kMd5),
          .data = Md5DigestFromHash(identity.hashed_credential, nonce_octets)};
}

bool Proves(const Cred& cred, const Identity& identity, absl::string_view nonce_octets) {
  const std::optional<AuthType> type = AuthTypeOf(cred);
  if (type == AuthType::kBasic) return ProvesBasic(cred, identity);
  if (type != AuthType::kMd5) return false;
  // The name travels in Source/LocName, and is part of the hash.
  return ConstantTimeEquals(Md5DigestFromHash(identity.hashed_credential, nonce_octets),
                            absl::StripAsciiWhitespace(cred.data));
}

HmacHeader MakeHmacHeader(const Identity& identity, absl::string_view nonce_octets,
                          absl::string_view body) {
  return {.username = identity.user,
          .mac = MacDigestFromHash(identity.hashed_credential, nonce_octets, body)};
}

bool Proves(const HmacHeader& header, const Identity& identity, absl::string_view nonce_octets,
            absl::string_view body) {
  const std::string expected = MacDigestFromHash(identity.hashed_credential, nonce_octets, body);
  return BothFit(ConstantTimeEquals(header.username, identity.user),
                 ConstantTimeEquals(header.mac, expected));
}

}  // namespace virmo::syncml
