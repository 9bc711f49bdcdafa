// SPDX-License-Identifier: Apache-2.0
#include "services/server/testing/scripted_device.h"

#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "google/protobuf/text_format.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/auth.h"
#include "services/syncml/uri.h"

namespace virmo::server::testing {

using syncml::Command;
using syncml::CommandKind;
using syncml::Message;
using syncml::StatusCode;

namespace {

std::string NextId(const std::vector<Command>& body) { return absl::StrCat(body.size() + 1); }

}  // namespace

int HeaderStatus(const Message& message) {
  for (const Command& command : message.body) {
    int code = 0;
    if (command.kind == CommandKind::kStatus && command.cmd_ref == "0" &&
        absl::SimpleAtoi(command.data, &code)) {
      return code;
    }
  }
  return 0;
}

ScriptedDevice::ScriptedDevice(const std::string& account_textproto, Transport transport)
    : transport_(std::move(transport)) {
  google::protobuf::TextFormat::ParseFromString(account_textproto, &account);
  client_nonce = *syncml::Base64Decode(account.client_nonce());
  server_nonce = *syncml::Base64Decode(account.server_nonce());
  Begin("1");
}

void ScriptedDevice::Begin(const std::string& session_id) {
  session_id_ = session_id;
  msg_id_ = 0;
  server_known_ = false;
  url = account.address();
}

void ScriptedDevice::AddVirtualMachine(const std::string& id, const std::string& name, int state) {
  const std::string root = absl::StrCat("./VirMO/VMs/", id, "/");
  tree[root + "ID"] = id;
  tree[root + "Name"] = name;
  tree[root + "State"] = absl::StrCat(state);
  tree[root + "Lock/State"] = "30";
  tree[root + "Resources/RAM/Size"] = "256";
  tree[root + "Resources/CPU/Count"] = "2";
}

void ScriptedDevice::QueueAlert(const std::string& operation, const std::string& correlator,
                                const std::string& vm, int result_code,
                                const std::string& alert_id) {
  syncml::GenericAlert alert;
  alert.source_uri = absl::StrCat("./VirMO/VMs/", vm, "/Operations/", operation);
  alert.type = absl::StrCat("urn:oma:at:virmo:1.0:", operation);
  alert.format = "xml";
  alert.mark = result_code < 1300 ? "informational" : "warning";
  alert.data = syncml::FormatOperationResult({.result_code = result_code,
                                              .identifier = vm,
                                              .state = 30,
                                              .lock_state = 30,
                                              .alert_id = alert_id,
                                              .time = "20250101T120000Z",
                                              .detail = "so it went"});
  if (!correlator.empty()) alert.correlator = correlator;
  alerts.push_back(alert);
}

syncml::Identity ScriptedDevice::ClientIdentity() const {
  return syncml::MakeIdentity(account.client_name(), account.client_secret());
}

Message ScriptedDevice::Package1() {
  Message message;
  if (auth == syncml::AuthType::kMd5 && with_credentials) {
    message.header.cred = syncml::MakeMd5Cred(ClientIdentity(), client_nonce);
  } else if (auth == syncml::AuthType::kBasic) {
    message.header.cred = syncml::MakeBasicCred(account.client_name(), account.client_secret());
  }
  message.body.push_back(syncml::MakeAlert("1", syncml::AlertCode::kClientInitiated));
  for (const auto& alert : alerts) {
    message.body.push_back(syncml::MakeGenericAlert(NextId(message.body), alert));
  }
  Command info;
  info.kind = CommandKind::kReplace;
  info.cmd_id = NextId(message.body);
  info.items = {syncml::MakeSourceItem("./DevInfo/DevId", account.device_uri()),
                syncml::MakeSourceItem("./DevInfo/Man", "Example"),
                syncml::MakeSourceItem("./DevInfo/Mod", "Box"),
                syncml::MakeSourceItem("./DevInfo/DmV", "1.0"),
                syncml::MakeSourceItem("./DevInfo/Lang", "en")};
  message.body.push_back(info);
  message.final = true;
  return message;
}

absl::StatusOr<Message> ScriptedDevice::Send(Message message) {
  message.header.session_id = session_id_;
  message.header.msg_id = absl::StrCat(++msg_id_);
  message.header.target = {url, ""};
  message.header.source = {account.device_uri(), account.client_name()};
  message.header.meta.max_msg_size = max_message_size;
  if (max_object_size != 0) message.header.meta.max_obj_size = max_object_size;
  DeviceMessage request{.url = url, .octets = syncml::Encode(message, encoding)};
  if (auth == syncml::AuthType::kMac && with_credentials) {
    request.hmac = syncml::FormatHmacHeader(
        syncml::MakeHmacHeader(ClientIdentity(), client_nonce, request.octets));
  }
  ASSIGN_OR_RETURN(const DeviceMessage answer, transport_(request));
  ASSIGN_OR_RETURN(Message server, syncml::Decode(answer.octets, encoding));
  const auto mac = syncml::ParseHmacHeader(answer.hmac);
  server_mac_right =
      mac.ok() &&
      syncml::Proves(*mac, syncml::MakeIdentity(account.server_name(), account.server_secret()),
                     server_nonce, answer.octets);
  if (use_resp_uri && server.header.resp_uri) url = *server.header.resp_uri;
  for (const Command& command : server.body) {
    if (command.kind == CommandKind::kStatus && command.chal && command.chal->meta.next_nonce) {
      client_nonce = *syncml::Base64Decode(*command.chal->meta.next_nonce);
    }
    if (command.kind == CommandKind::kStatus) continue;
    commands.push_back(command);
    commands.insert(commands.end(), command.children.begin(), command.children.end());
  }
  received.push_back(server);
  return server;
}

bool ScriptedDevice::IsServerGenuine(const syncml::Header& header) {
  if (!accept_server) return false;
  if (auth == syncml::AuthType::kMac) return server_mac_right || !check_server;
  if (server_known_ || !check_server) return true;
  server_known_ =
      header.cred && header.cred->data == syncml::Md5Digest(account.server_name(),
                                                            account.server_secret(), server_nonce);
  return server_known_;
}

Message ScriptedDevice::Reply(const Message& server) {
  Message message;
  const bool was_known = server_known_;
  const bool genuine = IsServerGenuine(server.header);
  const StatusCode code = !genuine ? StatusCode::kInvalidCredentials
                          : was_known || auth == syncml::AuthType::kMac
                              ? StatusCode::kOk
                              : StatusCode::kAuthenticationAccepted;
  message.body.push_back(syncml::MakeHeaderStatus("1", server.header, code));
  if (!was_known || auth == syncml::AuthType::kMac) {
    server_nonce = *syncml::RandomNonce();
    message.body.back().chal = syncml::MakeChallenge(
        server_nonce, auth == syncml::AuthType::kMac ? auth : syncml::AuthType::kMd5);
  }
  for (const Command& command : server.body) {
    if (command.kind == CommandKind::kStatus) continue;
    if (genuine) {
      Execute(command, server.header.msg_id, message.body);
    } else {
      message.body.push_back(
          syncml::MakeStatus(NextId(message.body), server.header.msg_id, command, code));
    }
  }
  if (!server.final) {
    message.body.push_back(
        syncml::MakeAlert(NextId(message.body), syncml::AlertCode::kNextMessage));
  }
  message.final = true;
  return message;
}

void ScriptedDevice::Execute(const Command& command, const std::string& msg_ref,
                             std::vector<Command>& body) {
  std::vector<syncml::Item> results;
  const Answer answer = Perform(command, &results);
  if (answer.status == 0) return;  // Scripted to be lost.
  body.push_back(
      syncml::MakeStatus(NextId(body), msg_ref, command, static_cast<StatusCode>(answer.status)));
  if (!answer.text.empty()) {
    syncml::Item item;
    item.data = answer.text;
    body.back().items.push_back(item);
  }
  if (!results.empty()) {
    Command sent;
    sent.kind = CommandKind::kResults;
    sent.cmd_id = NextId(body);
    sent.msg_ref = msg_ref;
    sent.cmd_ref = command.cmd_id;
    sent.items = results;
    body.push_back(sent);
  }
  for (const Command& child : command.children) Execute(child, msg_ref, body);
}

ScriptedDevice::Answer ScriptedDevice::Perform(const Command& command,
                                               std::vector<syncml::Item>* results) {
  if (override_status) {
    const Answer answer = override_status(command);
    if (answer.status != 200) return {std::max(answer.status, 0), answer.text};
  }
  const std::string uri =
      command.items.empty() || !command.items[0].target ? "" : command.items[0].target->uri;
  Answer answer;
  switch (command.kind) {
    case CommandKind::kGet:
      Read(uri, results, &answer);
      return answer;
    case CommandKind::kAdd:
      if (tree.count(uri) != 0) return {418, ""};
      tree[uri] = command.items[0].data.value_or("");
      return {201, ""};
    case CommandKind::kReplace:
      if (tree.count(uri) == 0) return {404, ""};
      tree[uri] = command.items[0].data.value_or("");
      return answer;
    case CommandKind::kExec:
      return on_exec ? on_exec(command) : answer;
    default:
      return answer;
  }
}

void ScriptedDevice::Read(const std::string& uri, std::vector<syncml::Item>* results,
                          Answer* answer) const {
  const auto parsed = syncml::ParseNodeUri(uri);
  const std::string path = parsed->Path();
  if (const auto leaf = tree.find(path); leaf != tree.end()) {
    results->push_back(syncml::MakeSourceItem(path, leaf->second));
    return;
  }
  std::set<std::string> names;
  std::vector<syncml::Item> below;
  for (const auto& [node, value] : tree) {
    if (!syncml::IsWithin(node, path)) continue;
    const std::string rest = node.substr(path.size() + 1);
    names.insert(rest.substr(0, rest.find('/')));
    below.push_back(syncml::MakeSourceItem(node, value));
  }
  if (names.empty() && path != "./VirMO/VMs") {
    answer->status = 404;
    return;
  }
  syncml::Item self = syncml::MakeSourceItem(path, absl::StrJoin(names, "/"));
  self.meta.format = "node";
  results->push_back(self);
  if (parsed->query == syncml::NodeUri::Query::kList) {
    results->insert(results->end(), below.begin(), below.end());
  }
}

absl::Status ScriptedDevice::RunSession() {
  Message next = Package1();
  for (int i = 0; i < 50; ++i) {
    ASSIGN_OR_RETURN(const Message server, Send(next));
    const int status = HeaderStatus(server);
    if (status == 401 || status == 407) {
      if (i >= 2) return absl::UnauthenticatedError("the server refuses this device");
      next = Package1();
      continue;
    }
    alerts.clear();
    bool any = false;
    for (const Command& command : server.body) any |= command.kind != CommandKind::kStatus;
    if (!any && server.final) return absl::OkStatus();
    next = Reply(server);
  }
  return absl::DeadlineExceededError("the session does not end");
}

}  // namespace virmo::server::testing
