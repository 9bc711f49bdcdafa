// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/alerts/alert_relay.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "dm-bridge/objects/invoke.h"
#include "services/runtime/logging.h"

namespace virmo::dm_bridge {
namespace {

using syncml::StatusCode;

constexpr absl::Duration kFirstRetry = absl::Seconds(5);

bool IsDelivered(StatusCode code) {
  return code == StatusCode::kOk || code == StatusCode::kAccepted;
}

}  // namespace

AlertRelay::AlertRelay(std::shared_ptr<grpc::Channel> alert_emitter, Callbacks callbacks)
    : stub_(v1::AlertService::NewStub(alert_emitter)), callbacks_(std::move(callbacks)) {
  using Response = v1::WatchAlertsResponse;
  watch_ = std::make_unique<WatchClient<Response>>(WatchClient<Response>::Callbacks{
      .open =
          [this](grpc::ClientContext* context) {
            return stub_->WatchAlerts(context, v1::WatchAlertsRequest());
          },
      .on_message = [this](const Response& response) { OnMessage(response); },
      .on_break = [this](const absl::Status& status) { callbacks_.on_service(status); }});
}

AlertRelay::~AlertRelay() = default;

void AlertRelay::OnMessage(const v1::WatchAlertsResponse& response) {
  callbacks_.on_service(absl::OkStatus());
  RepeatAcknowledgements();
  if (!response.has_alert()) return;
  const v1::StoredAlert& stored = response.alert();
  std::string server_id;
  {
    MutexLock lock(mutex_);
    const auto [known, is_new] =
        sequences_.emplace(stored.alert().alert_id(), stored.alert().sequence());
    if (!is_new) return;  // The stream began anew.
    Entry& entry = alerts_[known->second];
    entry.alert = stored.alert();
    entry.attempts = stored.attempts();
    RouteLocked(entry);
    server_id = entry.server_id;
  }
  callbacks_.on_pending(server_id);
}

void AlertRelay::RouteLocked(Entry& entry) {
  if (entry.server_id.empty()) entry.server_id = callbacks_.route(entry.alert);
}

AlertRelay::Entry* AlertRelay::FindLocked(const std::string& alert_id) {
  const auto sequence = sequences_.find(alert_id);
  return sequence == sequences_.end() ? nullptr : &alerts_[sequence->second];
}

std::vector<OutgoingAlert> AlertRelay::PendingFor(const std::string& server_id) {
  std::vector<OutgoingAlert> pending;
  std::set<std::string> waiting;  // Virtual machines whose next alert is not due.
  const absl::Time now = absl::Now();
  MutexLock lock(mutex_);
  for (auto& [sequence, entry] : alerts_) {
    if (pending.size() >= kMaxPerPackage) break;
    RouteLocked(entry);
    if (entry.server_id != server_id || entry.acknowledged) continue;
    const std::string& vm = entry.alert.virtual_machine();
    if (entry.not_before > now) waiting.insert(vm);
    if (waiting.count(vm) > 0) continue;
    pending.push_back({entry.alert.alert_id(), MakeGenericAlert(entry.alert)});
  }
  return pending;
}

absl::Time AlertRelay::NextRetry(const std::string& server_id) {
  absl::Time next = absl::InfiniteFuture();
  std::set<std::string> seen;  // Only the first of a virtual machine can be due.
  MutexLock lock(mutex_);
  for (const auto& [sequence, entry] : alerts_) {
    if (entry.server_id != server_id || entry.acknowledged) continue;
    if (!seen.insert(entry.alert.virtual_machine()).second) continue;
    if (entry.not_before > absl::InfinitePast()) next = std::min(next, entry.not_before);
  }
  return next;
}

void AlertRelay::OnAnswered(const std::string& alert_id, StatusCode code) {
  if (IsDelivered(code)) return Acknowledge(alert_id);
  const bool session =
      code == StatusCode::kInvalidCredentials || code == StatusCode::kMissingCredentials;
  if (!session) return Reject(alert_id, absl::StrCat("the server answered ", syncml::ToText(code)));
  MutexLock lock(mutex_);
  if (Entry* entry = FindLocked(alert_id)) entry->not_before = absl::Now() + kFirstRetry;
}

void AlertRelay::OnUnanswered(const std::set<std::string>& alert_ids) {
  for (const std::string& alert_id : alert_ids) Reject(alert_id, "the server did not answer");
}

void AlertRelay::Acknowledge(const std::string& alert_id) {
  {
    MutexLock lock(mutex_);
    Entry* entry = FindLocked(alert_id);
    if (entry == nullptr) return;
    entry->acknowledged = true;
  }
  v1::AcknowledgeAlertRequest request;
  request.set_alert_id(alert_id);
  const auto stored = Invoke(*stub_, &v1::AlertService::Stub::AcknowledgeAlert, request);
  if (stored.ok() || absl::IsNotFound(stored.status())) return Remove(alert_id);
  spdlog::warn("acknowledgement waits alert={} cause=\"{}\"", alert_id, stored.status().message());
}

void AlertRelay::Reject(const std::string& alert_id, const std::string& error) {
  bool park = false;
  {
    MutexLock lock(mutex_);
    Entry* entry = FindLocked(alert_id);
    if (entry == nullptr) return;
    park = ++entry->attempts >= kMaxAttempts;
    entry->not_before = absl::Now() + kFirstRetry * (1 << std::min(entry->attempts - 1, 10));
  }
  v1::RejectAlertRequest request;
  request.set_alert_id(alert_id);
  request.set_error(error);
  request.set_park(park);
  const auto stored = Invoke(*stub_, &v1::AlertService::Stub::RejectAlert, request);
  spdlog::warn("alert refused alert={} parked={} cause=\"{}\"", alert_id, park, error);
  if (park && stored.ok()) Remove(alert_id);
}

void AlertRelay::RepeatAcknowledgements() {
  std::vector<std::string> waiting;
  {
    MutexLock lock(mutex_);
    for (const auto& [sequence, entry] : alerts_) {
      if (entry.acknowledged) waiting.push_back(entry.alert.alert_id());
    }
  }
  for (const std::string& alert_id : waiting) Acknowledge(alert_id);
}

void AlertRelay::Remove(const std::string& alert_id) {
  MutexLock lock(mutex_);
  const auto sequence = sequences_.find(alert_id);
  if (sequence == sequences_.end()) return;
  alerts_.erase(sequence->second);
  sequences_.erase(sequence);
}

}  // namespace virmo::dm_bridge
