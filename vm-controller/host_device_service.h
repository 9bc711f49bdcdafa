// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "virmo/v1/host_device_service.grpc.pb.h"
#include "vm-controller/controller.h"

namespace virmo::vm_controller {

// HostDeviceService over the controller. Thread-safe; a stream keeps its handler's thread.
class HostDeviceServiceImpl : public v1::HostDeviceService::Service {
 public:
  // `controller` must outlive it.
  explicit HostDeviceServiceImpl(Controller& controller) : controller_(controller) {}

  grpc::Status ListHostDevices(grpc::ServerContext* context,
                               const v1::ListHostDevicesRequest* request,
                               v1::ListHostDevicesResponse* response) override;
  grpc::Status WatchHostDevices(grpc::ServerContext* context,
                                const v1::WatchHostDevicesRequest* request,
                                grpc::ServerWriter<v1::WatchHostDevicesResponse>* writer) override;

 private:
  Controller& controller_;
};

}  // namespace virmo::vm_controller
