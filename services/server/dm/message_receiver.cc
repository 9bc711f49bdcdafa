// SPDX-License-Identifier: Apache-2.0
#include "services/server/dm/message_receiver.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"
#include "services/server/dm/alert_reader.h"
#include "services/server/dm/exchange_text.h"
#include "services/server/dm/expectation.h"
#include "services/server/dm/virmo_tree.h"
#include "services/syncml/base64.h"
#include "services/syncml/codec.h"
#include "services/syncml/credential.h"
#include "services/syncml/excerpt.h"
#include "services/syncml/uri.h"

namespace virmo::server {
namespace {

using syncml::Command;
using syncml::CommandKind;
using syncml::StatusCode;

// What a device may make us hold of one package's Results.
constexpr int64_t kMaxValuesSize = int64_t{16} << 20;
constexpr size_t kMaxStatusText = 1024;
constexpr int kNeverAgain = 1000;
constexpr size_t kMaxDevInfo = 255;

// Without the query, which a device may leave out when it says what it answers.
std::string PathOf(const std::string& uri) {
  const auto parsed = syncml::ParseNodeUri(uri);
  return parsed.ok() ? parsed->Path() : uri;
}

std::string Normal(const std::string& uri) {
  const auto parsed = syncml::ParseNodeUri(uri);
  return parsed.ok() ? parsed->ToString() : uri;
}

std::string UriOf(const syncml::Item& item) {
  if (item.source) return item.source->uri;
  return item.target ? item.target->uri : "";
}

std::string TextOf(const Command& status) {
  std::string text;
  for (const syncml::Item& item : status.items) {
    if (!item.data || item.data->empty()) continue;
    absl::StrAppend(&text, text.empty() ? "" : " ", *item.data);
  }
  return syncml::Excerpt(text, kMaxStatusText);
}

// Octets, which WBXML brings as they are, become base64, as XML would have brought them.
void SetData(const Command& results, const syncml::Item& item, Value& value) {
  const std::string data = item.data.value_or("");
  const absl::string_view format = syncml::FormatOf(results, item);
  const bool is_octets = absl::EqualsIgnoreCase(format, "bin") || !syncml::IsXmlText(data);
  value.set_format(is_octets ? "b64" : std::string(format));
  value.set_data(is_octets ? syncml::Base64Encode(data) : data);
}

bool IsForCommand(const Sent& sent) {
  return sent.purpose() == Sent::PURPOSE_COMMAND || sent.purpose() == Sent::PURPOSE_CONFIRM;
}

}  // namespace

absl::StatusOr<int> MessageReceiver::Receive(const syncml::Message& message,
                                             const Command& command) {
  if (command.kind == CommandKind::kStatus) {
    RETURN_IF_ERROR(TakeStatus(command));
    return 0;
  }
  // The wish for our next message may stand between two chunks.
  const bool steers = command.kind == CommandKind::kAlert && command.items.empty();
  const bool in_chunks =
      session_.has_incoming() || (!command.items.empty() && command.items.back().more_data);
  if (steers || !in_chunks) return TakeWhole(message, command);
  Command whole = command;
  ASSIGN_OR_RETURN(const int code, objects_.Take(whole));
  if (code == 0) return TakeWhole(message, whole);
  if (!whole.items.empty()) RETURN_IF_ERROR(TakeWhole(message, whole).status());
  return code;
}

absl::StatusOr<int> MessageReceiver::TakeWhole(const syncml::Message& message,
                                               const Command& command) {
  if (command.kind == CommandKind::kResults) return TakeResults(command);
  if (command.cmd_id.empty() || command.kind == CommandKind::kUnknown) {
    return Number(StatusCode::kBadRequest);
  }
  if (command.kind == CommandKind::kAlert) return TakeAlert(message, command);
  if (command.kind == CommandKind::kReplace) return TakeDevInfo(command);
  // A client may send nothing else (OMA DM Protocol 1.2 §8).
  return Number(StatusCode::kCommandNotAllowed);
}

// By CmdRef, as CmdIDs do not repeat within a session; so a wrong MsgRef, as OMA's own examples
// have, does no harm. Without CmdRef by the command's name and target, if only one fits that has no
// answer yet.
Sent* MessageReceiver::FindSent(const Command& status) {
  const auto is_target = [&](const Sent& sent) {
    const auto names_it = [&](const std::string& ref) { return PathOf(ref) == PathOf(sent.uri()); };
    return status.target_refs.empty() || sent.uri().empty() ||
           std::any_of(status.target_refs.begin(), status.target_refs.end(), names_it);
  };
  Sent* found = nullptr;
  for (Sent& sent : *session_.mutable_sent()) {
    if (!status.cmd.empty() && status.cmd != sent.element()) continue;
    if (!is_target(sent)) continue;
    if (!status.cmd_ref.empty()) {
      if (sent.cmd_id() == status.cmd_ref) return &sent;
      continue;
    }
    if (sent.status() != 0) continue;
    if (found != nullptr) return nullptr;
    found = &sent;
  }
  return found;
}

// Without CmdRef the first Item has to tell: it is what was asked for, or below it.
Sent* MessageReceiver::FindGet(const Command& results) {
  if (!results.cmd_ref.empty()) {
    Command reference;
    reference.cmd = "Get";
    reference.cmd_ref = results.cmd_ref;
    return FindSent(reference);
  }
  if (results.items.empty()) return nullptr;
  const std::string path = PathOf(UriOf(results.items[0]));
  Sent* found = nullptr;
  for (Sent& sent : *session_.mutable_sent()) {
    const std::string asked = PathOf(sent.uri());
    if (sent.element() != "Get" || !syncml::IsWithin(path, asked)) continue;
    if (found == nullptr || asked.size() > PathOf(found->uri()).size()) found = &sent;
  }
  return found;
}

absl::Status MessageReceiver::TakeStatus(const Command& status) {
  const bool unnamed = status.cmd.empty() && status.cmd_ref.empty();
  if (status.cmd == "SyncHdr" || status.cmd_ref == "0" || unnamed) return TakeHeaderStatus(status);
  if (status.cmd == "Alert") return absl::OkStatus();  // Ours steer the session, no more.
  const auto code = syncml::ParseStatusCode(status.data);
  Sent* sent = FindSent(status);
  if (!code || sent == nullptr) {
    spdlog::warn("ignored status device={} cmd_ref={} msg_ref={}", session_.device(),
                 status.cmd_ref, status.msg_ref);
    return absl::OkStatus();
  }
  if (IsForCommand(*sent)) {
    RETURN_IF_ERROR(parts_.queue.AddExchange(sent->subject(), false, ExchangeText(status)));
  }
  if (*code == StatusCode::kInProgress) return absl::OkStatus();
  sent->set_status(Number(*code));
  sent->set_text(TextOf(status));
  return absl::OkStatus();
}

absl::Status MessageReceiver::TakeHeaderStatus(const Command& status) {
  const auto code = syncml::ParseStatusCode(status.data);
  if (!code) return absl::OkStatus();
  if (*code == StatusCode::kAuthenticationAccepted) session_.set_server_accepted(true);
  if (*code == StatusCode::kInvalidCredentials || *code == StatusCode::kMissingCredentials) {
    session_.set_server_accepted(false);
    session_.set_server_refused(true);
  }
  if (status.chal && session_.server_refused()) {
    // It says how it wants us to prove ourselves. Our secret in clear is not on offer.
    const auto wanted = syncml::AuthTypeOf(*status.chal);
    session_.set_server_uses_mac(wanted == syncml::AuthType::kMac);
    if (wanted == syncml::AuthType::kBasic) session_.set_server_refusals(kNeverAgain);
  }
  const auto nonce = syncml::NextNonceOf(status.chal);
  if (nonce) return parts_.devices.SetServerNonce(session_.device(), *nonce);
  if (status.chal && status.chal->meta.next_nonce) {
    spdlog::warn("ignored nonce device={}: it is not base64", session_.device());
  }
  return absl::OkStatus();
}

absl::StatusOr<int> MessageReceiver::TakeResults(const Command& results) {
  Sent* sent = FindGet(results);
  if (sent == nullptr) return 0;
  if (IsForCommand(*sent)) {
    RETURN_IF_ERROR(parts_.queue.AddExchange(sent->subject(), false, ExchangeText(results)));
  }
  for (const syncml::Item& item : results.items) {
    const std::string uri = UriOf(item);
    session_.set_octets_received(session_.octets_received() + static_cast<int64_t>(uri.size()) +
                                 64 + static_cast<int64_t>(item.data.value_or("").size()));
    if (session_.octets_received() > kMaxValuesSize) return Number(StatusCode::kEntityTooLarge);
    Value& value = *session_.add_values();
    value.set_cmd_id(sent->cmd_id());
    value.set_uri(uri.empty() ? sent->uri() : Normal(uri));
    SetData(results, item, value);
  }
  return 0;
}

absl::StatusOr<int> MessageReceiver::TakeAlert(const syncml::Message& message,
                                               const Command& alert) {
  const auto code = syncml::ParseAlertCode(alert.data);
  if (!code) return Number(StatusCode::kBadRequest);
  switch (*code) {
    case syncml::AlertCode::kServerInitiated:
    case syncml::AlertCode::kClientInitiated:
    case syncml::AlertCode::kNextMessage:
    case syncml::AlertCode::kClientEvent:
      return Number(StatusCode::kOk);
    case syncml::AlertCode::kNoEndOfData:
      session_.set_outgoing_sent(0);
      session_.set_outgoing_restarts(session_.outgoing_restarts() + 1);
      session_.set_restart_object(true);
      return Number(StatusCode::kOk);
    case syncml::AlertCode::kSessionAbort:
      aborted_ = true;
      return Number(StatusCode::kOk);
    case syncml::AlertCode::kGeneric:
      break;
    default:
      return Number(StatusCode::kOptionalFeatureNotSupported);
  }
  if (alert.correlator) {
    ASSIGN_OR_RETURN(const auto command, parts_.queue.Find(*alert.correlator));
    if (command && command->device == session_.device()) {
      RETURN_IF_ERROR(parts_.queue.AddExchange(command->id, false, ExchangeText(alert)));
    }
  }
  const auto items = syncml::GenericAlertsOf(alert);
  if (items.empty()) return Number(StatusCode::kIncompleteCommand);
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string key =
        absl::StrCat(session_.token(), "|", message.header.msg_id, "|", alert.cmd_id, "|", i);
    RETURN_IF_ERROR(TakeGenericAlert(key, items[i]));
  }
  return Number(StatusCode::kOk);
}

absl::Status MessageReceiver::TakeGenericAlert(const std::string& fallback_key,
                                               const syncml::GenericAlert& received) {
  ReadAlert read = ReadGenericAlert(session_.device(), fallback_key, received);
  v1::DeviceAlert& alert = read.alert;
  RETURN_IF_ERROR(EndCommand(alert));
  ASSIGN_OR_RETURN(const bool is_new,
                   parts_.alerts.Add(session_.device(), read.alert_id, alert, events_));
  spdlog::info("received alert device={} type={} result={} correlator={} new={}", session_.device(),
               alert.type(), alert.result_code(), alert.correlator(), is_new);
  const std::string vm = VirtualMachineOfUri(alert.source_uri());
  RETURN_IF_ERROR(Touch(vm, absl::StrCat("alert ", alert.type())));
  if (alert.identifier() == vm) return absl::OkStatus();
  return Touch(alert.identifier(), absl::StrCat("alert ", alert.type()));
}

absl::Status MessageReceiver::Touch(const std::string& vm, const std::string& reason) {
  if (vm.empty() || vm.find('/') != std::string::npos || vm.size() > 64) return absl::OkStatus();
  session_.add_touched(vm);
  return parts_.inventory.MarkUnread(session_.device(), vm, reason);
}

absl::Status MessageReceiver::EndCommand(v1::DeviceAlert& alert) {
  if (alert.correlator().empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(auto command, parts_.queue.Find(alert.correlator()));
  if (!command || command->device != session_.device()) return absl::OkStatus();
  v1::Command& resource = command->resource;
  alert.set_command(resource.name());
  const bool given_up = resource.state() == v1::Command::STATE_FAILED && resource.dm_status() == 0;
  // One result ends a command; a repeat, or one for a cancelled command, is only kept.
  if (resource.result_code() != 0 || (resource.state() > v1::Command::STATE_APPLIED && !given_up)) {
    return absl::OkStatus();
  }
  const bool success = IsSuccessResult(alert.type(), alert.result_code());
  resource.set_result_code(alert.result_code());
  resource.set_detail(alert.detail());
  if (success && !alert.identifier().empty()) {
    resource.set_virtual_machine_id(alert.identifier());
  }
  if (success) resource.set_progress_percent(100);
  parts_.queue.Advance(*command, success ? v1::Command::STATE_APPLIED : v1::Command::STATE_FAILED,
                       absl::StrCat("alert with result ", alert.result_code(),
                                    alert.detail().empty() ? "" : ": ", alert.detail()));
  command->awaits_read = success && CanBeConfirmed(resource, command->id);
  RETURN_IF_ERROR(Touch(resource.virtual_machine_id(), absl::StrCat("alert ", alert.type())));
  return parts_.queue.Save(*command, events_);
}

absl::StatusOr<int> MessageReceiver::TakeDevInfo(const Command& replace) {
  if (replace.items.empty()) return Number(StatusCode::kIncompleteCommand);
  std::vector<std::pair<std::string, std::string>> info;
  for (const syncml::Item& item : replace.items) {
    const std::string uri = Normal(UriOf(item));
    absl::string_view leaf = uri;
    if (!absl::ConsumePrefix(&leaf, "./DevInfo/")) return Number(StatusCode::kCommandNotAllowed);
    info.emplace_back(std::string(leaf), syncml::Excerpt(item.data.value_or(""), kMaxDevInfo));
  }
  RETURN_IF_ERROR(parts_.devices.Update(session_.device(), [&](v1::Device& device) {
    for (const auto& [leaf, value] : info) {
      if (leaf == "Man") device.set_manufacturer(value);
      if (leaf == "Mod") device.set_model(value);
      if (leaf == "DmV") device.set_client_version(value);
    }
  }));
  return Number(StatusCode::kOk);
}

}  // namespace virmo::server
