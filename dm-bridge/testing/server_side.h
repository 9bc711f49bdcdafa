// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/syncml/auth.h"
#include "services/syncml/message.h"

// What a scripted DM server says, for tests of the client.
namespace virmo::dm_bridge {

inline const std::string kClientNonce =
    "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10";
inline const std::string kServerNonce =
    "\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x20";
inline constexpr char kClientDigest[] = "28VEUorkC0Iy6PUWFw5OKQ==";
inline constexpr char kServerDigest[] = "MrRnzfmZmpCg/QhzN7M0TA==";

inline syncml::Cred MakeCred(const std::string& digest) {
  syncml::Cred cred;
  cred.meta.format = "b64";
  cred.meta.type = std::string(syncml::kAuthMd5);
  cred.data = digest;
  return cred;
}

inline syncml::Chal MakeChal(const std::string& nonce) {
  syncml::Chal chal;
  chal.meta.format = "b64";
  chal.meta.type = std::string(syncml::kAuthMd5);
  chal.meta.next_nonce = syncml::Base64Encode(nonce);
  return chal;
}

// The server's answer to `request`: Status `header_code` for the header, Status `code` for each
// command that is not itself a Status or Results, then what is given.
class ServerMessage {
 public:
  explicit ServerMessage(const syncml::Message& request, int header_code = 212, int code = 200) {
    message_.header.ver_proto = request.header.ver_proto;
    message_.header.session_id = request.header.session_id;
    message_.header.msg_id = request.header.msg_id;
    message_.header.target.uri = request.header.source.uri;
    message_.header.source.uri = request.header.target.uri;
    message_.final = true;
    message_.body.push_back(syncml::MakeHeaderStatus("1", request.header,
                                                     static_cast<syncml::StatusCode>(header_code)));
    for (const syncml::Command& command : request.body) {
      const bool answer = command.kind == syncml::CommandKind::kStatus ||
                          command.kind == syncml::CommandKind::kResults;
      if (answer) continue;
      message_.body.push_back(syncml::MakeStatus(NextId(), request.header.msg_id, command,
                                                 static_cast<syncml::StatusCode>(code)));
    }
  }

  ServerMessage& Cred(const std::string& digest) {
    message_.header.cred = MakeCred(digest);
    return *this;
  }
  ServerMessage& Chal(const std::string& nonce) {
    message_.body.front().chal = MakeChal(nonce);
    return *this;
  }
  ServerMessage& NotFinal() {
    message_.final = false;
    return *this;
  }
  ServerMessage& RespUri(const std::string& uri) {
    message_.header.resp_uri = uri;
    return *this;
  }
  ServerMessage& MaxMsgSize(int64_t size) {
    message_.header.meta.max_msg_size = size;
    return *this;
  }
  ServerMessage& MaxObjSize(int64_t size) {
    message_.header.meta.max_obj_size = size;
    return *this;
  }
  ServerMessage& Alert(const std::string& code) {
    syncml::Command alert;
    alert.kind = syncml::CommandKind::kAlert;
    alert.data = code;
    return Add(std::move(alert));
  }
  ServerMessage& Add(syncml::Command command) {
    if (command.cmd_id.empty()) command.cmd_id = NextId();
    message_.body.push_back(std::move(command));
    return *this;
  }
  ServerMessage& Do(syncml::CommandKind kind, const std::string& uri,
                    std::optional<std::string> data = std::nullopt,
                    std::optional<std::string> format = std::nullopt) {
    return Add(MakeCommand(kind, uri, std::move(data), std::move(format)));
  }
  ServerMessage& Exec(const std::string& uri, const std::string& correlator) {
    syncml::Command exec = MakeCommand(syncml::CommandKind::kExec, uri);
    if (!correlator.empty()) exec.correlator = correlator;
    return Add(std::move(exec));
  }
  static syncml::Command MakeCommand(syncml::CommandKind kind, const std::string& uri,
                                     std::optional<std::string> data = std::nullopt,
                                     std::optional<std::string> format = std::nullopt) {
    syncml::Command command;
    command.kind = kind;
    command.items.push_back(syncml::MakeTargetItem(uri, std::move(data)));
    command.items[0].meta.format = std::move(format);
    return command;
  }

  operator const syncml::Message&() const { return message_; }  // NOLINT: reads as a message.
  syncml::Message& message() { return message_; }

 private:
  std::string NextId() const { return absl::StrCat(message_.body.size() + 1); }
  syncml::Message message_;
};

// `Cmd CmdRef Code` of each Status in order, `SyncHdr 0 200`.
inline std::vector<std::string> StatusesOf(const syncml::Message& message) {
  std::vector<std::string> statuses;
  for (const syncml::Command& command : message.body) {
    if (command.kind != syncml::CommandKind::kStatus) continue;
    statuses.push_back(absl::StrCat(command.cmd, " ", command.cmd_ref, " ", command.data));
  }
  return statuses;
}

inline std::vector<syncml::Command> CommandsOf(const syncml::Message& message,
                                               syncml::CommandKind kind) {
  std::vector<syncml::Command> found;
  for (const syncml::Command& command : message.body) {
    if (command.kind == kind) found.push_back(command);
  }
  return found;
}

}  // namespace virmo::dm_bridge
