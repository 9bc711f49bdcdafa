// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/auth.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/status_macros.h"

namespace virmo::syncml {
namespace {

constexpr size_t kNonceOctets = 16;
constexpr size_t kMd5Octets = 16;
constexpr size_t kSha1Octets = 20;

const unsigned char* Octets(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// A digest of nothing would make everybody equal: there is no way on if the library refuses.
[[noreturn]] void DieWithout(const char* algorithm) {
  std::fprintf(stderr, "libcrypto offers no %s, which OMA DM needs\n", algorithm);
  std::abort();
}

// B64(MD5(text)).
std::string HashToBase64(absl::string_view text) {
  std::array<char, kMd5Octets> digest;
  unsigned int size = 0;
  const int done =
      EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char*>(digest.data()), &size,
                 EVP_md5(), nullptr);
  if (done != 1 || size != digest.size()) DieWithout("MD5");
  return Base64Encode(absl::string_view(digest.data(), digest.size()));
}

// One `key=value` of the header, value bare or quoted; takes it off the front of `rest`.
absl::StatusOr<std::pair<std::string, std::string>> TakeParameter(absl::string_view& rest) {
  const size_t equals = rest.find('=');
  if (equals == absl::string_view::npos) {
    return absl::InvalidArgumentError("x-syncml-hmac: expected name=value");
  }
  std::string key(absl::StripAsciiWhitespace(rest.substr(0, equals)));
  rest = absl::StripLeadingAsciiWhitespace(rest.substr(equals + 1));
  std::string value;
  size_t at = 0;
  if (!rest.empty() && rest.front() == '"') {
    for (at = 1; at < rest.size() && rest[at] != '"'; ++at) {
      if (rest[at] == '\\' && at + 1 < rest.size()) ++at;
      value.push_back(rest[at]);
    }
    if (at >= rest.size()) return absl::InvalidArgumentError("x-syncml-hmac: quote not closed");
    ++at;
  } else {
    at = std::min(rest.find(','), rest.size());
    value = std::string(absl::StripAsciiWhitespace(rest.substr(0, at)));
  }
  rest = absl::StripLeadingAsciiWhitespace(rest.substr(at));
  if (!rest.empty() && rest.front() != ',') {
    return absl::InvalidArgumentError("x-syncml-hmac: expected a comma between parameters");
  }
  if (!rest.empty()) rest = absl::StripLeadingAsciiWhitespace(rest.substr(1));
  return std::make_pair(absl::AsciiStrToLower(key), std::move(value));
}

absl::Status AssignOnce(std::optional<std::string>& to, std::string value, absl::string_view key) {
  if (to) return absl::InvalidArgumentError(absl::StrCat("x-syncml-hmac: ", key, " given twice"));
  to = std::move(value);
  return absl::OkStatus();
}

}  // namespace

std::string HashedCredential(absl::string_view user, absl::string_view password) {
  return HashToBase64(absl::StrCat(user, ":", password));
}

std::string Md5Digest(absl::string_view user, absl::string_view password,
                      absl::string_view nonce_octets) {
  return Md5DigestFromHash(HashedCredential(user, password), nonce_octets);
}

std::string Md5DigestFromHash(absl::string_view hashed_credential, absl::string_view nonce_octets) {
  return HashToBase64(absl::StrCat(hashed_credential, ":", nonce_octets));
}

std::string MacDigest(absl::string_view user, absl::string_view password,
                      absl::string_view nonce_octets, absl::string_view body) {
  return MacDigestFromHash(HashedCredential(user, password), nonce_octets, body);
}

std::string MacDigestFromHash(absl::string_view hashed_credential, absl::string_view nonce_octets,
                              absl::string_view body) {
  return HashToBase64(absl::StrCat(hashed_credential, ":", nonce_octets, ":", HashToBase64(body)));
}

std::string BasicCred(absl::string_view user, absl::string_view password) {
  return Base64Encode(absl::StrCat(user, ":", password));
}

absl::StatusOr<UserPassword> ParseBasicCred(absl::string_view data) {
  ASSIGN_OR_RETURN(const std::string text, Base64Decode(absl::StripAsciiWhitespace(data)));
  const size_t colon = text.find(':');
  if (colon == std::string::npos) {
    return absl::InvalidArgumentError("basic credentials without a colon");
  }
  return UserPassword{.user = text.substr(0, colon), .password = text.substr(colon + 1)};
}

std::string FormatHmacHeader(const HmacHeader& header) {
  std::string quoted;
  for (const char c : header.username) {
    // A line break would end the header; a name that has one cannot authenticate by it.
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) continue;
    if (c == '"' || c == '\\') quoted.push_back('\\');
    quoted.push_back(c);
  }
  return absl::StrCat("algorithm=", header.algorithm, ", username=\"", quoted,
                      "\", mac=", header.mac);
}

absl::StatusOr<HmacHeader> ParseHmacHeader(absl::string_view value) {
  std::optional<std::string> algorithm;
  std::optional<std::string> username;
  std::optional<std::string> mac;
  for (absl::string_view rest = absl::StripAsciiWhitespace(value); !rest.empty();) {
    ASSIGN_OR_RETURN(const auto parameter, TakeParameter(rest));
    const auto& [key, text] = parameter;
    if (key == "algorithm") RETURN_IF_ERROR(AssignOnce(algorithm, text, key));
    if (key == "username") RETURN_IF_ERROR(AssignOnce(username, text, key));
    if (key == "mac") RETURN_IF_ERROR(AssignOnce(mac, text, key));
  }
  if (!username || !mac) {
    return absl::InvalidArgumentError("x-syncml-hmac: username and mac are both needed");
  }
  if (algorithm && !absl::EqualsIgnoreCase(*algorithm, "MD5")) {
    return absl::UnimplementedError(
        absl::StrCat("x-syncml-hmac: algorithm ", *algorithm, " is not known, use MD5"));
  }
  return HmacHeader{.algorithm = "MD5", .username = *std::move(username), .mac = *std::move(mac)};
}

std::string BootstrapMac(absl::string_view key, absl::string_view document) {
  std::array<char, kSha1Octets> mac;
  unsigned int size = 0;
  if (HMAC(EVP_sha1(), key.data(), static_cast<int>(key.size()), Octets(document), document.size(),
           reinterpret_cast<unsigned char*>(mac.data()), &size) == nullptr ||
      size != mac.size()) {
    DieWithout("HMAC-SHA1");
  }
  return absl::AsciiStrToUpper(absl::BytesToHexString(absl::string_view(mac.data(), mac.size())));
}

bool ConstantTimeEquals(absl::string_view a, absl::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

absl::StatusOr<std::string> RandomNonce() {
  std::string nonce(kNonceOctets, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(nonce.data()), kNonceOctets) != 1) {
    return absl::InternalError("the system gives no random octets for a nonce");
  }
  return nonce;
}

}  // namespace virmo::syncml
