// SPDX-License-Identifier: Apache-2.0
// The program itself, killed without warning (SIGKILL) and started again.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "services/runtime/child_process.h"
#include "services/runtime/files.h"
#include "services/runtime/uuid.h"
#include "services/server/testing/http_client.h"
#include "services/server/testing/scripted_device.h"
#include "services/server/testing/test_fleet.h"
#include "virmo/v1/fleet_service.grpc.pb.h"
#include "virmo/v1/image_service.grpc.pb.h"

namespace virmo::server {
namespace {

using testing::DeviceMessage;
using testing::Fetch;
using testing::kVm;
using testing::ScriptedDevice;
using v1::Command;

class ServerProcessTest : public ::testing::Test {
 protected:
  ServerProcessTest() {
    std::filesystem::create_directories(folder_);
    Start();
    v1::EnrolDeviceRequest request;
    request.set_device_id("edge-1");
    grpc::ClientContext context;
    Prepare(context);
    EXPECT_TRUE(fleet_->EnrolDevice(&context, request, &enrolment_).ok());
    // The next starts keep the port, as a device's account has it.
    const std::string address = Device().account.address();
    http_address_ = address.substr(7, address.rfind('/') - 7);
  }
  ~ServerProcessTest() override {
    process_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Start() {
    const std::string config = folder_ + "/server.textproto";
    EXPECT_TRUE(
        WriteFileAtomically(config,
                            absl::StrCat("listener { address: 'unix:", folder_, "/server.sock' }\n",
                                         "state_directory: '", folder_, "/state'\n",
                                         "http_address: '", http_address_, "'\n"),
                            0600)
            .ok());
    process_ = std::make_unique<virmo::testing::ChildProcess>(
        std::vector<std::string>{VIRMO_SERVER_PROGRAM, "--config", config}, folder_ + "/log");
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
    const auto channel = grpc::CreateCustomChannel(absl::StrCat("unix:", folder_, "/server.sock"),
                                                   grpc::InsecureChannelCredentials(), arguments);
    fleet_ = v1::FleetService::NewStub(channel);
    images_ = v1::ImageService::NewStub(channel);
    EXPECT_TRUE(
        channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(30)))
        << process_->Output();
  }
  void Kill() {
    process_->Signal(SIGKILL);
    process_->Wait();
  }
  static void Prepare(grpc::ClientContext& context) {
    context.set_wait_for_ready(true);
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  }

  ScriptedDevice Device() {
    return ScriptedDevice(enrolment_.account_textproto(),
                          [](const DeviceMessage& message) -> absl::StatusOr<DeviceMessage> {
                            const auto answer = Fetch(
                                "POST", message.url,
                                {"Content-Type: application/vnd.syncml.dm+xml"}, message.octets);
                            if (answer.status == 200) return DeviceMessage{.octets = answer.body};
                            return absl::UnavailableError(absl::StrCat("HTTP ", answer.status));
                          });
  }
  Command Queue(const std::string& uri) {
    v1::CreateCommandRequest request;
    request.set_parent("devices/edge-1");
    request.mutable_command()->mutable_action()->mutable_get()->add_uris(uri);
    grpc::ClientContext context;
    Prepare(context);
    Command command;
    const grpc::Status status = fleet_->CreateCommand(&context, request, &command);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return command;
  }
  Command Get(const std::string& name) {
    v1::GetCommandRequest request;
    request.set_name(name);
    grpc::ClientContext context;
    Prepare(context);
    Command command;
    EXPECT_TRUE(fleet_->GetCommand(&context, request, &command).ok());
    return command;
  }
  std::vector<v1::DeviceAlert> Alerts() {
    v1::ListDeviceAlertsRequest request;
    request.set_parent("devices/-");
    request.set_page_size(1000);
    grpc::ClientContext context;
    Prepare(context);
    v1::ListDeviceAlertsResponse response;
    EXPECT_TRUE(fleet_->ListDeviceAlerts(&context, request, &response).ok());
    return {response.alerts().begin(), response.alerts().end()};
  }

  const std::string folder_ = ::testing::TempDir() + "/vs-" + NewUuid();
  std::string http_address_ = "127.0.0.1:0";
  std::unique_ptr<virmo::testing::ChildProcess> process_;
  std::unique_ptr<v1::FleetService::Stub> fleet_;
  std::unique_ptr<v1::ImageService::Stub> images_;
  v1::Enrolment enrolment_;
};

TEST_F(ServerProcessTest, GoesOnWithASessionAfterBeingKilledBetweenMessages) {
  ScriptedDevice device = Device();
  device.tree["./DevDetail/FwV"] = "7.1";
  const Command command = Queue("./DevDetail/FwV");
  auto answer = device.Send(device.Package1());
  ASSERT_TRUE(answer.ok()) << answer.status();
  for (int i = 0; i < 10; ++i) {
    Kill();
    Start();
    answer = device.Send(device.Reply(*answer));
    ASSERT_TRUE(answer.ok()) << answer.status();
    if (answer->body.size() == 1) break;
  }

  EXPECT_EQ(Get(command.name()).state(), Command::STATE_CONFIRMED);
  EXPECT_EQ(Get(command.name()).attempts(), 1);
}

TEST_F(ServerProcessTest, LosesNoAlertAndKeepsNoneTwiceWhenKilledAtRandom) {
  std::set<std::string> acknowledged;
  std::mt19937 random(7);
  for (int round = 0; round < 10; ++round) {
    std::thread killer([&] {
      usleep(5000 + random() % 60000);
      process_->Signal(SIGKILL);
    });
    ScriptedDevice device = Device();
    device.client_nonce = "unknown by now";
    for (bool alive = true; alive;) {
      const std::string id = NewUuid();
      device.QueueAlert("StateChange", "", kVm, 1200, id);
      device.Begin(NewUuid());
      alive = device.RunSession().ok();
      // Cleared means that the server answered for it.
      if (device.alerts.empty()) acknowledged.insert(id);
    }
    killer.join();
    process_->Wait();
    Start();
  }

  std::set<std::string> stored;
  int64_t last = 0;
  for (const auto& alert : Alerts()) {
    EXPECT_TRUE(stored.insert(alert.name().substr(alert.name().rfind('/') + 1)).second);
    EXPECT_EQ(alert.sequence(), last + 1);
    last = alert.sequence();
  }
  for (const std::string& id : acknowledged) EXPECT_EQ(stored.count(id), 1u) << id;
}

TEST_F(ServerProcessTest, KeepsAcceptedCommandsAndForgetsHalfAnUpload) {
  const Command command = Queue("./DevInfo/Man");
  grpc::ClientContext context;
  v1::Image image;
  const auto writer = images_->UploadImage(&context, &image);
  v1::UploadImageRequest request;
  request.mutable_image()->set_name("images/half");
  request.set_chunk(std::string(1000, 'x'));
  ASSERT_TRUE(writer->Write(request));
  const std::string uploads = folder_ + "/state/images/upload";
  for (int i = 0; i < 1000 && std::filesystem::is_empty(uploads); ++i) usleep(10000);
  ASSERT_FALSE(std::filesystem::is_empty(uploads));
  Kill();
  writer->Finish();
  Start();

  EXPECT_EQ(Get(command.name()).state(), Command::STATE_QUEUED);
  EXPECT_TRUE(std::filesystem::is_empty(uploads));
  v1::ListImagesResponse list;
  grpc::ClientContext list_context;
  Prepare(list_context);
  ASSERT_TRUE(images_->ListImages(&list_context, v1::ListImagesRequest(), &list).ok());
  EXPECT_EQ(list.images_size(), 0);
}

TEST_F(ServerProcessTest, EndsGracefullyAndSaysWhenItCannotStart) {
  process_->Signal(SIGTERM);
  EXPECT_EQ(process_->Wait(), 0);
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/bad.textproto", "http_adress: 'x'", 0600).ok());

  virmo::testing::ChildProcess bad({VIRMO_SERVER_PROGRAM, "--config", folder_ + "/bad.textproto"},
                                   folder_ + "/bad.log");
  EXPECT_EQ(bad.Wait(), 2);
  EXPECT_THAT(bad.Output(), ::testing::HasSubstr("http_adress"));
}

}  // namespace
}  // namespace virmo::server
