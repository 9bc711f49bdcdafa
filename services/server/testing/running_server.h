// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "grpcpp/create_channel.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "services/runtime/uuid.h"
#include "services/server/server.h"
#include "services/server/testing/http_client.h"
#include "services/server/testing/scripted_device.h"
#include "virmo/v1/fleet_service.grpc.pb.h"
#include "virmo/v1/image_service.grpc.pb.h"

namespace virmo::server::testing {

// A whole server on a temporary folder: HTTP on a loopback port, gRPC in the same process.
class RunningServer {
 public:
  RunningServer() {
    config.set_state_directory(::testing::TempDir() + "/virmo-server-" + NewUuid());
    config.set_http_address("127.0.0.1:0");
    Start();
  }
  ~RunningServer() {
    Stop();
    std::filesystem::remove_all(config.state_directory());
  }

  void Start() {
    auto opened = Server::Open(config);
    ASSERT_TRUE(opened.ok()) << opened.status();
    server = *std::move(opened);
    grpc::ServerBuilder builder;
    builder.RegisterService(&server->fleet_service());
    builder.RegisterService(&server->image_service());
    grpc_ = builder.BuildAndStart();
    const auto channel = grpc_->InProcessChannel({});
    fleet = v1::FleetService::NewStub(channel);
    images = v1::ImageService::NewStub(channel);
  }

  void Stop() {
    if (server != nullptr) server->CloseStreams();
    if (grpc_ != nullptr) grpc_->Shutdown();
    grpc_.reset();
    server.reset();
  }

  // As after a kill and a new start, at the same address.
  void Restart() {
    config.set_http_address(server->public_url().substr(7));
    Stop();
    Start();
  }

  v1::Enrolment Enrol(const std::string& id) {
    v1::EnrolDeviceRequest request;
    request.set_device_id(id);
    grpc::ClientContext context;
    v1::Enrolment enrolment;
    const grpc::Status status = fleet->EnrolDevice(&context, request, &enrolment);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return enrolment;
  }

  // A device that talks to this server over the network.
  ScriptedDevice Device(const v1::Enrolment& enrolment) {
    return ScriptedDevice(enrolment.account_textproto(),
                          [](const DeviceMessage& message) -> absl::StatusOr<DeviceMessage> {
                            const HttpAnswer answer = Fetch(
                                "POST", message.url,
                                {"Content-Type: application/vnd.syncml.dm+xml"}, message.octets);
                            if (answer.status == 200) return DeviceMessage{.octets = answer.body};
                            return absl::UnavailableError(answer.body);
                          });
  }

  grpc::Status Upload(const std::string& id, const std::string& octets, const v1::Image& told,
                      v1::Image* image) {
    grpc::ClientContext context;
    const auto writer = images->UploadImage(&context, image);
    v1::UploadImageRequest request;
    *request.mutable_image() = told;
    request.mutable_image()->set_name("images/" + id);
    writer->Write(request);
    for (size_t at = 0; at < octets.size(); at += 100000) {
      request.clear_image();
      request.set_chunk(octets.substr(at, 100000));
      if (!writer->Write(request)) break;
    }
    writer->WritesDone();
    return writer->Finish();
  }

  config::v1::ServerConfig config = DefaultConfig();
  std::unique_ptr<Server> server;
  std::unique_ptr<v1::FleetService::Stub> fleet;
  std::unique_ptr<v1::ImageService::Stub> images;

 private:
  std::unique_ptr<grpc::Server> grpc_;
};

}  // namespace virmo::server::testing
