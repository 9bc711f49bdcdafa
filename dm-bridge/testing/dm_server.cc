// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/testing/dm_server.h"

#include <algorithm>

#include "services/syncml/codec.h"
#include "services/syncml/generic_alert.h"

namespace virmo::dm_bridge {

using syncml::Command;
using syncml::CommandKind;
using syncml::Message;

DmServer::DmServer()
    : http_([this](const HttpServer::Request& request) { return Handle(request); }) {}

void DmServer::Queue(Command command) {
  MutexLock lock(mutex_);
  queue_.push_back(std::move(command));
}

void DmServer::Intercept(std::function<Interception(int, const Message&)> intercept) {
  MutexLock lock(mutex_);
  intercept_ = std::move(intercept);
}

void DmServer::SetServerSecret(const std::string& secret) {
  MutexLock lock(mutex_);
  server_secret_ = secret;
}

std::string DmServer::server_nonce() {
  MutexLock lock(mutex_);
  return server_nonce_;
}
std::vector<Message> DmServer::messages() {
  MutexLock lock(mutex_);
  return messages_;
}
std::vector<std::string> DmServer::statuses() {
  MutexLock lock(mutex_);
  return statuses_;
}
std::vector<std::string> DmServer::alerts() {
  MutexLock lock(mutex_);
  return alerts_;
}
int DmServer::challenges() {
  MutexLock lock(mutex_);
  return challenges_;
}

std::optional<HttpServer::Response> DmServer::Handle(const HttpServer::Request& request) {
  const absl::StatusOr<Message> message = syncml::Decode(request.body, syncml::Sniff(request.body));
  if (!message.ok()) return HttpServer::Response{400, ""};
  std::function<Interception(int, const Message&)> intercept;
  int number = 0;
  {
    MutexLock lock(mutex_);
    messages_.push_back(*message);
    number = static_cast<int>(messages_.size());
    intercept = intercept_;
  }
  if (intercept) {
    const Interception interception = intercept(number, *message);
    if (interception.cut) return std::nullopt;
    if (interception.response) return interception.response;
  }
  MutexLock lock(mutex_);
  return HttpServer::Response{200, syncml::Encode(Answer(*message), syncml::Encoding::kXml)};
}

Message DmServer::Answer(const Message& message) {
  if (message.header.session_id != session_id_) authenticated_ = false;
  session_id_ = message.header.session_id;
  bool accepted = false;
  if (!authenticated_) {
    const std::string expected = syncml::Md5Digest("vm-device-01", "devsecret", client_nonce_);
    accepted = message.header.cred && message.header.cred->data == expected;
    client_nonce_ = *syncml::RandomNonce();
    if (!accepted) {
      ++challenges_;
      const int code = message.header.cred ? 401 : 407;
      return ServerMessage(message, code, code).Chal(client_nonce_);
    }
    authenticated_ = true;
  }
  TakeStatuses(message);
  TakeAlerts(message);
  ServerMessage answer(message, accepted ? 212 : 200);
  if (accepted) answer.Chal(client_nonce_);
  answer.Cred(syncml::Md5Digest("virmo-server", server_secret_, server_nonce_));
  int id = 100;
  for (Command& command : queue_) {
    command.cmd_id = absl::StrCat(id++);
    answer.Add(command);
  }
  return answer;
}

void DmServer::TakeStatuses(const Message& message) {
  for (const Command& status : CommandsOf(message, CommandKind::kStatus)) {
    if (status.cmd_ref == "0") {
      if (status.chal) server_nonce_ = *syncml::Base64Decode(*status.chal->meta.next_nonce);
      continue;
    }
    if (status.data == "401" || status.data == "407") continue;
    const auto sent = std::find_if(queue_.begin(), queue_.end(), [&](const Command& command) {
      return command.cmd_id == status.cmd_ref;
    });
    if (sent == queue_.end()) continue;
    const std::string text = status.items.empty() ? "" : status.items[0].data.value_or("");
    statuses_.push_back(absl::StrCat(status.cmd, " ", status.data, text.empty() ? "" : " ", text));
    queue_.erase(sent);
  }
}

void DmServer::TakeAlerts(const Message& message) {
  for (const Command& command : CommandsOf(message, CommandKind::kAlert)) {
    for (const syncml::GenericAlert& alert : syncml::GenericAlertsOf(command)) {
      const auto result = syncml::ParseOperationResult(alert.data);
      alerts_.push_back(absl::StrCat(result.ok() ? result->alert_id : alert.type, " ",
                                     alert.correlator.value_or("")));
    }
  }
}

}  // namespace virmo::dm_bridge
