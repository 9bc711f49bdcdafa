// SPDX-License-Identifier: Apache-2.0
// FleetService through a real stub: refusals, idempotency, streams.
#include <functional>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "services/runtime/error.h"
#include "services/server/testing/running_server.h"
#include "services/server/testing/test_fleet.h"

namespace virmo::server {
namespace {

using grpc::StatusCode;
using ::testing::HasSubstr;
using testing::RunningServer;

constexpr const char* kDevice = "devices/edge-1";

class FleetServiceTest : public ::testing::Test {
 protected:
  FleetServiceTest() : enrolment_(server_.Enrol("edge-1")) {}

  grpc::Status Create(const std::string& action, v1::Command* command,
                      const std::string& request_id = "") {
    v1::CreateCommandRequest request;
    request.set_parent(kDevice);
    request.set_request_id(request_id);
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
        action, request.mutable_command()->mutable_action()));
    grpc::ClientContext context;
    return server_.fleet->CreateCommand(&context, request, command);
  }
  void ExpectRefused(const std::string& action, StatusCode code, const std::string& text) {
    v1::Command command;
    const grpc::Status status = Create(action, &command);
    EXPECT_EQ(status.error_code(), code) << action << ": " << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(text)) << action;
  }

  RunningServer server_;
  v1::Enrolment enrolment_;
};

TEST_F(FleetServiceTest, ShowsSecretsOnceOnly) {
  config::v1::DmAccount account;
  ASSERT_TRUE(
      google::protobuf::TextFormat::ParseFromString(enrolment_.account_textproto(), &account));
  EXPECT_EQ(account.server_id(), "virmo-server");
  EXPECT_EQ(account.address(), server_.server->public_url() + "/dm");
  EXPECT_EQ(account.device_uri(), enrolment_.device().device_uri());
  EXPECT_GE(account.client_secret().size(), 32u);
  EXPECT_NE(account.client_secret(), account.server_secret());

  v1::EnrolDeviceRequest request;
  request.set_device_id("edge-1");
  v1::Enrolment again;
  grpc::ClientContext context;
  const grpc::Status status = server_.fleet->EnrolDevice(&context, request, &again);
  EXPECT_EQ(status.error_code(), StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(again.account_textproto(), "");
}

TEST_F(FleetServiceTest, RefusesAnEnrolmentThatCannotWork) {
  const auto enrol = [&](const std::function<void(v1::EnrolDeviceRequest&)>& change) {
    v1::EnrolDeviceRequest request;
    request.set_device_id("edge-2");
    change(request);
    v1::Enrolment enrolment;
    grpc::ClientContext context;
    return server_.fleet->EnrolDevice(&context, request, &enrolment).error_code();
  };
  EXPECT_EQ(enrol([](auto& r) { r.set_device_id("Edge_2"); }), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(enrol([](auto& r) { r.set_device_id(""); }), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(enrol([](auto& r) { r.set_request_id("x"); }), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(enrol([](auto& r) { r.mutable_device()->set_notification_address("tcp:x:1"); }),
            StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(enrol([](auto& r) { r.mutable_device()->set_device_uri("urn x"); }),
            StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(enrol([this](auto& r) {
              r.mutable_device()->set_device_uri(enrolment_.device().device_uri());
            }),
            StatusCode::ALREADY_EXISTS);
}

TEST_F(FleetServiceTest, RefusesCommandsThatNoDeviceCouldDo) {
  const std::string url = "uri: 'http://x/y' media_type: 'application/x-qcow2' ";
  const std::string sha = absl::StrCat("sha256: '", std::string(64, 'a'), "' ");
  const auto code = StatusCode::INVALID_ARGUMENT;
  ExpectRefused("", code, "action");
  ExpectRefused("start {}", code, "virtual_machine");
  ExpectRefused("provision { display_name: 'x' }", code, "image");
  ExpectRefused("provision { display_name: 'x' " + url + "}", code, "sha256");
  ExpectRefused("provision { display_name: 'a/b' " + url + sha + "}", code, "name");
  ExpectRefused(
      absl::StrCat("provision { display_name: '", std::string(64, 'n'), "' ", url, sha, "}"), code,
      "63");
  ExpectRefused("provision { display_name: 'x' memory_mib: -1 " + url + sha + "}", code, "memory");
  ExpectRefused("provision { display_name: 'x' cpu_count: 99999 " + url + sha + "}", code, "cpu");
  ExpectRefused("provision { display_name: 'x' virtual_machine_id: 'X' " + url + sha + "}", code,
                "UUID");
  ExpectRefused("provision { display_name: 'x' image: 'images/a' " + url + "}", code, "both");
  ExpectRefused("provision { display_name: 'x' image: 'images/none' }", StatusCode::NOT_FOUND,
                "images/none");
  ExpectRefused(
      "provision { display_name: 'x' media_type: 'text/html' uri: 'http://x' " + sha + "}", code,
      "media_type");
  ExpectRefused("provision { display_name: 'x' uri: 'ftp://x' }", code, "http");
  ExpectRefused("get {}", code, "1 to 50");
  ExpectRefused("get { uris: '/absolute' }", code, "URI");
  ExpectRefused("get { uris: './a//b' }", code, "URI");
  ExpectRefused("replace { uri: './a' value: 'x' format: 'int' }", code, "number");
  ExpectRefused("replace { uri: './a' value: 'yes' format: 'bool' }", code, "true");
  ExpectRefused("replace { uri: './a' value: 'x' format: 'node' }", code, "format");
  ExpectRefused("replace { uri: '.' value: 'x' }", code, "leaf");
  ExpectRefused("virtual_machine: 'web' lock { mode: 77 }", code, "mode");
  ExpectRefused("virtual_machine: 'web' start {}", StatusCode::NOT_FOUND, "it has none");
}

TEST_F(FleetServiceTest, ReturnsTheFirstCommandForARepeatedRequest) {
  const std::string id = NewUuid();
  v1::Command first;
  v1::Command second;
  ASSERT_TRUE(Create("get { uris: './DevInfo/Man' }", &first, id).ok());
  ASSERT_TRUE(Create("get { uris: './DevInfo/Man' }", &second, id).ok());

  EXPECT_EQ(first.name(), absl::StrCat(kDevice, "/commands/", id));
  EXPECT_EQ(second.sequence(), first.sequence());
  const grpc::Status other = Create("get { uris: './DevInfo/Mod' }", &second, id);
  EXPECT_EQ(ReasonOf(FromGrpc(other)), v1::ErrorInfo::REASON_REQUEST_ID_REUSED);
}

TEST_F(FleetServiceTest, SaysWhatDoesNotExist) {
  v1::Command command;
  v1::GetCommandRequest get;
  get.set_name(absl::StrCat(kDevice, "/commands/", NewUuid()));
  grpc::ClientContext context;
  EXPECT_EQ(server_.fleet->GetCommand(&context, get, &command).error_code(), StatusCode::NOT_FOUND);
  v1::GetDeviceRequest device;
  v1::Device found;
  device.set_name("devices/none");
  grpc::ClientContext context2;
  EXPECT_EQ(server_.fleet->GetDevice(&context2, device, &found).error_code(),
            StatusCode::NOT_FOUND);
  device.set_name("none");
  grpc::ClientContext context3;
  EXPECT_EQ(server_.fleet->GetDevice(&context3, device, &found).error_code(),
            StatusCode::INVALID_ARGUMENT);
}

TEST_F(FleetServiceTest, TakesBackWhatWasNotSent) {
  v1::Command command;
  ASSERT_TRUE(Create("get { uris: './DevInfo/Man' }", &command).ok());
  v1::CancelCommandRequest request;
  request.set_name(command.name());
  for (int i = 0; i < 2; ++i) {
    grpc::ClientContext context;
    ASSERT_TRUE(server_.fleet->CancelCommand(&context, request, &command).ok());
    EXPECT_EQ(command.state(), v1::Command::STATE_CANCELLED);
  }
  auto device = server_.Device(enrolment_);
  ASSERT_TRUE(device.RunSession().ok());
  for (const auto& sent : device.commands) {
    EXPECT_NE(sent.items[0].target->uri, "./DevInfo/Man");
  }
}

TEST_F(FleetServiceTest, DoesNotTakeBackWhatWasSent) {
  v1::Command command;
  ASSERT_TRUE(Create("get { uris: './DevInfo/Man' }", &command).ok());
  auto device = server_.Device(enrolment_);
  ASSERT_TRUE(device.Send(device.Package1()).ok());
  v1::CancelCommandRequest request;
  request.set_name(command.name());
  grpc::ClientContext context;
  EXPECT_EQ(server_.fleet->CancelCommand(&context, request, &command).error_code(),
            StatusCode::FAILED_PRECONDITION);
}

TEST_F(FleetServiceTest, PagesThroughCommandsNewestFirst) {
  for (int i = 0; i < 5; ++i) {
    v1::Command command;
    ASSERT_TRUE(Create(absl::StrCat("get { uris: './n", i, "' }"), &command).ok());
  }
  v1::ListCommandsRequest request;
  request.set_parent("devices/-");
  request.set_page_size(2);
  std::string seen;
  do {
    v1::ListCommandsResponse response;
    grpc::ClientContext context;
    ASSERT_TRUE(server_.fleet->ListCommands(&context, request, &response).ok());
    EXPECT_LE(response.commands_size(), 2);
    for (const auto& command : response.commands()) seen += command.action().get().uris(0);
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(seen, "./n4./n3./n2./n1./n0");
  request.set_page_token("nonsense");
  v1::ListCommandsResponse response;
  grpc::ClientContext context;
  EXPECT_EQ(server_.fleet->ListCommands(&context, request, &response).error_code(),
            StatusCode::INVALID_ARGUMENT);
}

TEST_F(FleetServiceTest, StreamsACommandUntilItsEnd) {
  v1::Command command;
  ASSERT_TRUE(Create("get { uris: './DevInfo/Man' }", &command).ok());
  v1::WatchCommandRequest request;
  request.set_name(command.name());
  grpc::ClientContext context;
  const auto reader = server_.fleet->WatchCommand(&context, request);
  v1::WatchCommandResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.command().state(), v1::Command::STATE_QUEUED);

  auto device = server_.Device(enrolment_);
  device.tree["./DevInfo/Man"] = "Example";
  ASSERT_TRUE(device.RunSession().ok());

  while (reader->Read(&response)) command = response.command();
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(command.state(), v1::Command::STATE_CONFIRMED);
}

TEST_F(FleetServiceTest, StreamsAlertsAsTheyArrive) {
  auto device = server_.Device(enrolment_);
  device.QueueAlert("StateChange", "", testing::kVm, 1200, NewUuid());
  ASSERT_TRUE(device.RunSession().ok());
  v1::WatchDeviceAlertsRequest request;
  request.set_parent("devices/-");
  grpc::ClientContext context;
  const auto reader = server_.fleet->WatchDeviceAlerts(&context, request);
  v1::WatchDeviceAlertsResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.alert().sequence(), 1);

  device.Begin("2");
  device.QueueAlert("VMFailed", "", testing::kVm, 0, NewUuid());
  ASSERT_TRUE(device.RunSession().ok());

  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.alert().sequence(), 2);
  EXPECT_EQ(response.alert().type(), "urn:oma:at:virmo:1.0:VMFailed");
  context.TryCancel();
}

TEST_F(FleetServiceTest, ForgetsADevice) {
  v1::DeleteDeviceRequest request;
  request.set_name(kDevice);
  request.set_etag("stale");
  v1::Device device;
  grpc::ClientContext stale;
  EXPECT_EQ(server_.fleet->DeleteDevice(&stale, request, &device).error_code(),
            StatusCode::ABORTED);
  request.set_etag(enrolment_.device().etag());
  grpc::ClientContext context;
  ASSERT_TRUE(server_.fleet->DeleteDevice(&context, request, &device).ok());

  auto client = server_.Device(enrolment_);
  EXPECT_FALSE(client.RunSession().ok());
}

}  // namespace
}  // namespace virmo::server
