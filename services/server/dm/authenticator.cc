// SPDX-License-Identifier: Apache-2.0
#include "services/server/dm/authenticator.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/auth.h"

namespace virmo::server {
namespace {

constexpr int kFreeGuesses = 5;
constexpr absl::Duration kFirstWait = absl::Seconds(30);
constexpr absl::Duration kLongestWait = absl::Minutes(10);
constexpr size_t kMaxRecords = 10000;
// One challenge to begin with, and exactly one more (OMA DM Security 1.2 §5.3).
constexpr int kMaxChallenges = 2;

syncml::Chal MakeChal(absl::string_view nonce) {
  syncml::Chal chal;
  chal.meta.format = "b64";
  chal.meta.type = std::string(syncml::kAuthMd5);
  chal.meta.next_nonce = syncml::Base64Encode(nonce);
  return chal;
}

bool IsMd5(const syncml::Cred& cred) {
  return cred.meta.type && absl::EqualsIgnoreCase(*cred.meta.type, syncml::kAuthMd5);
}

// Whether the credentials are right. Does the same work for an unknown device.
bool Verify(const syncml::Header& header, const std::optional<DeviceRecord>& device,
            const SessionState& session) {
  const std::string unknown = syncml::HashedCredential("", "");
  const std::string& credential = device ? device->client_credential : unknown;
  const std::string& nonce = !session.challenge_nonce().empty() ? session.challenge_nonce()
                             : device                           ? device->client_nonce
                                                                : unknown;
  const std::string expected = syncml::Md5DigestFromHash(credential, nonce);
  const bool digest_right =
      syncml::ConstantTimeEquals(expected, absl::StripAsciiWhitespace(header.cred->data));
  return digest_right && device && header.source.name == device->client_name;
}

}  // namespace

absl::Duration GuessLimiter::Wait(const std::string& device_uri, absl::Time now) {
  MutexLock lock(mutex_);
  const auto found = records_.find(device_uri);
  if (found == records_.end()) return absl::ZeroDuration();
  return std::max(found->second.blocked_until - now, absl::ZeroDuration());
}

void GuessLimiter::Failed(const std::string& device_uri, absl::Time now) {
  MutexLock lock(mutex_);
  if (records_.size() >= kMaxRecords && records_.count(device_uri) == 0) records_.clear();
  Record& record = records_[device_uri];
  if (++record.failures < kFreeGuesses) return;
  const int doublings = std::min(record.failures - kFreeGuesses, 10);
  record.blocked_until = now + std::min(kFirstWait * (1 << doublings), kLongestWait);
}

void GuessLimiter::Succeeded(const std::string& device_uri) {
  MutexLock lock(mutex_);
  records_.erase(device_uri);
}

absl::StatusOr<Authenticator::Result> Authenticator::Check(const syncml::Header& header,
                                                           SessionState& session) {
  if (!session.device().empty()) return Result{syncml::StatusCode::kOk, std::nullopt};
  const absl::Time now = parts_.clock();
  const std::string& uri = session.device_uri();
  if (const absl::Duration wait = limiter_.Wait(uri, now); wait > absl::ZeroDuration()) {
    return Error(v1::ErrorInfo::REASON_SERVICE_UNAVAILABLE, "too many wrong credentials; wait",
                 {{"retry_after_s", absl::StrCat(absl::ToInt64Seconds(wait) + 1)}});
  }
  if (!header.cred) return Challenge(syncml::StatusCode::kMissingCredentials, session);
  ASSIGN_OR_RETURN(const auto device, parts_.devices.FindByUri(uri));
  if (IsMd5(*header.cred) && Verify(header, device, session)) {
    limiter_.Succeeded(uri);
    return Accept(*device, session);
  }
  spdlog::warn("refused credentials device_uri=\"{}\" session={}", uri, session.session_id());
  // An honest device fails once, on a stale nonce, and its next success clears the count.
  limiter_.Failed(uri, now);
  // Wrong on a fresh nonce: not a misunderstanding, and somebody should look.
  if (device && !session.challenge_nonce().empty()) {
    RETURN_IF_ERROR(parts_.devices.Update(device->id, [](v1::Device& resource) {
      resource.set_last_session_error("the device's credentials are wrong");
    }));
  }
  return Challenge(syncml::StatusCode::kInvalidCredentials, session);
}

absl::StatusOr<Authenticator::Result> Authenticator::Accept(const DeviceRecord& device,
                                                            SessionState& session) {
  ASSIGN_OR_RETURN(const std::string next, syncml::RandomNonce());
  RETURN_IF_ERROR(parts_.devices.SetClientNonce(device.id, next));
  session.set_device(device.id);
  session.clear_challenge_nonce();
  RETURN_IF_ERROR(sessions_.RemoveOthers(session));
  return Result{syncml::StatusCode::kAuthenticationAccepted, MakeChal(next)};
}

absl::StatusOr<Authenticator::Result> Authenticator::Challenge(syncml::StatusCode code,
                                                               SessionState& session) {
  ASSIGN_OR_RETURN(const std::string nonce, syncml::RandomNonce());
  session.set_challenge_nonce(nonce);
  session.set_challenges(session.challenges() + 1);
  // The last one still carries a Chal, as it must, but the session is over.
  if (session.challenges() > kMaxChallenges) session.set_ended(true);
  return Result{code, MakeChal(nonce)};
}

syncml::Cred ServerCredential(const DeviceRecord& device, const std::string& server_id) {
  syncml::Cred cred;
  cred.meta.format = "b64";
  cred.meta.type = std::string(syncml::kAuthMd5);
  cred.data = syncml::Md5Digest(server_id, device.server_secret, device.server_nonce);
  return cred;
}

}  // namespace virmo::server
