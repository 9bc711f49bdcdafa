// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "services/syncml/auth.h"
#include "services/syncml/message.h"

// Chal and Cred elements, made and judged (OMA DM Security 1.2 §5). Judging compares in constant
// time and does the same work for a wrong user name; which user and nonce to expect is the
// caller's business. Pure functions, safe from any thread.
namespace virmo::syncml {

enum class AuthType : uint8_t { kBasic, kMd5, kMac };

// The Meta/Type: "syncml:auth-basic", "syncml:auth-md5", "syncml:auth-MAC".
absl::string_view Name(AuthType type);

// By Meta/Type; white space and case do not count. Nothing for any other type.
std::optional<AuthType> ParseAuthType(absl::string_view type);

// A Chal of this type. Basic has no use for a nonce: `nonce_octets` is left out then.
Chal MakeChallenge(absl::string_view nonce_octets, AuthType type = AuthType::kMd5);

// The type that a Chal or Cred asks for or is of. Nothing if it names none that we know; a Cred
// without any type is basic (SyncML RepPro 1.2 §5.3).
std::optional<AuthType> AuthTypeOf(const Chal& chal);
std::optional<AuthType> AuthTypeOf(const Cred& cred);

// The octets of the nonce in a Chal. Nothing without one, or if it is not base64.
std::optional<std::string> NextNonceOf(const std::optional<Chal>& chal);

// Who somebody is: the name, and HashedCredential() of name and password.
struct Identity {
  std::string user{};
  std::string hashed_credential{};
};
Identity MakeIdentity(absl::string_view user, absl::string_view password);

// Cred of auth-basic and of auth-md5. (MAC has none: it is in the HTTP header.)
Cred MakeBasicCred(absl::string_view user, absl::string_view password);
Cred MakeMd5Cred(const Identity& identity, absl::string_view nonce_octets);

// Whether `cred` is basic or md5 and proves `identity`. Basic needs no nonce; whether it may be
// used at all (TLS, opt-in) is to be asked before. False for every other type.
bool Proves(const Cred& cred, const Identity& identity, absl::string_view nonce_octets);

// The header's value for a message that is `body` on the wire, and whether one that came proves
// `identity`. `body` is the HTTP entity as received, before any content decoding.
HmacHeader MakeHmacHeader(const Identity& identity, absl::string_view nonce_octets,
                          absl::string_view body);
bool Proves(const HmacHeader& header, const Identity& identity, absl::string_view nonce_octets,
            absl::string_view body);

}  // namespace virmo::syncml
