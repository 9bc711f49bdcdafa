// SPDX-License-Identifier: Apache-2.0
#include "services/server/dm/dm_handler.h"

#include <openssl/evp.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/fault_point.h"
#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"
#include "services/server/dm/message_receiver.h"
#include "services/server/dm/package_evaluator.h"
#include "services/server/dm/package_planner.h"

namespace virmo::server {
namespace {

using syncml::Message;
using syncml::StatusCode;

constexpr int kMaxMessages = 2000;
constexpr int kMaxServerRefusals = 2;
// A device that tells less is not believed: no command would fit.
constexpr int64_t kLeastMessageSize = 1024;

std::string Sha256(absl::string_view octets) {
  std::string digest(32, '\0');
  EVP_Digest(octets.data(), octets.size(), reinterpret_cast<unsigned char*>(digest.data()), nullptr,
             EVP_sha256(), nullptr);
  return digest;
}

// Up to here the answer holds Status commands only, numbered from 1.
std::string NextCmdId(const Message& answer) { return absl::StrCat(answer.body.size() + 1); }

// A code for the whole message if its header cannot be served; 0 if it can.
int RefuseHeader(const syncml::Header& header, const SessionState& session) {
  if (header.ver_dtd != "1.2" && header.ver_dtd != "1.3") {
    return Number(StatusCode::kDtdVersionNotSupported);
  }
  if (header.ver_proto != "DM/1.2" && header.ver_proto != "DM/1.3") {
    return Number(StatusCode::kProtocolVersionNotSupported);
  }
  int64_t last = 0;
  int64_t now = 0;
  const bool numbered = !session.device().empty() &&
                        absl::SimpleAtoi(session.last_msg_id(), &last) &&
                        absl::SimpleAtoi(header.msg_id, &now);
  // A repeat of the same octets was answered before this; this is another message.
  if (numbered && now <= last) return Number(StatusCode::kBadRequest);
  if (session.messages_sent() >= kMaxMessages) return Number(StatusCode::kCommandFailed);
  return 0;
}

void AddStatus(Message& answer, const Message& request, const syncml::Command& about, int code) {
  answer.body.push_back(syncml::MakeStatus(NextCmdId(answer), request.header.msg_id, about,
                                           static_cast<StatusCode>(code)));
}

// The same code for the header and for every command that is due a Status.
void RefuseAll(Message& answer, const Message& request, int code,
               const std::optional<syncml::Chal>& chal) {
  answer.body.push_back(
      syncml::MakeHeaderStatus("1", request.header, static_cast<StatusCode>(code)));
  answer.body.back().chal = chal;
  for (const syncml::Command& command : request.body) {
    if (command.kind == syncml::CommandKind::kStatus) continue;
    if (command.kind == syncml::CommandKind::kResults) continue;
    AddStatus(answer, request, command, code);
  }
  answer.final = true;
}

// Whether the device has nothing more to say before it hears from us: Final, or nothing but the
// wish for our next message. Some wait with Final until we have sent ours.
bool EndsPackage(const Message& request) {
  if (request.final) return true;
  bool asks_for_next = false;
  for (const syncml::Command& command : request.body) {
    const bool next = command.kind == syncml::CommandKind::kAlert &&
                      syncml::ParseAlertCode(command.data) == syncml::AlertCode::kNextMessage;
    const bool courtesy =
        command.kind == syncml::CommandKind::kStatus &&
        (command.cmd_ref == "0" || command.cmd == "SyncHdr" || command.cmd == "Alert");
    if (!next && !courtesy) return false;
    asks_for_next |= next;
  }
  return asks_for_next;
}

size_t MessageLimit(const SessionState& session) {
  if (session.max_message_size() == 0) return std::numeric_limits<int32_t>::max();
  return static_cast<size_t>(std::max(session.max_message_size(), kLeastMessageSize));
}

// The answer with its first `statuses` commands and the units' commands, which get their CmdIDs.
Message WithUnits(const Message& answer, size_t statuses,
                  std::vector<PackagePlanner::Unit>& units) {
  Message whole = answer;
  whole.body.resize(statuses);
  int next = static_cast<int>(statuses) + 1;
  for (PackagePlanner::Unit& unit : units) {
    Number(answer.header.msg_id, &next, unit.outgoing);
    whole.body.insert(whole.body.end(), unit.outgoing.commands.begin(),
                      unit.outgoing.commands.end());
  }
  return whole;
}

}  // namespace

DmHandler::DmHandler(DmParts& parts)
    : parts_(parts), sessions_(parts.database, parts.clock), authenticator_(parts, sessions_) {}

absl::StatusOr<std::string> DmHandler::Handle(absl::string_view request, syncml::Encoding encoding,
                                              const std::string& token) {
  ASSIGN_OR_RETURN(const Message message,
                   syncml::Decode(request, encoding, {.max_bytes = parts_.max_message_bytes}));
  const std::string digest = Sha256(request);
  Events events;
  SessionState session;
  RETURN_IF_ERROR(parts_.database.Transact([&]() -> absl::Status {
    bool repeated = false;
    ASSIGN_OR_RETURN(session, FindSession(message.header, token, &repeated, digest));
    if (repeated) return absl::OkStatus();
    ASSIGN_OR_RETURN(const Message answer, Answer(message, encoding, session, events));
    session.set_last_msg_id(message.header.msg_id);
    session.set_last_request_digest(digest);
    session.set_last_response(syncml::Encode(answer, encoding));
    return sessions_.Save(session);
  }));
  FaultPoint("dm.committed");
  parts_.feed.Publish(events);
  return session.last_response();
}

absl::StatusOr<SessionState> DmHandler::FindSession(const syncml::Header& header,
                                                    const std::string& token, bool* repeated,
                                                    const std::string& digest) {
  std::optional<SessionState> found;
  if (!token.empty()) {
    ASSIGN_OR_RETURN(found, sessions_.FindByToken(token));
    // Only the holder of the token gets an answer again: it holds nonces and commands.
    *repeated = found && found->last_request_digest() == digest;
    if (*repeated) return *std::move(found);
  } else if (header.msg_id != "1") {
    ASSIGN_OR_RETURN(found, sessions_.FindOpen(header.source.uri, header.session_id));
    // Without the token, who was authenticated by an earlier message must be so by this one.
    if (found && !found->device().empty()) found.reset();
  }
  // An authenticated device may always say more, also after we had nothing to add.
  const bool fits = found && (!found->ended() || !found->device().empty()) &&
                    found->device_uri() == header.source.uri &&
                    found->session_id() == header.session_id;
  if (fits) return *std::move(found);
  return sessions_.Create(header.source.uri, header.session_id);
}

syncml::Header DmHandler::HeaderFor(const syncml::Header& request, SessionState& session) const {
  session.set_messages_sent(session.messages_sent() + 1);
  syncml::Header header;
  header.ver_proto = request.ver_proto == "DM/1.2" ? "DM/1.2" : "DM/1.3";
  header.session_id = session.session_id();
  header.msg_id = absl::StrCat(session.messages_sent());
  header.target = {request.source.uri, ""};
  header.source = {DmUrl(parts_.public_url), parts_.server_id};
  header.resp_uri = absl::StrCat(DmUrl(parts_.public_url), "?s=", session.token());
  header.meta.max_msg_size = static_cast<int64_t>(parts_.max_message_bytes);
  return header;
}

absl::StatusOr<Message> DmHandler::Answer(const Message& request, syncml::Encoding encoding,
                                          SessionState& session, Events& events) {
  Message answer;
  answer.header = HeaderFor(request.header, session);
  if (const int code = RefuseHeader(request.header, session); code != 0) {
    RefuseAll(answer, request, code, std::nullopt);
    return answer;
  }
  if (request.header.meta.max_msg_size) {
    session.set_max_message_size(std::max(*request.header.meta.max_msg_size, int64_t{0}));
  }
  ASSIGN_OR_RETURN(const auto result, authenticator_.Check(request.header, session));
  if (!syncml::IsSuccess(result.code)) {
    RefuseAll(answer, request, Number(result.code), result.chal);
    return answer;
  }
  answer.body.push_back(syncml::MakeHeaderStatus("1", request.header, result.code));
  answer.body.back().chal = result.chal;
  // Before the queue is read: what is queued after this may ask for another session.
  parts_.on_session(session.device());
  RETURN_IF_ERROR(parts_.devices.Update(session.device(), [&](v1::Device& device) {
    *device.mutable_last_session_time() = ToTimestamp(parts_.clock());
    device.set_protocol_version(request.header.ver_proto);
    device.clear_last_session_error();
  }));
  RETURN_IF_ERROR(Converse(request, encoding, session, events, answer));
  return answer;
}

absl::Status DmHandler::Converse(const Message& request, syncml::Encoding encoding,
                                 SessionState& session, Events& events, Message& answer) {
  MessageReceiver receiver(parts_, session, events);
  for (const syncml::Command& command : request.body) {
    ASSIGN_OR_RETURN(const int code, receiver.Receive(request, command));
    if (code != 0) AddStatus(answer, request, command, code);
  }
  // Also when there is nothing to ask for: the device wants to know whose answer it is.
  if (!session.server_accepted()) {
    ASSIGN_OR_RETURN(const DeviceRecord device, parts_.devices.GetRecord(session.device()));
    answer.header.cred = ServerCredential(device, parts_.server_id);
  }
  if (!EndsPackage(request) && !receiver.aborted()) {
    answer.body.push_back(syncml::MakeAlert(NextCmdId(answer), syncml::AlertCode::kNextMessage));
    return absl::OkStatus();
  }
  answer.final = true;
  session.set_ended(false);
  RETURN_IF_ERROR(PackageEvaluator(parts_, session, events).Evaluate());
  session.set_server_refused(false);
  if (receiver.aborted()) return EndSession(session, "the device broke the session off");
  if (session.server_refusals() >= kMaxServerRefusals) {
    return EndSession(session, "the device refuses this server's credentials");
  }
  return SendPackage(encoding, session, events, answer);
}

absl::Status DmHandler::SendPackage(syncml::Encoding encoding, SessionState& session,
                                    Events& events, Message& answer) {
  PackagePlanner planner(parts_, session, events);
  ASSIGN_OR_RETURN(std::vector<PackagePlanner::Unit> units, planner.Plan());
  const size_t limit = MessageLimit(session);
  while (!units.empty()) {
    Message whole = WithUnits(answer, answer.body.size(), units);
    if (syncml::Encode(whole, encoding).size() <= limit) {
      answer = std::move(whole);
      return planner.MarkSent(units);
    }
    if (units.size() > 1) {
      units.resize(units.size() / 2);
    } else if (syncml::Encode(WithUnits(answer, 1, units), encoding).size() <= limit) {
      // The Statuses leave no room: the package goes on in the next message.
      answer.final = false;
      return absl::OkStatus();
    } else if (units[0].command.empty()) {
      units.clear();
    } else {
      RETURN_IF_ERROR(planner.Refuse(
          units[0].command,
          absl::StrCat("does not fit into the device's messages of ", limit, " octets")));
      ASSIGN_OR_RETURN(units, planner.Plan());
    }
  }
  return EndSession(session, "");
}

absl::Status DmHandler::EndSession(SessionState& session, const std::string& error) {
  session.set_ended(true);
  // One a device and poll is too many for a busy log, unless it went wrong.
  spdlog::log(error.empty() ? spdlog::level::debug : spdlog::level::warn,
              "session ended device={} session={} messages={} error=\"{}\"", session.device(),
              session.session_id(), session.messages_sent(), error);
  return parts_.devices.Update(session.device(), [&](v1::Device& device) {
    *device.mutable_last_session_time() = ToTimestamp(parts_.clock());
    device.set_last_session_error(error);
  });
}

}  // namespace virmo::server
