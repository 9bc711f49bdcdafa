// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/server/dm/authenticator.h"
#include "services/server/dm/dm_parts.h"
#include "services/server/dm/session_store.h"
#include "services/syncml/codec.h"

namespace virmo::server {

// The server half of OMA DM: one message in, one message out. All that a message changes, the
// session included, is one transaction, committed before the answer leaves: after a crash the
// device repeats its message and nothing is done twice. Thread-safe.
class DmHandler {
 public:
  // `parts` outlives this.
  explicit DmHandler(DmParts& parts);

  // `token` is what RespURI carried; empty in a session's first message. Answers in the encoding
  // of the request. Errors are for the transport: INVALID_ARGUMENT (malformed),
  // RESOURCE_EXHAUSTED (a limit of the codec), UNAVAILABLE (wait: metadata `retry_after_s`), others
  // (ours).
  absl::StatusOr<std::string> Handle(absl::string_view request, syncml::Encoding encoding,
                                     const std::string& token);

 private:
  absl::StatusOr<SessionState> FindSession(const syncml::Header& header, const std::string& token,
                                           bool* repeated, const std::string& digest);
  absl::StatusOr<syncml::Message> Answer(const syncml::Message& request, syncml::Encoding encoding,
                                         SessionState& session, Events& events);
  absl::Status Converse(const syncml::Message& request, syncml::Encoding encoding,
                        SessionState& session, Events& events, syncml::Message& answer);
  absl::Status SendPackage(syncml::Encoding encoding, SessionState& session, Events& events,
                           syncml::Message& answer);
  absl::Status EndSession(SessionState& session, const std::string& error);
  syncml::Header HeaderFor(const syncml::Header& request, SessionState& session) const;

  DmParts& parts_;
  SessionStore sessions_;
  Authenticator authenticator_;
};

}  // namespace virmo::server
