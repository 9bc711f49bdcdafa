// SPDX-License-Identifier: Apache-2.0
#include "services/server/fleet/fleet_service.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/util/message_differencer.h"
#include "services/runtime/error.h"
#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"
#include "services/server/fleet/fleet_names.h"
#include "services/server/fleet/secret_values.h"

namespace virmo::server {
namespace {

template <typename Message>
grpc::Status Answer(absl::StatusOr<Message> result, Message* response) {
  if (!result.ok()) return ToGrpc(result.status());
  *response = *std::move(result);
  return grpc::Status::OK;
}

absl::Status NoSuchRequest(const std::string& id) {
  return Error(v1::ErrorInfo::REASON_REQUEST_ID_REUSED,
               absl::StrCat("request_id ", id, " was used before for another command"));
}

// Secrets are not kept to be compared.
bool IsSameAction(const v1::Action& stored, v1::Action again) {
  RedactSecrets(again);
  return google::protobuf::util::MessageDifferencer::Equals(stored, again);
}

}  // namespace

absl::StatusOr<std::string> FleetService::KnownDevice(const std::string& name) {
  ASSIGN_OR_RETURN(const std::string id, DeviceId(name, "parent"));
  RETURN_IF_ERROR(parts_.devices.Get(id).status());
  return id;
}

absl::StatusOr<std::string> FleetService::KnownDeviceOrAll(const std::string& name) {
  if (name == "devices/-") return std::string("-");
  return KnownDevice(name);
}

grpc::Status FleetService::GetServer(grpc::ServerContext* /*context*/,
                                     const v1::GetServerRequest* /*request*/,
                                     v1::GetServerResponse* response) {
  response->set_server_id(parts_.server.id);
  response->set_dm_url(parts_.server.dm_url);
  response->set_escrow_public_key(parts_.server.escrow_key);
  return grpc::Status::OK;
}

grpc::Status FleetService::EnrolDevice(grpc::ServerContext* /*context*/,
                                       const v1::EnrolDeviceRequest* request,
                                       v1::Enrolment* response) {
  auto enrolment = parts_.devices.Enrol(*request, parts_.server);
  if (enrolment.ok()) {
    spdlog::info("enrolled device={} device_uri={}", request->device_id(),
                 enrolment->device().device_uri());
  }
  return Answer(std::move(enrolment), response);
}

grpc::Status FleetService::GetDevice(grpc::ServerContext* /*context*/,
                                     const v1::GetDeviceRequest* request, v1::Device* response) {
  const auto id = DeviceId(request->name(), "name");
  if (!id.ok()) return ToGrpc(id.status());
  return Answer(parts_.devices.Get(*id), response);
}

grpc::Status FleetService::ListDevices(grpc::ServerContext* /*context*/,
                                       const v1::ListDevicesRequest* request,
                                       v1::ListDevicesResponse* response) {
  return Answer(parts_.devices.List(request->page_size(), request->page_token()), response);
}

grpc::Status FleetService::DeleteDevice(grpc::ServerContext* /*context*/,
                                        const v1::DeleteDeviceRequest* request,
                                        v1::Device* response) {
  const auto id = DeviceId(request->name(), "name");
  if (!id.ok()) return ToGrpc(id.status());
  auto device = parts_.devices.Delete(*id, request->etag());
  if (device.ok()) spdlog::info("forgot device={}", *id);
  return Answer(std::move(device), response);
}

grpc::Status FleetService::ListDeviceVirtualMachines(
    grpc::ServerContext* /*context*/, const v1::ListDeviceVirtualMachinesRequest* request,
    v1::ListDeviceVirtualMachinesResponse* response) {
  const auto id = DeviceId(request->parent(), "parent");
  if (!id.ok()) return ToGrpc(id.status());
  const auto device = parts_.devices.Get(*id);
  if (!device.ok()) return ToGrpc(device.status());
  return Answer(parts_.inventory.List(*id, FromTimestamp(device->last_session_time()),
                                      request->page_size(), request->page_token()),
                response);
}

absl::StatusOr<v1::Command> FleetService::Create(const v1::CreateCommandRequest& request,
                                                 Events& events) {
  ASSIGN_OR_RETURN(const std::string device, DeviceId(request.parent(), "parent"));
  if (!request.request_id().empty() && !IsUuid(request.request_id())) {
    return InvalidField("request_id", "request_id must be a lower-case UUID");
  }
  QueuedCommand command;
  command.id = request.request_id().empty() ? NewUuid() : request.request_id();
  command.device = device;
  v1::Action action = request.command().action();
  RETURN_IF_ERROR(parts_.database.Transact([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const auto first, parts_.queue.Find(command.id));
    if (first) {
      command.resource = first->resource;
      if (first->device == device && IsSameAction(first->resource.action(), action)) {
        return absl::OkStatus();
      }
      // What it named may be known by its id only.
      const bool checked = parts_.validator.Check(device, action).ok();
      const bool same =
          checked && first->device == device && IsSameAction(first->resource.action(), action);
      return same ? absl::OkStatus() : NoSuchRequest(command.id);
    }
    ASSIGN_OR_RETURN(*command.resource.mutable_virtual_machine_id(),
                     parts_.validator.Check(device, action));
    *command.resource.mutable_action() = action;
    return parts_.queue.Insert(command, events);
  }));
  return command.resource;
}

grpc::Status FleetService::CreateCommand(grpc::ServerContext* /*context*/,
                                         const v1::CreateCommandRequest* request,
                                         v1::Command* response) {
  Events events;
  auto command = Create(*request, events);
  if (command.ok() && !events.commands.empty()) {
    spdlog::info("queued command={} sequence={}", command->name(), command->sequence());
    parts_.feed.Publish(events);
    parts_.on_queued(*DeviceId(request->parent(), "parent"));
  }
  return Answer(std::move(command), response);
}

grpc::Status FleetService::GetCommand(grpc::ServerContext* /*context*/,
                                      const v1::GetCommandRequest* request, v1::Command* response) {
  const auto key = CommandKeyOf(request->name(), "name");
  if (!key.ok()) return ToGrpc(key.status());
  return Answer(parts_.queue.Get(key->device, key->command), response);
}

grpc::Status FleetService::ListCommands(grpc::ServerContext* /*context*/,
                                        const v1::ListCommandsRequest* request,
                                        v1::ListCommandsResponse* response) {
  const auto device = KnownDeviceOrAll(request->parent());
  if (!device.ok()) return ToGrpc(device.status());
  return Answer(parts_.queue.List(*device, request->page_size(), request->page_token()), response);
}

grpc::Status FleetService::CancelCommand(grpc::ServerContext* /*context*/,
                                         const v1::CancelCommandRequest* request,
                                         v1::Command* response) {
  const auto key = CommandKeyOf(request->name(), "name");
  if (!key.ok()) return ToGrpc(key.status());
  Events events;
  auto command = parts_.queue.Cancel(key->device, key->command, events);
  if (command.ok()) parts_.feed.Publish(events);
  return Answer(std::move(command), response);
}

grpc::Status FleetService::ListDeviceAlerts(grpc::ServerContext* /*context*/,
                                            const v1::ListDeviceAlertsRequest* request,
                                            v1::ListDeviceAlertsResponse* response) {
  const auto device = KnownDeviceOrAll(request->parent());
  if (!device.ok()) return ToGrpc(device.status());
  return Answer(parts_.alerts.List(*device, request->page_size(), request->page_token()), response);
}

}  // namespace virmo::server
