// SPDX-License-Identifier: Apache-2.0
// Session: who is who (OMA-TS-DM_Security §5).

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "dm-bridge/session/session.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/auth.h"

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

// The nonce in a Chal; nothing if there is none that can be used.
std::optional<std::string> NextNonce(const std::optional<syncml::Chal>& chal) {
  if (!chal || !chal->meta.next_nonce) return std::nullopt;
  const absl::StatusOr<std::string> octets =
      syncml::Base64Decode(absl::StripAsciiWhitespace(*chal->meta.next_nonce));
  if (!octets.ok()) return std::nullopt;
  return *octets;
}

syncml::Chal MakeChal(absl::string_view nonce) {
  syncml::Chal chal;
  chal.meta.format = "b64";
  chal.meta.type = std::string(syncml::kAuthMd5);
  chal.meta.next_nonce = syncml::Base64Encode(nonce);
  return chal;
}

}  // namespace

// What the server says of our credentials. A step, if that ends the session or starts it anew.
std::optional<SessionStep> Session::CheckOwnCredentials(const Message& message) {
  const Command* status = HeaderStatus(message);
  if (status == nullptr) return std::nullopt;
  const StatusCode code =
      syncml::ParseStatusCode(status->data).value_or(StatusCode::kCommandFailed);
  if (code == StatusCode::kInvalidCredentials || code == StatusCode::kMissingCredentials) {
    return Answer401(*status);
  }
  const bool version = code == StatusCode::kBadRequest ||
                       code == StatusCode::kDtdVersionNotSupported ||
                       code == StatusCode::kProtocolVersionNotSupported;
  if (!syncml::IsSuccess(code)) {
    SessionStep step =
        End(Error(v1::ErrorInfo::REASON_SESSION_FAILED,
                  absl::StrCat("the server answered the header with ", status->data)));
    step.fall_back = version && messages_sent_ == 1 && settings_.protocol_version != "DM/1.2";
    return step;
  }
  if (code == StatusCode::kAuthenticationAccepted) {
    credentials_ = Credentials::kAccepted;
  } else if (credentials_ == Credentials::kNeeded) {
    credentials_ = Credentials::kEachMessage;
  }
  if (std::optional<std::string> nonce = NextNonce(status->chal)) nonces_.client = nonce;
  return std::nullopt;
}

std::optional<SessionStep> Session::Answer401(const Command& status) {
  if (challenged_) return End(Refused("the server refuses our credentials"));
  const std::optional<std::string> nonce = NextNonce(status.chal);
  const std::string type = status.chal ? status.chal->meta.type.value_or("") : "";
  if (!nonce || absl::StripAsciiWhitespace(type) != syncml::kAuthMd5) {
    return End(Refused(absl::StrCat("the server wants credentials of a kind that we do not have: ",
                                    type.empty() ? "no challenge" : type)));
  }
  challenged_ = true;
  credentials_ = Credentials::kNeeded;
  nonces_.client = nonce;
  BeginPackageOne();
  return Send(std::nullopt, /*with_alerts=*/false);
}

bool Session::ProvesServer(const syncml::Header& header) {
  const config::v1::DmAccount& account = settings_.account;
  if (account.server_secret().empty()) return settings_.transport_authenticates_server;
  if (!header.cred) return false;
  if (absl::StripAsciiWhitespace(header.cred->meta.type.value_or("")) != syncml::kAuthMd5) {
    return false;
  }
  for (const std::string& nonce : nonces_.server) {
    const std::string digest =
        syncml::Md5Digest(account.server_name(), account.server_secret(), nonce);
    if (!syncml::ConstantTimeEquals(digest, absl::StripAsciiWhitespace(header.cred->data))) {
      continue;
    }
    nonces_.server = {std::string(nonce)};  // Of two, this is the one that the server has.
    nonce_due_ = true;
    return true;
  }
  return false;
}

// Whether the server is who it should be. A step, if its message must not be acted upon.
std::optional<SessionStep> Session::CheckServer(const Message& message) {
  if (next_nonce_offered_) {  // This answer shows that the server has the nonce we offered.
    next_nonce_offered_ = false;
    nonces_.server.resize(1);
    if (server_known_) {
      if (absl::Status saved = host_.SaveNonces(nonces_); !saved.ok()) return End(saved);
    }
  }
  if (server_known_) return std::nullopt;
  if (ProvesServer(message.header)) {
    server_known_ = true;
    if (absl::Status saved = host_.SaveNonces(nonces_); !saved.ok()) return End(saved);
    return std::nullopt;
  }
  if (HasCommands(message)) {
    if (server_challenged_) return End(Refused("the server's credentials are wrong"));
    return ChallengeServer(message);
  }
  // It has nothing to say, so it must not be challenged; TLS has shown who it is, or else nothing
  // that it answered counts.
  if (!settings_.transport_authenticates_server) {
    return End(Refused("the server did not prove who it is"));
  }
  if (absl::Status saved = host_.SaveNonces(nonces_); !saved.ok()) return End(saved);
  return std::nullopt;
}

SessionStep Session::ChallengeServer(const Message& message) {
  const absl::StatusOr<std::string> nonce = syncml::RandomNonce();
  if (!nonce.ok()) return End(nonce.status());
  server_challenged_ = true;
  server_final_ = message.final;
  nonces_.server = {*nonce};
  const StatusCode code =
      message.header.cred ? StatusCode::kInvalidCredentials : StatusCode::kMissingCredentials;
  for (Command& refusal : CommandRunner::Refuse(message, code)) queue_.Add(std::move(refusal));
  Command status = syncml::MakeHeaderStatus("", message.header, code);
  status.chal = MakeChal(*nonce);
  // Answers to alerts that came along did not count: they are sent again.
  in_flight_.clear();
  sent_alerts_.clear();
  return Send(std::move(status), /*with_alerts=*/false);
}

void Session::TakeAlertAnswers(const Message& message) {
  for (const Command& status : message.body) {
    if (status.kind != CommandKind::kStatus || status.cmd_ref == "0") continue;
    const std::string msg_ref =
        status.msg_ref.empty() ? absl::StrCat(messages_sent_) : status.msg_ref;
    const auto sent = sent_alerts_.find({msg_ref, status.cmd_ref});
    if (sent == sent_alerts_.end()) continue;
    const StatusCode code =
        syncml::ParseStatusCode(status.data).value_or(StatusCode::kCommandFailed);
    in_flight_.erase(sent->second);
    if (code == StatusCode::kOk || code == StatusCode::kAccepted) ++alerts_delivered_;
    host_.OnAlertAnswered(sent->second, code);
    sent_alerts_.erase(sent);
  }
}

// Status for the server's header. The first after it proved itself offers the next nonce.
absl::StatusOr<Command> Session::AnswerHeader(const syncml::Header& header) {
  if (!nonce_due_) return syncml::MakeHeaderStatus("", header, StatusCode::kOk);
  nonce_due_ = false;
  Command status = syncml::MakeHeaderStatus("", header, StatusCode::kAuthenticationAccepted);
  ASSIGN_OR_RETURN(const std::string nonce, syncml::RandomNonce());
  // Both must be good until it is known that the server has the new one.
  nonces_.server.insert(nonces_.server.begin(), nonce);
  next_nonce_offered_ = true;
  RETURN_IF_ERROR(host_.SaveNonces(nonces_));
  status.chal = MakeChal(nonce);
  return status;
}

}  // namespace virmo::dm_bridge
