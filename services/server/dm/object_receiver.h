// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/server/dm/dm_parts.h"
#include "services/server/dm/session_state.pb.h"
#include "services/syncml/message.h"

namespace virmo::server {

// Puts together what a device sends in chunks (OMA DM Protocol 1.2 §8.6). Chunks rest in the
// database, so that any server process can take the next. Made for one message, within its
// transaction.
class ObjectReceiver {
 public:
  ObjectReceiver(DmParts& parts, SessionState& session) : parts_(parts), session_(session) {}

  // Takes the chunk in `command`, if it holds one, out of it; puts the whole object in when it was
  // the last. Returns the Status for it: 0 (none: go on with the command), 213 (go on with the
  // Items that are left, if any, and answer so), 413 too large, 424 another size than told.
  absl::StatusOr<int> Take(syncml::Command& command);

  // Whether an object never came to its end: to be told by Alert 1225.
  bool broken() const { return broken_; }

 private:
  bool Continues(const syncml::Command& command) const;
  absl::Status Store(const std::string& data);
  absl::StatusOr<int> Begin(syncml::Command& command);
  absl::StatusOr<int> GoOn(syncml::Command& command);
  absl::StatusOr<int> Complete(syncml::Command& command);
  absl::Status Drop();

  DmParts& parts_;
  SessionState& session_;
  bool broken_ = false;
};

}  // namespace virmo::server
