// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "services/server/fleet/alert_store.h"
#include "services/server/fleet/command_queue.h"
#include "services/server/fleet/command_validator.h"
#include "services/server/fleet/device_registry.h"
#include "services/server/fleet/event_feed.h"
#include "services/server/fleet/inventory.h"
#include "virmo/v1/fleet_service.grpc.pb.h"

namespace virmo::server {

// virmo.v1.FleetService: proto in, proto out, over the fleet's stores.
class FleetService : public v1::FleetService::Service {
 public:
  struct Parts {
    Database& database;
    DeviceRegistry& devices;
    Inventory& inventory;
    CommandQueue& queue;
    CommandValidator& validator;
    AlertStore& alerts;
    EventFeed& feed;
    DeviceRegistry::Server server;
    std::function<void(const std::string& device)> on_queued;  // a command waits for it
  };

  explicit FleetService(Parts parts) : parts_(std::move(parts)) {}

  grpc::Status GetServer(grpc::ServerContext* context, const v1::GetServerRequest* request,
                         v1::GetServerResponse* response) override;
  grpc::Status EnrolDevice(grpc::ServerContext* context, const v1::EnrolDeviceRequest* request,
                           v1::Enrolment* response) override;
  grpc::Status GetDevice(grpc::ServerContext* context, const v1::GetDeviceRequest* request,
                         v1::Device* response) override;
  grpc::Status ListDevices(grpc::ServerContext* context, const v1::ListDevicesRequest* request,
                           v1::ListDevicesResponse* response) override;
  grpc::Status DeleteDevice(grpc::ServerContext* context, const v1::DeleteDeviceRequest* request,
                            v1::Device* response) override;
  grpc::Status ListDeviceVirtualMachines(grpc::ServerContext* context,
                                         const v1::ListDeviceVirtualMachinesRequest* request,
                                         v1::ListDeviceVirtualMachinesResponse* response) override;
  grpc::Status CreateCommand(grpc::ServerContext* context, const v1::CreateCommandRequest* request,
                             v1::Command* response) override;
  grpc::Status GetCommand(grpc::ServerContext* context, const v1::GetCommandRequest* request,
                          v1::Command* response) override;
  grpc::Status ListCommands(grpc::ServerContext* context, const v1::ListCommandsRequest* request,
                            v1::ListCommandsResponse* response) override;
  grpc::Status CancelCommand(grpc::ServerContext* context, const v1::CancelCommandRequest* request,
                             v1::Command* response) override;
  grpc::Status WatchCommand(grpc::ServerContext* context, const v1::WatchCommandRequest* request,
                            grpc::ServerWriter<v1::WatchCommandResponse>* writer) override;
  grpc::Status ListDeviceAlerts(grpc::ServerContext* context,
                                const v1::ListDeviceAlertsRequest* request,
                                v1::ListDeviceAlertsResponse* response) override;
  grpc::Status WatchDeviceAlerts(
      grpc::ServerContext* context, const v1::WatchDeviceAlertsRequest* request,
      grpc::ServerWriter<v1::WatchDeviceAlertsResponse>* writer) override;

 private:
  absl::StatusOr<v1::Command> Create(const v1::CreateCommandRequest& request, Events& events);
  // The id in `devices/{device}` of a device that is there.
  absl::StatusOr<std::string> KnownDevice(const std::string& name);
  absl::StatusOr<std::string> KnownDeviceOrAll(const std::string& name);

  const Parts parts_;
};

}  // namespace virmo::server
