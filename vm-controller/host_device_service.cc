// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/host_device_service.h"

namespace virmo::vm_controller {
namespace {

// A sign of life is due every ten seconds; also how soon a client that left is noticed.
constexpr absl::Duration kSignOfLife = absl::Seconds(1);

}  // namespace

grpc::Status HostDeviceServiceImpl::ListHostDevices(grpc::ServerContext*,
                                                    const v1::ListHostDevicesRequest*,
                                                    v1::ListHostDevicesResponse* response) {
  for (const HostDeviceRecord& record : controller_.host_devices().List()) {
    *response->add_devices() = record.device;
  }
  return grpc::Status::OK;
}

grpc::Status HostDeviceServiceImpl::WatchHostDevices(
    grpc::ServerContext* context, const v1::WatchHostDevicesRequest*,
    grpc::ServerWriter<v1::WatchHostDevicesResponse>* writer) {
  using Subscription = Broadcast<HostDevices::Event>::Subscription;
  std::unique_ptr<Subscription> subscription;
  v1::WatchHostDevicesResponse message;
  for (const v1::HostDevice& device : controller_.host_devices().Watch(&subscription)) {
    *message.mutable_changed() = device;
    if (!writer->Write(message)) return grpc::Status::OK;
  }
  message.Clear();
  message.set_synchronized(true);
  while (writer->Write(message) && !context->IsCancelled()) {
    message.Clear();
    if (subscription->Next(kSignOfLife, &message) == Subscription::State::kClosed) {
      return {grpc::StatusCode::UNAVAILABLE, "the stream ended; begin anew"};
    }
  }
  return grpc::Status::OK;
}

}  // namespace virmo::vm_controller
