// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/server/dm/dm_parts.h"
#include "services/server/dm/dm_request.h"
#include "services/server/dm/session_state.pb.h"
#include "services/server/dm/session_store.h"
#include "services/syncml/credential.h"
#include "services/syncml/message.h"

namespace virmo::server {

// Proves devices, by what each chooses (OMA DM Security 1.2 §5): a TLS client certificate with its
// id or URI as a name, auth-MAC, auth-md5, or, where allowed and over TLS, auth-basic.
//
// A nonce is good for one success: the stored one for a session's first message, that of the
// challenge after one. A challenge does not touch the stored nonce, so that strangers cannot spoil
// it. With MAC every message must prove itself, each with the nonce of the answer before.
class Authenticator {
 public:
  struct Result {
    syncml::StatusCode code;           // 212 or 200; 401 or 407: nothing else may be done
    std::optional<syncml::Chal> chal;  // for the SyncHdr's Status
  };

  Authenticator(DmParts& parts, SessionStore& sessions) : parts_(parts), sessions_(sessions) {}

  // Judges the message; moves `session` and the stored nonces on. Call within the message's
  // transaction. UNAVAILABLE while the device must wait after wrong guesses (not if it holds a
  // certificate: a stranger cannot lock that one out).
  absl::StatusOr<Result> Check(const DmRequest& request, const syncml::Header& header,
                               SessionState& session);

  // Whether the message, which carries no token, proves to be from the device of an open session.
  // Changes nothing.
  absl::StatusOr<bool> IsFromDeviceOf(const SessionState& session, const DmRequest& request,
                                      const syncml::Header& header);

 private:
  // What the message proves itself by; nothing if it does not try.
  std::optional<syncml::AuthType> TypeOf(const DmRequest& request,
                                         const syncml::Header& header) const;
  bool IsProof(syncml::AuthType type, const DmRequest& request, const syncml::Header& header,
               const std::optional<DeviceRecord>& device, const SessionState& session) const;
  absl::StatusOr<Result> Accept(const DeviceRecord& device, std::optional<syncml::AuthType> type,
                                SessionState& session);
  absl::StatusOr<Result> Challenge(syncml::StatusCode code, syncml::AuthType type,
                                   SessionState& session);
  absl::StatusOr<Result> Refuse(syncml::AuthType type, const std::optional<DeviceRecord>& device,
                                SessionState& session);

  DmParts& parts_;
  SessionStore& sessions_;
};

// Our own credentials for a device.
syncml::Identity ServerIdentity(const DeviceRecord& device, const std::string& server_id);

}  // namespace virmo::server
