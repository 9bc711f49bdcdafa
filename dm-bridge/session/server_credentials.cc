// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/session/server_credentials.h"

#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {
namespace {

using syncml::AuthType;
using syncml::StatusCode;

std::optional<AuthType> TypeOf(const syncml::Header& header, const Wire& wire) {
  if (wire.hmac) return AuthType::kMac;
  return header.cred ? syncml::AuthTypeOf(*header.cred) : std::nullopt;
}

}  // namespace

ServerCredentials::ServerCredentials(const config::v1::DmAccount& account,
                                     std::vector<std::string> nonces, bool tls)
    : account_(account),
      tls_(tls),
      identity_(syncml::MakeIdentity(account.server_name(), account.server_secret())),
      nonces_(std::move(nonces)) {}

ServerCredentials::Verdict ServerCredentials::Judge(const syncml::Header& header,
                                                    const Wire& wire) {
  const bool each_message = type_ == AuthType::kMac;
  if (nonce_offered_ && !each_message) {  // This answer shows that the server has it.
    nonce_offered_ = false;
    nonces_.resize(1);
  }
  if (known_ && !each_message) return Verdict::kProven;
  if (account_.server_secret().empty() && tls_) {
    known_ = true;
    return Verdict::kProven;
  }
  const std::optional<AuthType> type = TypeOf(header, wire);
  if (!type && !header.cred) return Verdict::kMissing;
  if (asked_ && type != asked_) return Verdict::kOtherKind;
  return type && Proves(header, wire, *type) ? Verdict::kProven : Verdict::kWrong;
}

bool ServerCredentials::MayChallenge(Verdict verdict) const {
  return verdict == Verdict::kWrong ? !challenged_for_wrong_ : !challenged_for_missing_;
}

bool ServerCredentials::Proves(const syncml::Header& header, const Wire& wire, AuthType type) {
  const bool basic = type == AuthType::kBasic;
  // The MAC of a message is made with the nonce that our last one offered, and no other.
  const size_t good = nonce_offered_ ? 1 : nonces_.size();
  for (size_t i = 0; i < (basic ? 1 : good); ++i) {
    const std::string nonce = basic ? "" : nonces_[i];
    if (!Fits(header, wire, type, nonce)) continue;
    if (!basic) nonces_ = {nonce};  // Of two, this is the one that the server has.
    nonce_offered_ = false;
    nonce_due_ = true;
    known_ = true;
    asked_.reset();
    challenged_for_wrong_ = challenged_for_missing_ = false;
    type_ = type;
    return true;
  }
  return false;
}

bool ServerCredentials::Fits(const syncml::Header& header, const Wire& wire, AuthType type,
                             const std::string& nonce) const {
  if (account_.server_secret().empty()) return false;
  if (type == AuthType::kMac) {
    const auto mac = syncml::ParseHmacHeader(*wire.hmac);
    if (!mac.ok()) return false;
    return syncml::Proves(*mac, identity_, nonce, wire.entity) ||
           syncml::Proves(*mac, identity_, nonce, wire.body);
  }
  // A password in the message is for whoever reads it: only within TLS, and only if it was agreed.
  if (type == AuthType::kBasic && !(tls_ && account_.authentication() == "BASIC")) return false;
  return syncml::Proves(*header.cred, identity_, nonce);
}

absl::StatusOr<syncml::Chal> ServerCredentials::Challenge(Verdict verdict) {
  ASSIGN_OR_RETURN(const std::string nonce, syncml::RandomNonce());
  (verdict == Verdict::kWrong ? challenged_for_wrong_ : challenged_for_missing_) = true;
  nonce_offered_ = false;
  asked_ = type_ == AuthType::kMac || account_.authentication() == "HMAC" ? AuthType::kMac
                                                                          : AuthType::kMd5;
  nonces_ = {nonce};
  return syncml::MakeChallenge(nonce, *asked_);
}

absl::StatusOr<ServerCredentials::Acceptance> ServerCredentials::Accept() {
  if (!nonce_due_) return Acceptance{};
  nonce_due_ = false;
  const bool mac = type_ == AuthType::kMac;
  if (type_ == AuthType::kBasic) {
    return Acceptance{.code = StatusCode::kAuthenticationAccepted, .chal = std::nullopt};
  }
  ASSIGN_OR_RETURN(const std::string nonce, syncml::RandomNonce());
  // Both must be good until it is known that the server has the new one.
  nonces_.insert(nonces_.begin(), nonce);
  nonce_offered_ = true;
  return Acceptance{.code = mac ? StatusCode::kOk : StatusCode::kAuthenticationAccepted,
                    .chal = syncml::MakeChallenge(nonce, *type_)};
}

}  // namespace virmo::dm_bridge
