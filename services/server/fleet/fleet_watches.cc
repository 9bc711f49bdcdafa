// SPDX-License-Identifier: Apache-2.0
// The streams of FleetService.
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "services/server/fleet/fleet_names.h"
#include "services/server/fleet/fleet_service.h"

namespace virmo::server {
namespace {

constexpr absl::Duration kSignOfLife = absl::Seconds(10);
constexpr int kPage = 1000;

using CommandSubscription = Broadcast<v1::Command>::Subscription;
using AlertSubscription = Broadcast<v1::DeviceAlert>::Subscription;
using AlertWriter = grpc::ServerWriter<v1::WatchDeviceAlertsResponse>;

grpc::Status Ended() {
  return ToGrpc(Error(v1::ErrorInfo::REASON_SERVICE_UNAVAILABLE,
                      "the stream ended: the server stops, or you read too slowly; watch again"));
}

// Writes the stored alerts after `*sequence`, and moves it on. False when the peer is gone.
absl::StatusOr<bool> Replay(AlertStore& alerts, const std::string& device, int64_t* sequence,
                            AlertWriter& writer) {
  while (true) {
    ASSIGN_OR_RETURN(const auto page, alerts.List(device, kPage, absl::StrCat(*sequence)));
    for (const v1::DeviceAlert& alert : page.alerts()) {
      v1::WatchDeviceAlertsResponse response;
      *response.mutable_alert() = alert;
      if (!writer.Write(response)) return false;
      *sequence = alert.sequence();
    }
    if (page.next_page_token().empty()) return true;
  }
}

}  // namespace

grpc::Status FleetService::WatchCommand(grpc::ServerContext* context,
                                        const v1::WatchCommandRequest* request,
                                        grpc::ServerWriter<v1::WatchCommandResponse>* writer) {
  const auto key = CommandKeyOf(request->name(), "name");
  if (!key.ok()) return ToGrpc(key.status());
  CommandSubscription subscription(parts_.feed.commands());
  while (!context->IsCancelled()) {
    // Each change is a reason to read, so that what is sent is what is stored.
    const auto command = parts_.queue.Find(key->command);
    if (!command.ok()) return ToGrpc(command.status());
    if (!*command || (*command)->device != key->device) {
      return ToGrpc(parts_.queue.Get(key->device, key->command).status());
    }
    v1::WatchCommandResponse response;
    *response.mutable_command() = (*command)->resource;
    response.mutable_command()->clear_node_results();
    if (!writer->Write(response) || (*command)->ended()) break;
    v1::Command changed;
    do {
      const auto state = subscription.Next(kSignOfLife, &changed);
      if (state == CommandSubscription::State::kClosed) return Ended();
      if (state == CommandSubscription::State::kTimeout) {
        changed.Clear();
        if (!writer->Write(v1::WatchCommandResponse())) return grpc::Status::OK;
      }
    } while (changed.name() != request->name() && !context->IsCancelled());
  }
  return grpc::Status::OK;
}

grpc::Status FleetService::WatchDeviceAlerts(grpc::ServerContext* context,
                                             const v1::WatchDeviceAlertsRequest* request,
                                             AlertWriter* writer) {
  const auto device = KnownDeviceOrAll(request->parent());
  if (!device.ok()) return ToGrpc(device.status());
  AlertSubscription subscription(parts_.feed.alerts());
  int64_t sequence = request->after_sequence();
  if (sequence < 0) {
    const auto last = parts_.alerts.LastSequence();
    if (!last.ok()) return ToGrpc(last.status());
    sequence = *last;
  }
  while (!context->IsCancelled()) {
    // Events of two sessions may come in another order than their numbers: the store has it right.
    const auto alive = Replay(parts_.alerts, *device, &sequence, *writer);
    if (!alive.ok()) return ToGrpc(alive.status());
    if (!*alive) break;
    v1::DeviceAlert alert;
    const auto state = subscription.Next(kSignOfLife, &alert);
    if (state == AlertSubscription::State::kClosed) return Ended();
    if (state == AlertSubscription::State::kTimeout &&
        !writer->Write(v1::WatchDeviceAlertsResponse())) {
      break;
    }
  }
  return grpc::Status::OK;
}

}  // namespace virmo::server
