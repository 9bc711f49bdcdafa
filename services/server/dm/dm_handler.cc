// SPDX-License-Identifier: Apache-2.0
#include "services/server/dm/dm_handler.h"

#include <openssl/evp.h>

#include <algorithm>
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
#include "services/server/dm/object_sender.h"
#include "services/server/dm/package_evaluator.h"
#include "services/server/dm/package_planner.h"

namespace virmo::server {
namespace {

using syncml::AlertCode;
using syncml::Message;
using syncml::StatusCode;

constexpr int kMaxMessages = 5000;
constexpr int kMaxServerRefusals = 2;
// Of what a stranger can make us store.
constexpr size_t kMaxHeaderText = 1024;
constexpr size_t kMaxStrangersAnswer = 8192;

std::string Sha256(absl::string_view octets) {
  std::string digest(32, '\0');
  EVP_Digest(octets.data(), octets.size(), reinterpret_cast<unsigned char*>(digest.data()), nullptr,
             EVP_sha256(), nullptr);
  return digest;
}

absl::Status CheckSizes(const syncml::Header& header) {
  if (header.source.uri.size() <= kMaxHeaderText && header.session_id.size() <= kMaxHeaderText &&
      header.msg_id.size() <= kMaxHeaderText && header.target.uri.size() <= kMaxHeaderText &&
      header.ver_proto.size() <= kMaxHeaderText) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError("a part of the SyncHdr is too long");
}

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

// Whether the device has nothing more to say before it hears from us: Final, or nothing but the
// wish for our next message. Some wait with Final until we have sent ours.
bool EndsPackage(const Message& request) {
  if (request.final) return true;
  bool asks_for_next = false;
  for (const syncml::Command& command : request.body) {
    const auto alert = command.kind == syncml::CommandKind::kAlert
                           ? syncml::ParseAlertCode(command.data)
                           : std::nullopt;
    const bool next = alert == AlertCode::kNextMessage || alert == AlertCode::kNoEndOfData;
    const bool chunk_taken = syncml::ParseStatusCode(command.data) == StatusCode::kChunkAccepted;
    const bool courtesy = command.kind == syncml::CommandKind::kStatus &&
                          (command.cmd_ref == "0" || command.cmd == "SyncHdr" ||
                           command.cmd == "Alert" || chunk_taken);
    if (!next && !courtesy) return false;
    // A device in the middle of our object may leave the wish unsaid.
    asks_for_next |= next || (courtesy && chunk_taken);
  }
  return asks_for_next;
}

// The answer with the units' commands, which get their CmdIDs after `numbered`.
Message WithUnits(const Message& answer, size_t statuses, int numbered,
                  std::vector<PackagePlanner::Unit>& units) {
  Message whole = answer;
  whole.body.resize(statuses);
  int next = numbered + 1;
  for (PackagePlanner::Unit& unit : units) {
    Number(answer.header.msg_id, &next, unit.outgoing);
    whole.body.insert(whole.body.end(), unit.outgoing.commands.begin(),
                      unit.outgoing.commands.end());
  }
  return whole;
}

int CountOf(const std::vector<PackagePlanner::Unit>& units) {
  size_t count = 0;
  for (const PackagePlanner::Unit& unit : units) count += unit.outgoing.sent.size();
  return static_cast<int>(count);
}

}  // namespace

DmHandler::DmHandler(DmParts& parts)
    : parts_(parts),
      sessions_(parts.database, parts.secrets, parts.clock),
      authenticator_(parts, sessions_),
      commits_(parts.database) {}

absl::StatusOr<DmAnswer> DmHandler::Handle(const DmRequest& request) {
  ASSIGN_OR_RETURN(const Message message, syncml::Decode(request.octets, request.encoding,
                                                         {.max_bytes = parts_.max_message_bytes}));
  RETURN_IF_ERROR(CheckSizes(message.header));
  const std::string digest = Sha256(request.octets);
  Events events;
  SessionState session;
  RETURN_IF_ERROR(
      commits_.Transact([&] { return Process(request, message, digest, session, events); }));
  FaultPoint("dm.committed");
  parts_.feed.Publish(events);
  return DmAnswer{.octets = session.last_response(), .hmac = session.last_hmac()};
}

absl::Status DmHandler::Process(const DmRequest& request, const Message& message,
                                const std::string& digest, SessionState& session, Events& events) {
  bool repeated = false;
  ASSIGN_OR_RETURN(session, FindSession(request, message.header, digest, &repeated));
  if (repeated) return absl::OkStatus();
  Answer answer(message, request.encoding, session);
  answer.message.header = HeaderFor(message.header, session);
  RETURN_IF_ERROR(Reply(request, message, session, events, answer));
  session.set_last_msg_id(message.header.msg_id);
  session.set_last_request_digest(digest);
  RETURN_IF_ERROR(Finish(answer, session));
  if (!session.device().empty() || session.last_response().size() <= kMaxStrangersAnswer) {
    return sessions_.Save(session);
  }
  SessionState stored = session;
  stored.clear_last_response();
  return sessions_.Save(stored);
}

absl::StatusOr<SessionState> DmHandler::FindSession(const DmRequest& request,
                                                    const syncml::Header& header,
                                                    const std::string& digest, bool* repeated) {
  std::optional<SessionState> found;
  if (!request.token.empty()) {
    ASSIGN_OR_RETURN(found, sessions_.FindByToken(request.token));
    // Only the holder of the token gets an answer again: it holds nonces and commands.
    *repeated = found && found->last_request_digest() == digest && !found->last_response().empty();
    if (*repeated) return *std::move(found);
  } else if (header.msg_id != "1") {
    ASSIGN_OR_RETURN(found, sessions_.FindOpen(header.source.uri, header.session_id));
    // Without the token, who was authenticated by an earlier message must be so by this one.
    if (found && !found->device().empty()) {
      ASSIGN_OR_RETURN(const bool proven, authenticator_.IsFromDeviceOf(*found, request, header));
      if (!proven) found.reset();
    }
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
  if (request.ver_dtd == "1.3") header.ver_dtd = "1.3";
  header.ver_proto = request.ver_proto == "DM/1.2" ? "DM/1.2" : "DM/1.3";
  header.session_id = session.session_id();
  header.msg_id = absl::StrCat(session.messages_sent());
  header.target = {request.source.uri, ""};
  header.source = {DmUrl(parts_.public_url), parts_.server_id};
  header.resp_uri = absl::StrCat(DmUrl(parts_.public_url), "?s=", session.token());
  header.meta.max_msg_size = static_cast<int64_t>(parts_.max_message_bytes);
  header.meta.max_obj_size = static_cast<int64_t>(parts_.max_object_bytes);
  return header;
}

absl::Status DmHandler::Finish(const Answer& answer, SessionState& session) {
  std::string octets = syncml::Encode(answer.message, answer.encoding());
  session.clear_last_hmac();
  if (session.server_uses_mac() && !session.device().empty()) {
    ASSIGN_OR_RETURN(const DeviceRecord device, parts_.devices.GetRecord(session.device()));
    session.set_last_hmac(syncml::FormatHmacHeader(syncml::MakeHmacHeader(
        ServerIdentity(device, parts_.server_id), device.server_nonce, octets)));
  }
  session.set_last_response(std::move(octets));
  return absl::OkStatus();
}

absl::Status DmHandler::Reply(const DmRequest& request, const Message& message,
                              SessionState& session, Events& events, Answer& answer) {
  if (const int code = RefuseHeader(message.header, session); code != 0) {
    answer.RefuseAll(code, std::nullopt);
    return absl::OkStatus();
  }
  if (message.header.meta.max_msg_size) {
    session.set_max_message_size(std::max(*message.header.meta.max_msg_size, int64_t{0}));
  }
  if (message.header.meta.max_obj_size) {
    session.set_max_object_size(std::max(*message.header.meta.max_obj_size, int64_t{0}));
  }
  ASSIGN_OR_RETURN(const auto result, authenticator_.Check(request, message.header, session));
  if (!syncml::IsSuccess(result.code)) {
    answer.RefuseAll(Number(result.code), result.chal);
    return absl::OkStatus();
  }
  answer.AddHeaderStatus(result.code, result.chal);
  // Before the queue is read: what is queued after this may ask for another session.
  parts_.on_session(session.device());
  RETURN_IF_ERROR(parts_.devices.Update(session.device(), [&](v1::Device& device) {
    *device.mutable_last_session_time() = ToTimestamp(parts_.clock());
    device.set_protocol_version(message.header.ver_proto);
    device.clear_last_session_error();
  }));
  return Converse(message, session, events, answer);
}

absl::Status DmHandler::Converse(const Message& message, SessionState& session, Events& events,
                                 Answer& answer) {
  answer.AddDeferred();
  MessageReceiver receiver(parts_, session, events);
  for (const syncml::Command& command : message.body) {
    ASSIGN_OR_RETURN(const int code, receiver.Receive(message, command));
    if (code != 0) answer.AddStatus(command, code);
  }
  // Also when there is nothing to ask for: the device wants to know whose answer it is.
  if (!session.server_accepted() && !session.server_uses_mac()) {
    ASSIGN_OR_RETURN(const DeviceRecord device, parts_.devices.GetRecord(session.device()));
    answer.message.header.cred =
        syncml::MakeMd5Cred(ServerIdentity(device, parts_.server_id), device.server_nonce);
  }
  const bool more_statuses = answer.DeferExcess();
  if (receiver.broke_object()) answer.AddAlert(AlertCode::kNoEndOfData);
  if ((!EndsPackage(message) || session.has_incoming()) && !receiver.aborted()) {
    answer.AddAlert(AlertCode::kNextMessage);
    return absl::OkStatus();
  }
  session.set_ended(false);
  RETURN_IF_ERROR(PackageEvaluator(parts_, session, events).Evaluate());
  session.set_server_refused(false);
  answer.message.final = !more_statuses;
  if (receiver.aborted()) return EndSession(session, "the device broke the session off");
  if (session.server_refusals() >= kMaxServerRefusals) {
    return EndSession(session, "the device refuses this server's credentials");
  }
  if (more_statuses) return absl::OkStatus();
  return SendPackage(session, events, answer);
}

absl::Status DmHandler::SendPackage(SessionState& session, Events& events, Answer& answer) {
  PackagePlanner planner(parts_, session, events);
  ObjectSender objects(parts_, session, planner);
  if (objects.active()) {
    ASSIGN_OR_RETURN(const bool sent, objects.SendChunk(answer));
    if (sent) return absl::OkStatus();
  }
  const size_t statuses = answer.message.body.size();
  ASSIGN_OR_RETURN(std::vector<PackagePlanner::Unit> units, planner.Plan());
  while (!units.empty()) {
    Message whole = WithUnits(answer.message, statuses, session.commands_numbered(), units);
    if (syncml::Encode(whole, answer.encoding()).size() <= answer.Limit()) {
      answer.message = std::move(whole);
      session.set_commands_numbered(session.commands_numbered() + CountOf(units));
      return planner.MarkSent(units);
    }
    if (units.size() > 1) {
      units.resize(units.size() / 2);
      continue;
    }
    if (ObjectSender::CanSplit(units[0])) {
      RETURN_IF_ERROR(objects.Begin(units[0]));
      ASSIGN_OR_RETURN(const bool sent, objects.SendChunk(answer));
      if (sent) return absl::OkStatus();
    } else if (Message alone = WithUnits(answer.message, 1, session.commands_numbered(), units);
               syncml::Encode(alone, answer.encoding()).size() <= answer.Limit()) {
      // The Statuses leave no room: the package goes on in the next message.
      answer.message.final = false;
      return absl::OkStatus();
    } else if (units[0].command.empty()) {
      units.clear();
      continue;
    } else {
      RETURN_IF_ERROR(planner.Refuse(
          units[0].command,
          absl::StrCat("does not fit into the device's messages of ", answer.Limit(), " octets")));
    }
    ASSIGN_OR_RETURN(units, planner.Plan());
  }
  return EndSession(session, "");
}

absl::Status DmHandler::EndSession(SessionState& session, const std::string& error) {
  session.set_ended(true);
  if (session.deferred_command()) parts_.on_deferred(session.device());
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
