// SPDX-License-Identifier: Apache-2.0
#include "services/alert-emitter/alert_service.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/logging.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"

namespace virmo::alert_emitter {
namespace {

constexpr absl::Duration kSignOfLife = absl::Seconds(10);
constexpr int kStreamBatch = 256;
constexpr int kDefaultPage = 50;
constexpr int kMaxPage = 1000;
constexpr size_t kMaxAlertBytes = 64 << 10;
constexpr size_t kMaxErrorBytes = 4 << 10;

absl::Status CheckAlert(const v1::Alert& alert) {
  if (!IsUuid(alert.alert_id())) {
    return InvalidField("alert.alert_id", "must be a lower-case UUID");
  }
  if (alert.source().empty()) return InvalidField("alert.source", "must name the process");
  if (alert.event().empty()) return InvalidField("alert.event", "must not be empty");
  if (!alert.virtual_machine().empty()) {
    RETURN_IF_ERROR(VirtualMachineId(alert.virtual_machine(), "alert.virtual_machine").status());
  }
  const size_t size = alert.ByteSizeLong();
  if (size > kMaxAlertBytes) {
    return InvalidField(
        "alert", absl::StrCat("has ", size, " bytes; at most ", kMaxAlertBytes, " are taken"));
  }
  return absl::OkStatus();
}

absl::StatusOr<int> PageSize(const v1::ListAlertsRequest& request) {
  if (request.page_size() < 0) return InvalidField("page_size", "must not be negative");
  return request.page_size() == 0 ? kDefaultPage : std::min(request.page_size(), kMaxPage);
}

absl::StatusOr<int64_t> PageStart(const v1::ListAlertsRequest& request) {
  int64_t after = 0;
  if (!request.page_token().empty() && !absl::SimpleAtoi(request.page_token(), &after)) {
    return InvalidField("page_token", "is not one that ListAlerts returned");
  }
  return after;
}

absl::StatusOr<v1::ListAlertsResponse> ListPage(AlertStore& store,
                                                const v1::ListAlertsRequest& request) {
  ASSIGN_OR_RETURN(const int page_size, PageSize(request));
  ASSIGN_OR_RETURN(const int64_t after, PageStart(request));
  ASSIGN_OR_RETURN(std::vector<v1::StoredAlert> alerts,
                   store.List(after, request.state(), page_size + 1));
  v1::ListAlertsResponse response;
  const bool more = alerts.size() > static_cast<size_t>(page_size);
  if (more) alerts.pop_back();
  for (v1::StoredAlert& alert : alerts) *response.add_alerts() = std::move(alert);
  if (more) {
    response.set_next_page_token(absl::StrCat(response.alerts().rbegin()->alert().sequence()));
  }
  return response;
}

// Sends what is pending after `*after` and moves it on. False: the stream is broken.
absl::StatusOr<bool> SendPending(AlertStore& store, int64_t* after,
                                 grpc::ServerWriter<v1::WatchAlertsResponse>& writer) {
  while (true) {
    ASSIGN_OR_RETURN(std::vector<v1::StoredAlert> alerts,
                     store.List(*after, v1::StoredAlert::STATE_PENDING, kStreamBatch));
    for (v1::StoredAlert& alert : alerts) {
      *after = alert.alert().sequence();
      v1::WatchAlertsResponse message;
      *message.mutable_alert() = std::move(alert);
      if (!writer.Write(message)) return false;
    }
    if (alerts.size() < static_cast<size_t>(kStreamBatch)) return true;
  }
}

}  // namespace

AlertService::AlertService(AlertStore& store, OnStorage on_storage)
    : store_(store), on_storage_(std::move(on_storage)) {}

grpc::Status AlertService::PublishAlert(grpc::ServerContext* /*context*/,
                                        const v1::PublishAlertRequest* request,
                                        v1::StoredAlert* response) {
  if (absl::Status status = CheckAlert(request->alert()); !status.ok()) return ToGrpc(status);
  absl::StatusOr<v1::StoredAlert> stored = store_.Publish(request->alert());
  if (stored.ok()) {
    spdlog::debug("accepted alert={} sequence={} event={} vm={}", stored->alert().alert_id(),
                  stored->alert().sequence(), stored->alert().event(),
                  stored->alert().virtual_machine());
  }
  return Answer(std::move(stored), response);
}

grpc::Status AlertService::WatchAlerts(grpc::ServerContext* context,
                                       const v1::WatchAlertsRequest* request,
                                       grpc::ServerWriter<v1::WatchAlertsResponse>* writer) {
  int64_t after = request->after_sequence();
  int64_t seen = 0;  // Apart from `after`: what is acknowledged before it was sent is passed over.
  absl::StatusOr<bool> sent = SendPending(store_, &after, *writer);
  if (sent.ok() && *sent) sent = writer->Write({});  // Tells the client at once that it is heard.
  while (sent.ok() && *sent && !context->IsCancelled()) {
    switch (store_.WaitForMore(&seen, kSignOfLife)) {
      case AlertStore::Wait::kClosed:
        return grpc::Status(grpc::StatusCode::UNAVAILABLE, "alert-emitter is shutting down");
      case AlertStore::Wait::kTimeout:
        sent = writer->Write({});
        break;
      case AlertStore::Wait::kMore:
        sent = SendPending(store_, &after, *writer);
    }
  }
  return ToGrpc(sent.status());
}

grpc::Status AlertService::AcknowledgeAlert(grpc::ServerContext* /*context*/,
                                            const v1::AcknowledgeAlertRequest* request,
                                            v1::StoredAlert* response) {
  return Answer(store_.Acknowledge(request->alert_id()), response);
}

grpc::Status AlertService::RejectAlert(grpc::ServerContext* /*context*/,
                                       const v1::RejectAlertRequest* request,
                                       v1::StoredAlert* response) {
  absl::StatusOr<v1::StoredAlert> stored = store_.Reject(
      request->alert_id(), request->error().substr(0, kMaxErrorBytes), request->park());
  if (stored.ok() && stored->state() == v1::StoredAlert::STATE_PARKED) {
    spdlog::warn("parked alert={} attempts={} error=\"{}\"", request->alert_id(),
                 stored->attempts(), stored->last_error());
  }
  return Answer(std::move(stored), response);
}

grpc::Status AlertService::ListAlerts(grpc::ServerContext* /*context*/,
                                      const v1::ListAlertsRequest* request,
                                      v1::ListAlertsResponse* response) {
  absl::StatusOr<v1::ListAlertsResponse> page = ListPage(store_, *request);
  if (!page.ok()) return ToGrpc(page.status());
  *response = *std::move(page);
  return grpc::Status::OK;
}

grpc::Status AlertService::Answer(absl::StatusOr<v1::StoredAlert> stored,
                                  v1::StoredAlert* response) {
  if (stored.ok() || ReasonOf(stored.status()) == v1::ErrorInfo::REASON_STORAGE_FAILED) {
    on_storage_(stored.status());
  }
  if (!stored.ok()) return ToGrpc(stored.status());
  *response = *std::move(stored);
  return grpc::Status::OK;
}

}  // namespace virmo::alert_emitter
