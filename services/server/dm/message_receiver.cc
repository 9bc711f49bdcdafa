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
#include "services/server/dm/virmo_tree.h"
#include "services/syncml/auth.h"
#include "services/syncml/uri.h"

namespace virmo::server {
namespace {

using syncml::Command;
using syncml::CommandKind;
using syncml::StatusCode;

// What a device may make us hold of one package's Results.
constexpr int64_t kMaxValuesSize = int64_t{16} << 20;
constexpr size_t kMaxStatusText = 1024;
constexpr size_t kMaxDevInfo = 255;

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
  return text.substr(0, kMaxStatusText);
}

bool IsForCommand(const Sent& sent) {
  return sent.purpose() == Sent::PURPOSE_COMMAND || sent.purpose() == Sent::PURPOSE_CONFIRM;
}

}  // namespace

absl::StatusOr<int> MessageReceiver::Receive(const syncml::Message& message,
                                             const Command& command) {
  switch (command.kind) {
    case CommandKind::kStatus:
      RETURN_IF_ERROR(TakeStatus(command));
      return 0;
    case CommandKind::kResults:
      return TakeResults(command);
    default:
      break;
  }
  if (command.cmd_id.empty() || command.kind == CommandKind::kUnknown) {
    return Number(StatusCode::kBadRequest);
  }
  if (command.kind == CommandKind::kAlert) return TakeAlert(message, command);
  if (command.kind == CommandKind::kReplace) return TakeDevInfo(command);
  // A client may send nothing else (OMA DM Protocol 1.2 §8).
  return Number(StatusCode::kCommandNotAllowed);
}

Sent* MessageReceiver::FindSent(const Command& status) {
  for (Sent& sent : *session_.mutable_sent()) {
    if (sent.cmd_id() != status.cmd_ref) continue;
    if (!status.msg_ref.empty() && sent.msg_id() != status.msg_ref) continue;
    if (!status.cmd.empty() && status.cmd != sent.element()) continue;
    const auto names_it = [&](const std::string& ref) { return Normal(ref) == Normal(sent.uri()); };
    if (!status.target_refs.empty() && !sent.uri().empty() &&
        std::none_of(status.target_refs.begin(), status.target_refs.end(), names_it)) {
      continue;
    }
    return &sent;
  }
  return nullptr;
}

absl::Status MessageReceiver::TakeStatus(const Command& status) {
  if (status.cmd == "SyncHdr" || status.cmd_ref == "0") return TakeHeaderStatus(status);
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
  if (!status.chal || !status.chal->meta.next_nonce) return absl::OkStatus();
  const auto nonce = syncml::Base64Decode(*status.chal->meta.next_nonce);
  if (!nonce.ok()) {
    spdlog::warn("ignored nonce device={} error=\"{}\"", session_.device(),
                 nonce.status().message());
    return absl::OkStatus();
  }
  return parts_.devices.SetServerNonce(session_.device(), *nonce);
}

absl::StatusOr<int> MessageReceiver::TakeResults(const Command& results) {
  Command reference = results;
  reference.target_refs.clear();
  reference.cmd.clear();
  Sent* sent = FindSent(reference);
  if (sent == nullptr) return 0;
  if (IsForCommand(*sent)) {
    RETURN_IF_ERROR(parts_.queue.AddExchange(sent->subject(), false, ExchangeText(results)));
  }
  for (const syncml::Item& item : results.items) {
    if (item.more_data) return Number(StatusCode::kOptionalFeatureNotSupported);
    const std::string uri = UriOf(item);
    session_.set_octets_received(session_.octets_received() + static_cast<int64_t>(uri.size()) +
                                 64 + static_cast<int64_t>(item.data.value_or("").size()));
    if (session_.octets_received() > kMaxValuesSize) return Number(StatusCode::kEntityTooLarge);
    Value& value = *session_.add_values();
    value.set_cmd_id(sent->cmd_id());
    value.set_uri(uri.empty() ? sent->uri() : Normal(uri));
    value.set_format(std::string(syncml::FormatOf(results, item)));
    value.set_data(item.data.value_or(""));
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
  const bool success = alert.result_code() >= 1200 && alert.result_code() < 1300;
  resource.set_result_code(alert.result_code());
  resource.set_detail(alert.detail());
  if (success && !alert.identifier().empty()) {
    resource.set_virtual_machine_id(alert.identifier());
  }
  if (success) resource.set_progress_percent(100);
  parts_.queue.Advance(*command, success ? v1::Command::STATE_APPLIED : v1::Command::STATE_FAILED,
                       absl::StrCat("alert with result ", alert.result_code(),
                                    alert.detail().empty() ? "" : ": ", alert.detail()));
  command->awaits_read = success;
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
    info.emplace_back(std::string(leaf), item.data.value_or("").substr(0, kMaxDevInfo));
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
