// SPDX-License-Identifier: Apache-2.0
// Session: who is who (OMA-TS-DM_Security §5).

#include <utility>

#include "absl/strings/str_cat.h"
#include "dm-bridge/session/session.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {
namespace {

using syncml::Command;
using syncml::CommandKind;
using syncml::Message;
using syncml::StatusCode;

absl::Status Refused(absl::string_view why) {
  return Error(v1::ErrorInfo::REASON_UNAUTHENTICATED, why);
}

const Command* HeaderStatus(const Message& message) {
  for (const Command& command : message.body) {
    if (command.kind != CommandKind::kStatus) continue;
    if (command.cmd_ref == "0" || command.cmd == "SyncHdr") return &command;
  }
  return nullptr;
}

}  // namespace

// What the server says of our credentials. A step, if that ends the session or starts it anew.
std::optional<SessionStep> Session::CheckOwnCredentials(const Message& message) {
  const Command* status = HeaderStatus(message);
  if (status == nullptr) return std::nullopt;
  const StatusCode code =
      syncml::ParseStatusCode(status->data).value_or(StatusCode::kCommandFailed);
  if (code == StatusCode::kInvalidCredentials || code == StatusCode::kMissingCredentials) {
    if (absl::Status refused = own_.OnRefused(*status); !refused.ok()) return End(refused);
    BeginPackageOne();
    return Send(std::nullopt, /*with_alerts=*/false);
  }
  const bool version = code == StatusCode::kBadRequest ||
                       code == StatusCode::kDtdVersionNotSupported ||
                       code == StatusCode::kProtocolVersionNotSupported;
  if (!syncml::IsSuccess(code)) {
    SessionStep step =
        End(Error(v1::ErrorInfo::REASON_SESSION_FAILED,
                  absl::StrCat("the server answered the header with ", status->data)));
    step.fall_back = version && own_.untried() && settings_.protocol_version != "DM/1.2";
    return step;
  }
  own_.OnAccepted(*status, code);
  return std::nullopt;
}

// Whether the server is who it should be. A step, if its message must not be acted upon.
std::optional<SessionStep> Session::CheckServer(const Message& message, const Wire& wire) {
  using Verdict = ServerCredentials::Verdict;
  const Verdict verdict = server_.Judge(message.header, wire);
  if (verdict == Verdict::kProven) {
    trusted_ = true;
    for (const auto& [id, answer] : std::exchange(untrusted_answers_, {})) {
      TakeAlertAnswer(id, answer);
    }
    return std::nullopt;
  }
  if (verdict == Verdict::kOtherKind) {
    return End(Refused("the server proves itself in another way than it was asked to"));
  }
  // Its credentials are due in package 2, which begins when our package 1 is complete.
  if (!server_.known() && !own_final_ && OnlyAsksForMore(message)) return std::nullopt;
  if (HasCommands(message)) {
    if (!server_.MayChallenge(verdict)) return End(Refused("the server's credentials are wrong"));
    return ChallengeServer(message, verdict);
  }
  // It has nothing to say, so it must not be challenged; TLS has shown who it is, or else nothing
  // that it answered counts. One that said it would prove each message is held to that.
  if (!settings_.transport_authenticates_server || server_.known()) {
    return End(Refused("the server did not prove who it is"));
  }
  trusted_ = true;
  return std::nullopt;
}

SessionStep Session::ChallengeServer(const Message& message, ServerCredentials::Verdict verdict) {
  const absl::StatusOr<syncml::Chal> chal = server_.Challenge(verdict);
  if (!chal.ok()) return End(chal.status());
  server_final_ = message.final;
  const StatusCode code = verdict == ServerCredentials::Verdict::kWrong
                              ? StatusCode::kInvalidCredentials
                              : StatusCode::kMissingCredentials;
  for (Command& refusal : CommandRunner::Refuse(message, code)) queue_.Add(std::move(refusal));
  Command status = syncml::MakeHeaderStatus("", message.header, code);
  status.chal = *chal;
  // Answers to alerts that came along did not count: they are sent again.
  in_flight_.clear();
  sent_alerts_.clear();
  untrusted_answers_.clear();
  return Send(std::move(status), /*with_alerts=*/false);
}

void Session::TakeAnswers(const Message& message) {
  for (const Command& status : message.body) {
    if (status.kind != CommandKind::kStatus || status.cmd_ref == "0") continue;
    const std::string msg_ref =
        status.msg_ref.empty() ? absl::StrCat(messages_sent_) : status.msg_ref;
    const AlertKey key = {msg_ref, status.cmd_ref};
    const StatusCode code =
        syncml::ParseStatusCode(status.data).value_or(StatusCode::kCommandFailed);
    std::string alert_id;
    if (const auto sent = sent_alerts_.find(key); sent != sent_alerts_.end()) {
      alert_id = sent->second;
      sent_alerts_.erase(sent);
    } else if (open_chunk_ && open_chunk_->first == key && !syncml::IsSuccess(code)) {
      alert_id = open_chunk_->second;
      open_chunk_.reset();
      queue_.DropRestOfObject();
    }
    if (alert_id.empty()) continue;
    if (trusted_) {
      TakeAlertAnswer(alert_id, code);
    } else {
      untrusted_answers_.emplace_back(alert_id, code);
    }
  }
}

void Session::TakeAlertAnswer(const std::string& alert_id, StatusCode code) {
  in_flight_.erase(alert_id);
  if (code == StatusCode::kOk || code == StatusCode::kAccepted) ++alerts_delivered_;
  host_.OnAlertAnswered(alert_id, code);
}

// Status for the server's header. The first after it proved itself offers the next nonce.
absl::StatusOr<Command> Session::AnswerHeader(const syncml::Header& header) {
  ASSIGN_OR_RETURN(const ServerCredentials::Acceptance acceptance, server_.Accept());
  Command status = syncml::MakeHeaderStatus("", header, acceptance.code);
  if (acceptance.chal) RETURN_IF_ERROR(SaveNonces());
  status.chal = acceptance.chal;
  return status;
}

absl::Status Session::SaveNonces() {
  return host_.SaveNonces({.client = own_.nonce(), .server = server_.nonces()});
}

}  // namespace virmo::dm_bridge
