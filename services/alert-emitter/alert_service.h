// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "absl/status/status.h"
#include "services/alert-emitter/alert_store.h"
#include "virmo/v1/alert_service.grpc.pb.h"

namespace virmo::alert_emitter {

// AlertService over an AlertStore: checks what comes in, pages, streams. Thread-safe; a stream
// keeps its handler's thread.
class AlertService : public v1::AlertService::Service {
 public:
  // Told after every write whether storage works, for health.
  using OnStorage = std::function<void(const absl::Status&)>;

  // `store` must outlive it.
  AlertService(AlertStore& store, OnStorage on_storage);

  grpc::Status PublishAlert(grpc::ServerContext* context, const v1::PublishAlertRequest* request,
                            v1::StoredAlert* response) override;
  grpc::Status WatchAlerts(grpc::ServerContext* context, const v1::WatchAlertsRequest* request,
                           grpc::ServerWriter<v1::WatchAlertsResponse>* writer) override;
  grpc::Status AcknowledgeAlert(grpc::ServerContext* context,
                                const v1::AcknowledgeAlertRequest* request,
                                v1::StoredAlert* response) override;
  grpc::Status RejectAlert(grpc::ServerContext* context, const v1::RejectAlertRequest* request,
                           v1::StoredAlert* response) override;
  grpc::Status ListAlerts(grpc::ServerContext* context, const v1::ListAlertsRequest* request,
                          v1::ListAlertsResponse* response) override;

 private:
  grpc::Status Answer(absl::StatusOr<v1::StoredAlert> stored, v1::StoredAlert* response);

  AlertStore& store_;
  const OnStorage on_storage_;
};

}  // namespace virmo::alert_emitter
