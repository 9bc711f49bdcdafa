// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/syncml/base64.h"

// DM authentication (OMA DM Security 1.2 §5). H is MD5 because the protocol says so; it is safe
// only inside TLS. Nonces are octets everywhere here: decode NextNonce with Base64Decode() first.
// Pure functions, safe from any thread.
namespace virmo::syncml {

inline constexpr absl::string_view kAuthBasic = "syncml:auth-basic";
inline constexpr absl::string_view kAuthMd5 = "syncml:auth-md5";
inline constexpr absl::string_view kAuthMac = "syncml:auth-MAC";

// B64(H(user:password)): what a server may store instead of the password. It is as good as the
// password for md5 and MAC with this server, so it is a secret too.
std::string HashedCredential(absl::string_view user, absl::string_view password);

// Cred/Data of auth-md5: B64(H(hashed_credential ":" nonce)).
std::string Md5Digest(absl::string_view user, absl::string_view password,
                      absl::string_view nonce_octets);
std::string Md5DigestFromHash(absl::string_view hashed_credential, absl::string_view nonce_octets);

// The mac of x-syncml-hmac: B64(H(hashed_credential ":" nonce ":" B64(H(body)))), nested MD5 and
// not RFC 2104, over the HTTP entity's octets before any decoding.
std::string MacDigest(absl::string_view user, absl::string_view password,
                      absl::string_view nonce_octets, absl::string_view body);
std::string MacDigestFromHash(absl::string_view hashed_credential, absl::string_view nonce_octets,
                              absl::string_view body);

// Cred/Data of auth-basic, and back. The user ends at the first colon. InvalidArgument if the
// data is not base64 or has no colon.
struct UserPassword {
  std::string user{};
  std::string password{};
};
std::string BasicCred(absl::string_view user, absl::string_view password);
absl::StatusOr<UserPassword> ParseBasicCred(absl::string_view data);

// HTTP header x-syncml-hmac: `algorithm=MD5, username="NAME", mac=B64VALUE`.
struct HmacHeader {
  std::string algorithm = "MD5";
  std::string username{};
  std::string mac{};
};
std::string FormatHmacHeader(const HmacHeader& header);

// Accepts any order, quoted and bare values, a missing algorithm. InvalidArgument if username or
// mac is missing or given twice; Unimplemented for another algorithm than MD5.
absl::StatusOr<HmacHeader> ParseHmacHeader(absl::string_view value);

// MAC parameter of a bootstrap message: HMAC-SHA1 in upper-case hex. `key` is the secret, the
// PIN, or "PIN:secret" (OMA DM Bootstrap 1.2 §5.7).
std::string BootstrapMac(absl::string_view key, absl::string_view document);

// Takes the same time wherever the first difference is. Lengths are not secret.
bool ConstantTimeEquals(absl::string_view a, absl::string_view b);

// 16 octets from the system's generator, for a Chal. Internal if it has none to give.
absl::StatusOr<std::string> RandomNonce();

}  // namespace virmo::syncml
