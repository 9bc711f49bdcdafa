// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/session/session.h"

#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"

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

bool HasAbort(const Message& message) {
  for (const Command& command : message.body) {
    if (IsAlert(command, AlertCode::kSessionAbort)) return true;
  }
  return false;
}

}  // namespace

bool OnlyAsksForMore(const Message& message) {
  for (const Command& command : message.body) {
    if (command.kind == CommandKind::kStatus) continue;
    if (!IsAlert(command, AlertCode::kNextMessage)) return false;
  }
  return true;
}

Session::Session(SessionSettings settings, Tree& tree, SessionHost& host)
    : settings_(std::move(settings)),
      host_(host),
      own_(settings_.account, settings_.nonces.client, settings_.transport_authenticates_server),
      server_(settings_.account, settings_.nonces.server, settings_.transport_authenticates_server),
      runner_(tree, host, settings_.account.server_id(), settings_.session_uuid),
      objects_(settings_.max_object_bytes),
      queue_(settings_.encoding),
      url_(settings_.account.address()),
      peer_max_bytes_(kDefaultPeerMaxBytes),
      peer_max_object_bytes_(std::numeric_limits<int64_t>::max()) {}

SessionStep Session::Start() {
  BeginPackageOne();
  return Send(std::nullopt, /*with_alerts=*/false);
}

void Session::BeginPackageOne() {
  queue_.Clear();
  in_flight_.clear();
  sent_alerts_.clear();
  untrusted_answers_.clear();
  open_chunk_.reset();
  objects_.Reset();
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
  header.meta.max_obj_size = settings_.max_object_bytes;
  header.cred = own_.MakeCred();
  return header;
}

SessionStep Session::Send(std::optional<Command> header_status, bool with_alerts) {
  if (messages_sent_ >= kMaxMessages) return GiveUp(SessionFailed("too many messages"));
  if (with_alerts) QueueAlerts();
  Message message;
  message.header = MakeHeader();
  if (header_status) {
    header_status->cmd_id = "1";
    message.body.push_back(*std::move(header_status));
  }
  const OutgoingQueue::Sent sent = queue_.Fill(message, static_cast<size_t>(peer_max_bytes_));
  for (const auto& [cmd_id, alert_id] : sent.tags) {
    sent_alerts_[{message.header.msg_id, cmd_id}] = alert_id;
  }
  open_chunk_.reset();
  if (sent.chunk) open_chunk_ = {{message.header.msg_id, sent.chunk->first}, sent.chunk->second};
  own_final_ = queue_.empty() && server_final_;
  message.final = own_final_;
  if (!server_final_) {
    message.body.push_back(
        syncml::MakeAlert(absl::StrCat(message.body.size() + 1), AlertCode::kNextMessage));
  }
  return Post(std::move(message));
}

SessionStep Session::Post(Message message) {
  ++messages_sent_;
  return {.message = std::move(message),
          .url = url_,
          .mac_key = own_.MakeMacKey(),
          .outcome = absl::OkStatus()};
}

SessionStep Session::Abort() {
  if (messages_sent_ == 0) return End(absl::OkStatus());
  Message message;
  message.header = MakeHeader();
  message.body.push_back(syncml::MakeAlert("1", AlertCode::kSessionAbort));
  message.final = true;
  return Post(std::move(message));
}

SessionStep Session::End(absl::Status outcome) {
  if (trusted_) {
    absl::Status saved = SaveNonces();
    if (outcome.ok()) outcome = std::move(saved);
  }
  return {
      .message = std::nullopt, .url = "", .mac_key = std::nullopt, .outcome = std::move(outcome)};
}

SessionStep Session::GiveUp(absl::Status outcome) {
  SessionStep step = End(std::move(outcome));
  step.abort = true;
  return step;
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
  if (header.meta.max_obj_size && *header.meta.max_obj_size > 0) {
    peer_max_object_bytes_ = *header.meta.max_obj_size;
  }
  return absl::OkStatus();
}

SessionStep Session::Receive(const Message& message, const Wire& wire) {
  if (message.header.session_id != settings_.session_id) {
    return GiveUp(SessionFailed(
        absl::StrCat("the server answered for session '", message.header.session_id, "'")));
  }
  if (absl::Status read = ReadHeader(message.header); !read.ok()) return GiveUp(read);
  if (auto step = CheckOwnCredentials(message)) return *std::move(step);
  if (auto step = CheckServer(message, wire)) return *std::move(step);
  TakeAnswers(message);
  if (HasAbort(message)) return End(SessionFailed("the server aborted the session"));
  return CarryOut(message);
}

SessionStep Session::CarryOut(const Message& message) {
  const bool bare = OnlyAsksForMore(message);
  // A server that waits for the rest of our package sends no Final, though its own package is
  // complete.
  const bool waits = !own_final_ && server_final_ && bare;
  // An open package of ours is closed even if the server has nothing more to say.
  const bool over = !HasCommands(message) && message.final && queue_.empty() && own_final_;
  if (over && !objects_.open()) return End(absl::OkStatus());
  absl::StatusOr<Command> header_status = AnswerHeader(message.header);
  if (!header_status.ok()) return GiveUp(header_status.status());
  RunCommands(message, bare);
  server_final_ = (message.final || waits) && !objects_.open();
  return Send(*std::move(header_status), /*with_alerts=*/true);
}

void Session::RunCommands(const Message& message, bool bare) {
  if (!bare) host_.OnCommands();
  const auto room =
      static_cast<size_t>(std::max(peer_max_bytes_ - kHeaderRoom, peer_max_bytes_ / 4));
  const std::string& msg_id = message.header.msg_id;
  objects_.BeginMessage(msg_id);
  for (const Command& command : message.body) {
    if (IsAnswer(command)) continue;
    if (IsAlert(command, AlertCode::kNextMessage)) {
      queue_.Add(syncml::MakeStatus("", msg_id, command, StatusCode::kOk));
      continue;
    }
    if (!objects_.Concerns(command)) {
      QueueAnswers(runner_.Run(msg_id, command, room));
      continue;
    }
    std::vector<Command> answers;
    const std::optional<Command> left = objects_.Take(command, answers);
    if (left) QueueAnswers(runner_.Run(msg_id, *left, room));
    for (Command& answer : answers) queue_.Add(std::move(answer));
  }
  std::vector<Command> rest;
  objects_.EndMessage(rest);
  for (Command& answer : rest) queue_.Add(std::move(answer));
}

void Session::QueueAnswers(std::vector<Command> answers) {
  KeepWithinPeersObjectSize(answers);
  for (Command& answer : answers) queue_.Add(std::move(answer));
}

// Results with an object larger than the server takes become 413.
void Session::KeepWithinPeersObjectSize(std::vector<Command>& answers) const {
  std::set<std::string> too_large;  // CmdRefs.
  for (const Command& answer : answers) {
    if (answer.kind != CommandKind::kResults) continue;
    for (const syncml::Item& item : answer.items) {
      const bool octets = item.meta.format == "bin" && settings_.encoding == syncml::Encoding::kXml;
      const size_t size = item.data ? item.data->size() : 0;
      const size_t on_wire = octets ? (size + 2) / 3 * 4 : size;
      if (static_cast<int64_t>(on_wire) > peer_max_object_bytes_) too_large.insert(answer.cmd_ref);
    }
  }
  if (too_large.empty()) return;
  std::erase_if(answers, [&](const Command& answer) {
    return answer.kind == CommandKind::kResults && too_large.count(answer.cmd_ref) > 0;
  });
  for (Command& answer : answers) {
    const bool refused = answer.kind == CommandKind::kStatus && too_large.count(answer.cmd_ref) > 0;
    if (!refused || answer.data != "200") continue;
    answer.data = syncml::ToText(StatusCode::kEntityTooLarge);
    syncml::Item why;
    why.data = "the value is larger than the MaxObjSize that you gave";
    answer.items = {std::move(why)};
  }
}

}  // namespace virmo::dm_bridge
