// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "services/server/dm/session_state.pb.h"
#include "services/syncml/codec.h"
#include "services/syncml/message.h"

namespace virmo::server {

// The message that is being made in answer to one that came: Statuses first, then what else there
// is to say. Gives CmdIDs, which go on from message to message of a session.
class Answer {
 public:
  // `request` and `session` outlive this.
  Answer(const syncml::Message& request, syncml::Encoding encoding, SessionState& session)
      : request_(request), encoding_(encoding), session_(session) {}

  void AddHeaderStatus(syncml::StatusCode code, const std::optional<syncml::Chal>& chal);
  void AddStatus(const syncml::Command& about, int code);
  void AddAlert(syncml::AlertCode code);
  // The same code for the header and for every command that is due a Status; nothing else.
  void RefuseAll(int code, const std::optional<syncml::Chal>& chal);

  // Statuses that found no room in the last message.
  void AddDeferred();
  // Keeps the last Statuses for the next message while there are too many for the device's
  // MaxMsgSize. Whether it did: the message is not Final then, and says nothing more.
  bool DeferExcess();

  // The device's MaxMsgSize.
  size_t Limit() const;
  size_t Size() const { return syncml::Encode(message, encoding_).size(); }
  syncml::Encoding encoding() const { return encoding_; }

  syncml::Message message;

 private:
  std::string NextCmdId();

  const syncml::Message& request_;
  const syncml::Encoding encoding_;
  SessionState& session_;
};

}  // namespace virmo::server
