// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/session/client_credentials.h"

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"

namespace virmo::dm_bridge {
namespace {

using syncml::AuthType;
using syncml::StatusCode;

// Credentials that are refused get one more try, with a new nonce.
constexpr int kTries = 2;
constexpr int kMaxRefusals = 4;  // In a session, those for missing credentials too.

std::optional<AuthType> FirstType(const std::string& authentication) {
  if (authentication == "TRANSPORT") return std::nullopt;
  if (authentication == "BASIC") return AuthType::kBasic;
  if (authentication == "HMAC") return AuthType::kMac;
  return AuthType::kMd5;
}

absl::Status Refused(absl::string_view why) {
  return Error(v1::ErrorInfo::REASON_UNAUTHENTICATED, why);
}

}  // namespace

ClientCredentials::ClientCredentials(const config::v1::DmAccount& account,
                                     std::optional<std::string> nonce, bool tls)
    : account_(account),
      tls_(tls),
      identity_(syncml::MakeIdentity(account.client_name(), account.client_secret())),
      type_(FirstType(account.authentication())),
      nonce_(std::move(nonce)) {}

std::optional<syncml::Cred> ClientCredentials::MakeCred() const {
  if (state_ == State::kAccepted || !type_) return std::nullopt;
  if (*type_ == AuthType::kBasic && tls_) {
    return syncml::MakeBasicCred(account_.client_name(), account_.client_secret());
  }
  if (*type_ == AuthType::kMd5 && nonce_) return syncml::MakeMd5Cred(identity_, *nonce_);
  return std::nullopt;
}

std::optional<MacKey> ClientCredentials::MakeMacKey() const {
  if (type_ != AuthType::kMac || !nonce_) return std::nullopt;
  return MacKey{.identity = identity_, .nonce = *nonce_};
}

void ClientCredentials::OnAccepted(const syncml::Command& status, StatusCode code) {
  // A MAC is for one message, whatever the server says.
  const bool for_session = code == StatusCode::kAuthenticationAccepted && type_ != AuthType::kMac;
  if (for_session) {
    state_ = State::kAccepted;
  } else if (state_ == State::kNeeded) {
    state_ = State::kEachMessage;
  }
  if (std::optional<std::string> nonce = syncml::NextNonceOf(status.chal)) nonce_ = nonce;
}

absl::Status ClientCredentials::OnRefused(const syncml::Command& status) {
  const bool proved = MakeCred().has_value() || MakeMacKey().has_value();
  if (proved) ++wrong_;
  if (wrong_ >= kTries || ++refusals_ > kMaxRefusals) {
    return Refused("the server refuses our credentials");
  }
  const std::optional<AuthType> type =
      status.chal ? syncml::AuthTypeOf(*status.chal) : std::nullopt;
  const std::optional<std::string> nonce = syncml::NextNonceOf(status.chal);
  const std::string asked =
      status.chal ? status.chal->meta.type.value_or("no type") : "no challenge";
  const bool basic = type == AuthType::kBasic && account_.authentication() == "BASIC" && tls_;
  const bool digest =
      type && *type != AuthType::kBasic && nonce && !account_.client_secret().empty();
  if (!basic && !digest) {
    return Refused(absl::StrCat(
        "the server wants credentials of a kind that this account does not give: ", asked));
  }
  type_ = type;
  if (nonce) nonce_ = nonce;
  state_ = State::kNeeded;
  return absl::OkStatus();
}

}  // namespace virmo::dm_bridge
