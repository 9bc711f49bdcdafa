// SPDX-License-Identifier: Apache-2.0
#include "services/server/dm/answer.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace virmo::server {
namespace {

using syncml::Command;
using syncml::CommandKind;
using syncml::StatusCode;

// A device that tells less is not believed: no command would fit.
constexpr int64_t kLeastMessageSize = 1024;
// For the Alert that asks for the next message.
constexpr size_t kReserve = 128;
// A device gets to hear no more than this of commands that were refused or came in one message.
constexpr int kMaxDeferred = 10000;

}  // namespace

std::string Answer::NextCmdId() {
  session_.set_commands_numbered(session_.commands_numbered() + 1);
  return absl::StrCat(session_.commands_numbered());
}

void Answer::AddHeaderStatus(StatusCode code, const std::optional<syncml::Chal>& chal) {
  message.body.push_back(syncml::MakeHeaderStatus(NextCmdId(), request_.header, code));
  message.body.back().chal = chal;
}

void Answer::AddStatus(const Command& about, int code) {
  message.body.push_back(syncml::MakeStatus(NextCmdId(), request_.header.msg_id, about,
                                            static_cast<StatusCode>(code)));
}

void Answer::AddAlert(syncml::AlertCode code) {
  message.body.push_back(syncml::MakeAlert(NextCmdId(), code));
}

void Answer::RefuseAll(int code, const std::optional<syncml::Chal>& chal) {
  AddHeaderStatus(static_cast<StatusCode>(code), chal);
  for (const Command& command : request_.body) {
    if (command.kind == CommandKind::kStatus || command.kind == CommandKind::kResults) continue;
    AddStatus(command, code);
  }
  // What does not fit is of no use to a device whose every command was refused.
  while (message.body.size() > 1 && Size() > Limit()) {
    message.body.resize(std::max<size_t>(1, message.body.size() * 3 / 4));
  }
  message.final = true;
}

void Answer::AddDeferred() {
  for (const DeferredStatus& deferred : session_.deferred()) {
    Command status;
    status.kind = CommandKind::kStatus;
    status.cmd_id = NextCmdId();
    status.msg_ref = deferred.msg_ref();
    status.cmd_ref = deferred.cmd_ref();
    status.cmd = deferred.cmd();
    status.data = absl::StrCat(deferred.code());
    message.body.push_back(std::move(status));
  }
  session_.clear_deferred();
}

bool Answer::DeferExcess() {
  const size_t all = message.body.size();
  std::vector<Command> kept = message.body;
  while (message.body.size() > 1 && Size() + kReserve > Limit()) {
    message.body.resize(std::max<size_t>(1, message.body.size() * 3 / 4));
  }
  for (size_t i = message.body.size(); i < all; ++i) {
    if (session_.deferred_size() >= kMaxDeferred) break;
    DeferredStatus& deferred = *session_.add_deferred();
    deferred.set_msg_ref(kept[i].msg_ref);
    deferred.set_cmd_ref(kept[i].cmd_ref);
    deferred.set_cmd(kept[i].cmd);
    deferred.set_code(std::atoi(kept[i].data.c_str()));
  }
  return message.body.size() < all;
}

size_t Answer::Limit() const {
  if (session_.max_message_size() == 0) return std::numeric_limits<int32_t>::max();
  return static_cast<size_t>(std::max(session_.max_message_size(), kLeastMessageSize));
}

}  // namespace virmo::server
