// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/server/dm/dm_parts.h"
#include "services/server/dm/object_receiver.h"
#include "services/server/dm/session_state.pb.h"
#include "services/server/fleet/event_feed.h"
#include "services/syncml/generic_alert.h"
#include "services/syncml/message.h"

namespace virmo::server {

// Takes in the body of an authenticated device's message: notes Status and Results in the session,
// stores alerts and DevInfo, and says what to answer. Made for one message, within its
// transaction.
class MessageReceiver {
 public:
  MessageReceiver(DmParts& parts, SessionState& session, Events& events)
      : parts_(parts), session_(session), events_(events), objects_(parts, session) {}

  // The code to answer `command` with; 0 = no Status is due.
  absl::StatusOr<int> Receive(const syncml::Message& message, const syncml::Command& command);

  // Whether the device broke the session off.
  bool aborted() const { return aborted_; }
  // Whether a large object broke off: to be told by Alert 1225.
  bool broke_object() const { return objects_.broken(); }

 private:
  absl::StatusOr<int> TakeWhole(const syncml::Message& message, const syncml::Command& command);
  absl::Status TakeStatus(const syncml::Command& status);
  absl::Status TakeHeaderStatus(const syncml::Command& status);
  absl::StatusOr<int> TakeResults(const syncml::Command& results);
  absl::StatusOr<int> TakeAlert(const syncml::Message& message, const syncml::Command& alert);
  absl::Status TakeGenericAlert(const std::string& fallback_key, const syncml::GenericAlert& alert);
  absl::Status EndCommand(v1::DeviceAlert& alert);
  absl::StatusOr<int> TakeDevInfo(const syncml::Command& replace);
  // What a Status, and what Results are about; null if that cannot be told.
  Sent* FindSent(const syncml::Command& status);
  Sent* FindGet(const syncml::Command& results);
  absl::Status Touch(const std::string& vm, const std::string& reason);

  DmParts& parts_;
  SessionState& session_;
  Events& events_;
  ObjectReceiver objects_;
  bool aborted_ = false;
};

}  // namespace virmo::server
