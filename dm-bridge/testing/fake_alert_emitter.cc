// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/testing/fake_device.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {

void FakeAlertEmitter::Raise(const std::string& alert_id, const std::string& vm,
                             const v1::Initiator& initiator, const std::string& event) {
  v1::StoredAlert stored;
  stored.mutable_alert()->set_alert_id(alert_id);
  stored.mutable_alert()->set_virtual_machine(vm);
  *stored.mutable_alert()->mutable_initiator() = initiator;
  stored.mutable_alert()->set_event(event);
  stored.mutable_alert()->set_severity(v1::Alert::SEVERITY_INFORMATIONAL);
  stored.mutable_alert()->set_result_code(1200);
  stored.set_state(v1::StoredAlert::STATE_PENDING);
  MutexLock lock(mutex_);
  stored.mutable_alert()->set_sequence(++sequence_);
  alerts_[sequence_] = stored;
  events_.Publish(stored);
}

std::vector<std::string> FakeAlertEmitter::log() {
  MutexLock lock(mutex_);
  return log_;
}

grpc::Status FakeAlertEmitter::WatchAlerts(grpc::ServerContext* context,
                                           const v1::WatchAlertsRequest*,
                                           grpc::ServerWriter<v1::WatchAlertsResponse>* writer) {
  Broadcast<v1::StoredAlert>::Subscription subscription(events_);
  v1::WatchAlertsResponse response;
  writer->Write(response);
  {
    MutexLock lock(mutex_);
    for (const auto& [sequence, stored] : alerts_) {
      *response.mutable_alert() = stored;
      writer->Write(response);
    }
  }
  using State = decltype(subscription)::State;
  v1::StoredAlert stored;
  while (!context->IsCancelled()) {
    const State state = subscription.Next(absl::Milliseconds(100), &stored);
    if (state == State::kClosed) break;
    if (state != State::kEvent) continue;
    *response.mutable_alert() = stored;
    writer->Write(response);
  }
  return grpc::Status::OK;
}

grpc::Status FakeAlertEmitter::AcknowledgeAlert(grpc::ServerContext*,
                                                const v1::AcknowledgeAlertRequest* request,
                                                v1::StoredAlert*) {
  MutexLock lock(mutex_);
  log_.push_back(absl::StrCat("ack ", request->alert_id()));
  std::erase_if(alerts_, [&](const auto& entry) {
    return entry.second.alert().alert_id() == request->alert_id();
  });
  return grpc::Status::OK;
}

grpc::Status FakeAlertEmitter::RejectAlert(grpc::ServerContext*,
                                           const v1::RejectAlertRequest* request,
                                           v1::StoredAlert*) {
  MutexLock lock(mutex_);
  log_.push_back(absl::StrCat(request->park() ? "park " : "reject ", request->alert_id()));
  return grpc::Status::OK;
}

}  // namespace virmo::dm_bridge
