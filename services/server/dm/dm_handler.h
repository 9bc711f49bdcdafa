// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/server/dm/answer.h"
#include "services/server/dm/authenticator.h"
#include "services/server/dm/dm_parts.h"
#include "services/server/dm/dm_request.h"
#include "services/server/dm/session_store.h"
#include "services/server/store/group_commit.h"

namespace virmo::server {

// The server half of OMA DM: one message in, one message out. All that a message changes, the
// session included, is one transaction, committed before the answer leaves: after a crash the
// device repeats its message and nothing is done twice. Thread-safe.
class DmHandler {
 public:
  // `parts` outlives this.
  explicit DmHandler(DmParts& parts);

  // Answers in the encoding of the request. Errors are for the transport: INVALID_ARGUMENT
  // (malformed), RESOURCE_EXHAUSTED (a limit of the codec), UNAVAILABLE (wait: metadata
  // `retry_after_s`), others (ours).
  absl::StatusOr<DmAnswer> Handle(const DmRequest& request);

 private:
  absl::Status Process(const DmRequest& request, const syncml::Message& message,
                       const std::string& digest, SessionState& session, Events& events);
  absl::StatusOr<SessionState> FindSession(const DmRequest& request, const syncml::Header& header,
                                           const std::string& digest, bool* repeated);
  absl::Status Reply(const DmRequest& request, const syncml::Message& message,
                     SessionState& session, Events& events, Answer& answer);
  absl::Status Converse(const syncml::Message& message, SessionState& session, Events& events,
                        Answer& answer);
  absl::Status SendPackage(SessionState& session, Events& events, Answer& answer);
  absl::Status EndSession(SessionState& session, const std::string& error);
  absl::Status Finish(const Answer& answer, SessionState& session);
  syncml::Header HeaderFor(const syncml::Header& request, SessionState& session) const;

  DmParts& parts_;
  SessionStore sessions_;
  Authenticator authenticator_;
  GroupCommit commits_;
};

}  // namespace virmo::server
