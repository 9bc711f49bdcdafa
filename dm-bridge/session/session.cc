// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/session/session.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/syncml/auth.h"

namespace virmo::dm_bridge {
namespace {

using syncml::AlertCode;
using syncml::Command;
using syncml::CommandKind;
using syncml::Message;
using syncml::StatusCode;

// What a server accepts that does not say: no limit is known, and none so big helps anybody.
constexpr int64_t kDefaultPeerMaxBytes = 1 << 20;
// The least that is believed: below, not even our header has room.
constexpr int64_t kMinPeerMaxBytes = 1024;
// Of a message, for its header, Status of the header and Final.
constexpr int64_t kHeaderRoom = 1536;
// A peer that goes on for ever is cut off.
constexpr int kMaxMessages = 2000;

absl::Status SessionFailed(absl::string_view why) {
  return Error(v1::ErrorInfo::REASON_SESSION_FAILED, why);
}

bool IsAlert(const Command& command, AlertCode code) {
  return command.kind == CommandKind::kAlert && syncml::ParseAlertCode(command.data) == code;
}

bool OnlyAsksForMore(const Message& message) {
  bool asks = false;
  for (const Command& command : message.body) {
    if (command.kind == CommandKind::kStatus) continue;
    if (!IsAlert(command, AlertCode::kNextMessage)) return false;
    asks = true;
  }
  return asks;
}

}  // namespace

Session::Session(SessionSettings settings, Tree& tree, SessionHost& host)
    : settings_(std::move(settings)),
      host_(host),
      nonces_(settings_.nonces),
      runner_(tree, settings_.account.server_id(), settings_.session_uuid),
      url_(settings_.account.address()),
      peer_max_bytes_(kDefaultPeerMaxBytes) {}

SessionStep Session::Start() {
  BeginPackageOne();
  return Send(std::nullopt, /*with_alerts=*/false);
}

void Session::BeginPackageOne() {
  queue_.Clear();
  in_flight_.clear();
  sent_alerts_.clear();
  server_final_ = true;
  queue_.Add(syncml::MakeAlert(
      "", settings_.server_initiated ? AlertCode::kServerInitiated : AlertCode::kClientInitiated));
  QueueAlerts();
  Command replace;
  replace.kind = CommandKind::kReplace;
  for (const auto& [name, value] : settings_.dev_info) {
    replace.items.push_back(syncml::MakeSourceItem(absl::StrCat("./DevInfo/", name), value));
  }
  queue_.Add(std::move(replace));
}

void Session::QueueAlerts() {
  for (const OutgoingAlert& pending : host_.PendingAlerts()) {
    if (!in_flight_.insert(pending.alert_id).second) continue;
    queue_.Add(syncml::MakeGenericAlert("", pending.alert), pending.alert_id);
  }
}

syncml::Header Session::MakeHeader() const {
  const config::v1::DmAccount& account = settings_.account;
  syncml::Header header;
  header.ver_proto = settings_.protocol_version;
  header.session_id = settings_.session_id;
  header.msg_id = absl::StrCat(messages_sent_ + 1);
  header.target.uri = url_;
  header.source = {account.device_uri(), account.client_name()};
  header.meta.max_msg_size = settings_.max_message_bytes;
  if (credentials_ != Credentials::kAccepted && nonces_.client) {
    syncml::Cred cred;
    cred.meta.format = "b64";
    cred.meta.type = std::string(syncml::kAuthMd5);
    cred.data = syncml::Md5Digest(account.client_name(), account.client_secret(), *nonces_.client);
    header.cred = std::move(cred);
  }
  return header;
}

SessionStep Session::Send(std::optional<Command> header_status, bool with_alerts) {
  if (messages_sent_ >= kMaxMessages) return End(SessionFailed("too many messages"));
  if (with_alerts) QueueAlerts();
  Message message;
  message.header = MakeHeader();
  if (header_status) {
    header_status->cmd_id = "1";
    message.body.push_back(*std::move(header_status));
  }
  const auto tagged = queue_.Fill(message, static_cast<size_t>(peer_max_bytes_));
  for (const auto& [cmd_id, alert_id] : tagged) {
    sent_alerts_[{message.header.msg_id, cmd_id}] = alert_id;
  }
  own_final_ = queue_.empty() && server_final_;
  message.final = own_final_;
  if (!server_final_) {
    message.body.push_back(
        syncml::MakeAlert(absl::StrCat(message.body.size() + 1), AlertCode::kNextMessage));
  }
  ++messages_sent_;
  return {.message = std::move(message), .url = url_, .outcome = absl::OkStatus()};
}

SessionStep Session::End(absl::Status outcome) {
  return {.message = std::nullopt, .url = "", .outcome = std::move(outcome)};
}

absl::Status Session::ReadHeader(const syncml::Header& header) {
  if (header.resp_uri && !header.resp_uri->empty()) {
    const bool https = absl::StartsWithIgnoreCase(*header.resp_uri, "https://");
    if (settings_.transport_authenticates_server && !https) {
      return SessionFailed("the server's RespURI leads out of TLS");
    }
    url_ = *header.resp_uri;
  }
  if (header.meta.max_msg_size && *header.meta.max_msg_size > 0) {
    peer_max_bytes_ = std::max(*header.meta.max_msg_size, kMinPeerMaxBytes);
  }
  return absl::OkStatus();
}

SessionStep Session::Receive(const Message& message) {
  if (message.header.session_id != settings_.session_id) {
    return End(SessionFailed(
        absl::StrCat("the server answered for session '", message.header.session_id, "'")));
  }
  if (absl::Status read = ReadHeader(message.header); !read.ok()) return End(read);
  if (auto step = CheckOwnCredentials(message)) return *std::move(step);
  if (auto step = CheckServer(message)) return *std::move(step);
  TakeAlertAnswers(message);
  for (const Command& command : message.body) {
    if (IsAlert(command, AlertCode::kSessionAbort)) {
      return End(SessionFailed("the server aborted the session"));
    }
  }
  return CarryOut(message);
}

SessionStep Session::CarryOut(const Message& message) {
  // A server that only asks for the rest of our package sends no Final, though its own package is
  // complete.
  const bool asks_for_rest = !own_final_ && server_final_ && OnlyAsksForMore(message);
  server_final_ = message.final || asks_for_rest;
  // An open package of ours is closed even if the server has nothing more to say.
  const bool over = !HasCommands(message) && message.final && queue_.empty() && own_final_;
  if (over) return End(absl::OkStatus());
  absl::StatusOr<Command> header_status = AnswerHeader(message.header);
  if (!header_status.ok()) return End(header_status.status());
  host_.OnCommands();
  const int64_t room = std::max(peer_max_bytes_ - kHeaderRoom, peer_max_bytes_ / 4);
  for (Command& answer : runner_.Run(message, static_cast<size_t>(room))) {
    queue_.Add(std::move(answer));
  }
  return Send(*std::move(header_status), /*with_alerts=*/true);
}

}  // namespace virmo::dm_bridge
