// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/runtime/mutex.h"
#include "services/server/dm/dm_parts.h"
#include "services/server/dm/session_state.pb.h"
#include "services/server/dm/session_store.h"
#include "services/syncml/message.h"

namespace virmo::server {

// Counts wrong credentials by device URI and makes guessers wait: after 5 in a row 30 s, doubling
// up to 10 minutes. In memory: a restart forgives. Thread-safe.
class GuessLimiter {
 public:
  // How long this device URI still has to wait; zero if it may try.
  absl::Duration Wait(const std::string& device_uri, absl::Time now);
  void Failed(const std::string& device_uri, absl::Time now);
  void Succeeded(const std::string& device_uri);

 private:
  struct Record {
    int failures = 0;
    absl::Time blocked_until = absl::InfinitePast();
  };
  Mutex mutex_;
  std::map<std::string, Record> records_ ABSL_GUARDED_BY(mutex_);
};

// Proves devices by auth-md5 (OMA DM Security 1.2 §5). Each nonce is good for one success: the
// device's stored nonce for a session's first message, then the nonce of the challenge. A challenge
// does not touch the stored nonce, so that strangers cannot spoil it.
class Authenticator {
 public:
  struct Result {
    syncml::StatusCode code;           // 212 or 200; 401 or 407: nothing else may be done
    std::optional<syncml::Chal> chal;  // for the SyncHdr's Status
  };

  Authenticator(DmParts& parts, SessionStore& sessions) : parts_(parts), sessions_(sessions) {}

  // Judges the header; moves `session` and the stored nonces on. Call within the message's
  // transaction. UNAVAILABLE while the device must wait after wrong guesses.
  absl::StatusOr<Result> Check(const syncml::Header& header, SessionState& session);

 private:
  absl::StatusOr<Result> Accept(const DeviceRecord& device, SessionState& session);
  absl::StatusOr<Result> Challenge(syncml::StatusCode code, SessionState& session);

  DmParts& parts_;
  SessionStore& sessions_;
  GuessLimiter limiter_;
};

// Our own credentials for a device.
syncml::Cred ServerCredential(const DeviceRecord& device, const std::string& server_id);

}  // namespace virmo::server
