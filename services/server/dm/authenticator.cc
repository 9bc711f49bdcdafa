// SPDX-License-Identifier: Apache-2.0
#include "services/server/dm/authenticator.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"

namespace virmo::server {
namespace {

using syncml::AuthType;
using syncml::StatusCode;

// One challenge to begin with, and exactly one more (OMA DM Security 1.2 §5.3).
constexpr int kMaxChallenges = 2;

bool HoldsCertificate(const DmRequest& request, const DeviceRecord& device) {
  const auto names_it = [&](const std::string& name) {
    return name == device.id || name == device.resource.device_uri();
  };
  return std::any_of(request.certificate_names.begin(), request.certificate_names.end(), names_it);
}

syncml::Identity ClientIdentity(const std::optional<DeviceRecord>& device) {
  // For an unknown device the same work is done, in vain.
  if (!device) return syncml::MakeIdentity("", "");
  return {.user = device->client_name, .hashed_credential = device->client_credential};
}

bool ProvesMac(const DmRequest& request, const syncml::Identity& identity,
               const std::string& nonce) {
  const auto header = syncml::ParseHmacHeader(request.hmac);
  if (!header.ok()) return false;
  if (syncml::Proves(*header, identity, nonce, request.octets)) return true;
  // Some take the octets before, and some after they were compressed.
  return !request.entity.empty() && syncml::Proves(*header, identity, nonce, request.entity);
}

}  // namespace

std::optional<AuthType> Authenticator::TypeOf(const DmRequest& request,
                                              const syncml::Header& header) const {
  if (!request.hmac.empty()) return AuthType::kMac;
  if (!header.cred) return std::nullopt;
  return syncml::AuthTypeOf(*header.cred).value_or(AuthType::kMd5);
}

bool Authenticator::IsProof(AuthType type, const DmRequest& request, const syncml::Header& header,
                            const std::optional<DeviceRecord>& device,
                            const SessionState& session) const {
  const syncml::Identity identity = ClientIdentity(device);
  std::string nonce = session.challenge_nonce();
  if (nonce.empty() && device) nonce = device->client_nonce;
  if (type == AuthType::kMac) return ProvesMac(request, identity, nonce) && device;
  if (type == AuthType::kBasic && !(parts_.allow_basic && request.over_tls)) return false;
  return syncml::Proves(*header.cred, identity, nonce) && device;
}

absl::StatusOr<bool> Authenticator::IsFromDeviceOf(const SessionState& session,
                                                   const DmRequest& request,
                                                   const syncml::Header& header) {
  const auto type = TypeOf(request, header);
  if (!type && request.certificate_names.empty()) return false;
  ASSIGN_OR_RETURN(const auto device, parts_.devices.FindByUri(session.device_uri()));
  if (device && HoldsCertificate(request, *device)) return true;
  return type && IsProof(*type, request, header, device, session);
}

absl::StatusOr<Authenticator::Result> Authenticator::Check(const DmRequest& request,
                                                           const syncml::Header& header,
                                                           SessionState& session) {
  // Who has the token was authenticated by an earlier message.
  if (!session.device().empty() && !session.device_uses_mac() && !request.token.empty())
    return Result{StatusCode::kOk, std::nullopt};
  const std::string& uri = session.device_uri();
  ASSIGN_OR_RETURN(const auto device, parts_.devices.FindByUri(uri));
  if (device && HoldsCertificate(request, *device)) {
    return Accept(*device, std::nullopt, session);
  }
  ASSIGN_OR_RETURN(const absl::Duration wait, parts_.lockout.Wait(uri, parts_.clock()));
  if (wait > absl::ZeroDuration()) {
    return Error(v1::ErrorInfo::REASON_SERVICE_UNAVAILABLE, "too many wrong credentials; wait",
                 {{"retry_after_s", absl::StrCat(absl::ToInt64Seconds(wait) + 1)}});
  }
  const auto type = TypeOf(request, header);
  if (!type) {
    return Challenge(StatusCode::kMissingCredentials,
                     session.device_uses_mac() ? AuthType::kMac : AuthType::kMd5, session);
  }
  // After a lock-out a first message is not even looked at: an honest device whose nonce is old by
  // now must get its challenge without being locked out anew, and a guesser learns nothing.
  if (session.challenge_nonce().empty() && session.device().empty() && *type != AuthType::kBasic) {
    ASSIGN_OR_RETURN(const bool suspect, parts_.lockout.IsSuspect(uri));
    if (suspect) return Challenge(StatusCode::kInvalidCredentials, *type, session);
  }
  const auto asked_for = syncml::ParseAuthType(session.challenge_type());
  // The weakest is no answer to a challenge of another kind (OMA DM Security 1.2 §5.3).
  const bool too_weak = *type == AuthType::kBasic && asked_for && *asked_for != AuthType::kBasic;
  const bool mac_missing = session.device_uses_mac() && *type != AuthType::kMac;
  if (too_weak || mac_missing) {
    session.set_challenges(kMaxChallenges);
  } else if (IsProof(*type, request, header, device, session)) {
    RETURN_IF_ERROR(parts_.lockout.Succeeded(uri));
    return Accept(*device, type, session);
  }
  return Refuse(*type, device, session);
}

absl::StatusOr<Authenticator::Result> Authenticator::Accept(const DeviceRecord& device,
                                                            std::optional<AuthType> type,
                                                            SessionState& session) {
  session.set_device(device.id);
  session.clear_challenge_nonce();
  session.clear_challenge_type();
  RETURN_IF_ERROR(sessions_.RemoveOthers(session));
  if (!type || *type == AuthType::kBasic) {
    return Result{StatusCode::kAuthenticationAccepted, std::nullopt};
  }
  ASSIGN_OR_RETURN(const std::string next, syncml::RandomNonce());
  RETURN_IF_ERROR(parts_.devices.SetClientNonce(device.id, next));
  if (*type == AuthType::kMd5) {
    return Result{StatusCode::kAuthenticationAccepted, syncml::MakeChallenge(next, *type)};
  }
  // Never 212: the next message must prove itself again.
  session.set_challenges(0);
  session.set_device_uses_mac(true);
  session.set_server_uses_mac(true);
  return Result{StatusCode::kOk, syncml::MakeChallenge(next, *type)};
}

absl::StatusOr<Authenticator::Result> Authenticator::Refuse(
    AuthType type, const std::optional<DeviceRecord>& device, SessionState& session) {
  const std::string& uri = session.device_uri();
  ASSIGN_OR_RETURN(const absl::Duration wait, parts_.lockout.Failed(uri, parts_.clock()));
  spdlog::warn("refused credentials device_uri=\"{}\" session=\"{}\" type={}", uri,
               session.session_id(), syncml::Name(type));
  if (wait > absl::ZeroDuration()) {
    spdlog::warn("audit: locked out device_uri=\"{}\" for_s={}", uri, absl::ToInt64Seconds(wait));
  }
  // An honest device fails once, on a stale nonce. Wrong on a fresh one: somebody should look.
  if (device && (!session.challenge_nonce().empty() || wait > absl::ZeroDuration())) {
    RETURN_IF_ERROR(parts_.devices.Update(device->id, [&](v1::Device& resource) {
      resource.set_last_session_error(
          wait > absl::ZeroDuration() ? absl::StrCat("too many wrong credentials: locked out for ",
                                                     absl::ToInt64Seconds(wait), " s")
                                      : "the device's credentials are wrong");
    }));
  }
  if (type == AuthType::kBasic && !parts_.allow_basic) type = AuthType::kMd5;
  return Challenge(StatusCode::kInvalidCredentials, type, session);
}

absl::StatusOr<Authenticator::Result> Authenticator::Challenge(StatusCode code, AuthType type,
                                                               SessionState& session) {
  ASSIGN_OR_RETURN(const std::string nonce, syncml::RandomNonce());
  session.set_challenge_nonce(nonce);
  session.set_challenge_type(std::string(syncml::Name(type)));
  session.set_challenges(session.challenges() + 1);
  // The last one still carries a Chal, as it must, but the session is over.
  if (session.challenges() > kMaxChallenges) session.set_ended(true);
  return Result{code, syncml::MakeChallenge(nonce, type)};
}

syncml::Identity ServerIdentity(const DeviceRecord& device, const std::string& server_id) {
  return syncml::MakeIdentity(server_id, device.server_secret);
}

}  // namespace virmo::server
