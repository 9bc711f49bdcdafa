// SPDX-License-Identifier: Apache-2.0
// The whole server, end to end: an admin's calls over gRPC, a scripted device over HTTP.
#include "services/server/server.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/runtime/files.h"
#include "services/runtime/sqlite.h"
#include "services/server/fleet/housekeeper.h"
#include "services/server/store/schema.h"
#include "services/server/testing/http_client.h"
#include "services/server/testing/running_server.h"
#include "services/server/testing/test_fleet.h"
#include "services/syncml/auth.h"
#include "services/syncml/notification.h"

namespace virmo::server {
namespace {

using testing::Fetch;
using ::testing::HasSubstr;
using testing::RunningServer;
using testing::ScriptedDevice;
using v1::Command;

class ServerTest : public ::testing::Test {
 protected:
  Command Create(const v1::Action& action) {
    v1::CreateCommandRequest request;
    request.set_parent("devices/edge-1");
    *request.mutable_command()->mutable_action() = action;
    grpc::ClientContext context;
    Command command;
    const grpc::Status status = server_.fleet->CreateCommand(&context, request, &command);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return command;
  }
  Command Get(const std::string& name) {
    v1::GetCommandRequest request;
    request.set_name(name);
    grpc::ClientContext context;
    Command command;
    EXPECT_TRUE(server_.fleet->GetCommand(&context, request, &command).ok());
    return command;
  }
  v1::ListDeviceVirtualMachinesResponse VirtualMachines() {
    v1::ListDeviceVirtualMachinesRequest request;
    request.set_parent("devices/edge-1");
    grpc::ClientContext context;
    v1::ListDeviceVirtualMachinesResponse response;
    EXPECT_TRUE(server_.fleet->ListDeviceVirtualMachines(&context, request, &response).ok());
    return response;
  }

  RunningServer server_;
};

TEST_F(ServerTest, ManagesAVirtualMachineFromProvisionToDeleteAcrossRestarts) {
  v1::Image image;
  const std::string octets = "QFI\xfb and the rest of a disk";
  ASSERT_TRUE(server_.Upload("guest", octets, {}, &image).ok());
  ScriptedDevice device = server_.Device(server_.Enrol("edge-1"));
  std::string fetched;
  std::string correlator;
  std::string vm;
  device.on_exec = [&](const syncml::Command& exec) {
    const std::string& uri = exec.items[0].target->uri;
    correlator = exec.correlator.value_or("");
    if (absl::EndsWith(uri, "/DownloadProvision")) {
      const std::string node = uri.substr(0, uri.find("/Operations"));
      vm = device.tree[node + "/VMID"];
      fetched = Fetch("GET", device.tree[node + "/PkgURL"]).body;
      device.AddVirtualMachine(vm, device.tree[node + "/Name"], 10);
    }
    const std::string root = absl::StrCat("./VirMO/VMs/", vm);
    if (absl::EndsWith(uri, "/Start")) device.tree[root + "/State"] = "30";
    if (absl::EndsWith(uri, "/Delete")) device.tree.clear();
    return ScriptedDevice::Answer{202, ""};
  };

  const auto run = [&](const v1::Action& action, const char* operation) {
    const Command command = Create(action);
    device.Begin(NewUuid());
    EXPECT_TRUE(device.RunSession().ok());
    EXPECT_EQ(Get(command.name()).state(), Command::STATE_ACCEPTED);
    server_.Restart();
    device.QueueAlert(operation, correlator, vm, 1200, NewUuid());
    device.Begin(NewUuid());
    EXPECT_TRUE(device.RunSession().ok());
    EXPECT_EQ(Get(command.name()).state(), Command::STATE_CONFIRMED) << operation;
  };
  v1::Action provision;
  provision.mutable_provision()->set_image("images/guest");
  provision.mutable_provision()->set_display_name("web");
  run(provision, "DownloadProvision");
  EXPECT_EQ(fetched, octets);
  ASSERT_EQ(VirtualMachines().virtual_machines_size(), 1);
  EXPECT_EQ(VirtualMachines().virtual_machines(0).display_name(), "web");

  v1::Action start;
  start.set_virtual_machine("web");
  start.mutable_start();
  run(start, "Start");
  EXPECT_EQ(VirtualMachines().virtual_machines(0).state(), 30);

  v1::Action remove;
  remove.set_virtual_machine("web");
  remove.mutable_delete_()->set_force(true);
  run(remove, "Delete");
  EXPECT_EQ(VirtualMachines().virtual_machines_size(), 0);
}

TEST_F(ServerTest, AnswersWrongRequestsOfTheTransport) {
  const std::string url = server_.server->public_url() + "/dm";

  EXPECT_EQ(Fetch("GET", url).status, 405);
  EXPECT_EQ(Fetch("POST", url, {"Content-Type: text/plain"}, "hello").status, 415);
  // What looks like SyncML is taken for it whatever it is called.
  EXPECT_EQ(Fetch("POST", url, {"Content-Type: text/html"}, "<a/>").status, 400);
  const auto malformed =
      Fetch("POST", url, {"Content-Type: application/vnd.syncml.dm+xml"}, "<SyncML><a></b>");
  EXPECT_EQ(malformed.status, 400);
  EXPECT_THAT(malformed.body, HasSubstr("malformed SyncML"));
  EXPECT_EQ(Fetch("POST", url, {"Content-Type: application/vnd.syncml.dm+xml"},
                  std::string(10 << 20, 'x'))
                .status,
            413);
}

TEST_F(ServerTest, AsksForASessionByPackageZero) {
  const int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in here = {};
  here.sin_family = AF_INET;
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(here);
  ASSERT_EQ(bind(udp, reinterpret_cast<sockaddr*>(&here), size), 0);
  ASSERT_EQ(getsockname(udp, reinterpret_cast<sockaddr*>(&here), &size), 0);
  v1::EnrolDeviceRequest request;
  request.set_device_id("edge-1");
  request.mutable_device()->set_notification_address(
      absl::StrCat("udp:127.0.0.1:", ntohs(here.sin_port)));
  v1::Enrolment enrolment;
  grpc::ClientContext context;
  ASSERT_TRUE(server_.fleet->EnrolDevice(&context, request, &enrolment).ok());
  const ScriptedDevice device = server_.Device(enrolment);

  v1::Action action;
  action.mutable_get()->add_uris("./DevInfo/Man");
  const Command command = Create(action);

  const timeval patience = {20, 0};
  setsockopt(udp, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  char octets[512];
  const ssize_t count = recv(udp, octets, sizeof(octets), 0);
  close(udp);
  ASSERT_GT(count, 0);
  const absl::string_view package(octets, static_cast<size_t>(count));
  EXPECT_TRUE(syncml::Verify(package, device.account.server_secret(), device.server_nonce).ok());
  EXPECT_EQ(syncml::Decode(package)->server_id, "virmo-server");
  for (int i = 0; i < 1000 && Get(command.name()).state() != Command::STATE_NOTIFIED; ++i) {
    usleep(10000);
  }
  EXPECT_EQ(Get(command.name()).state(), Command::STATE_NOTIFIED);
}

TEST_F(ServerTest, RefusesToStartWithoutTheKeyOfEnrolledDevices) {
  server_.Enrol("edge-1");
  server_.Stop();
  std::filesystem::remove(server_.config.state_directory() + "/keys/device-secrets.key");

  const auto server = Server::Open(server_.config);

  EXPECT_FALSE(server.ok());
  EXPECT_THAT(std::string(server.status().message()), HasSubstr("device-secrets.key"));
}

TEST_F(ServerTest, KeepsNoSecretReadableInItsDatabase) {
  const v1::Enrolment enrolment = server_.Enrol("edge-1");
  const ScriptedDevice device = server_.Device(enrolment);
  server_.Stop();
  const config::v1::DmAccount& account = device.account;
  const std::string hashed =
      syncml::HashedCredential(account.client_name(), account.client_secret());

  for (const auto& entry : std::filesystem::directory_iterator(server_.config.state_directory())) {
    if (!entry.is_regular_file()) continue;
    const std::string content = *ReadFile(entry.path().string(), 64 << 20);
    EXPECT_EQ(content.find(account.client_secret()), std::string::npos) << entry.path();
    EXPECT_EQ(content.find(account.server_secret()), std::string::npos) << entry.path();
    EXPECT_EQ(content.find(hashed), std::string::npos) << entry.path();
  }
}

TEST_F(ServerTest, RefusesAConfigurationThatCannotWork) {
  const auto refuses = [&](const std::function<void(config::v1::ServerConfig&)>& change) {
    config::v1::ServerConfig config = server_.config;
    config.set_state_directory(server_.config.state_directory() + "/other");
    change(config);
    return absl::IsInvalidArgument(Server::Open(config).status());
  };
  EXPECT_TRUE(refuses([](auto& c) { c.set_server_id("a b"); }));
  EXPECT_TRUE(refuses([](auto& c) { c.set_retention_days(0); }));
  EXPECT_TRUE(refuses([](auto& c) { c.set_max_message_bytes(10); }));
  EXPECT_TRUE(refuses([](auto& c) { c.set_http_address("0.0.0.0:0"); }));
  EXPECT_TRUE(refuses([](auto& c) { c.set_public_url("dm.example.com"); }));
  EXPECT_TRUE(refuses([](auto& c) {
    c.mutable_http_tls()->set_certificate_file("/none.pem");
    c.mutable_http_tls()->set_key_file("/none.pem");
  }));
}

TEST(HousekeeperTest, RemovesWhatIsOldAndKeepsWhatIsNot) {
  testing::TestFleet fleet;
  ScriptedDevice device = fleet.Enrol("edge-1");
  v1::Action action;
  action.mutable_get()->add_uris("./DevInfo/Man");
  device.tree["./DevInfo/Man"] = "x";
  const std::string ended = fleet.Queue("edge-1", action);
  device.QueueAlert("StateChange", "", testing::kVm, 1200, NewUuid());
  ASSERT_TRUE(device.RunSession().ok());
  const std::string waiting = fleet.Queue("edge-1", action);

  ASSERT_TRUE(
      Prune(fleet.database(), fleet.devices(), fleet.now + absl::Hours(1), absl::Hours(24)).ok());
  EXPECT_TRUE(fleet.queue().Get("edge-1", ended).ok());
  ASSERT_TRUE(
      Prune(fleet.database(), fleet.devices(), fleet.now + absl::Hours(48), absl::Hours(24)).ok());

  EXPECT_TRUE(absl::IsNotFound(fleet.queue().Get("edge-1", ended).status()));
  EXPECT_TRUE(fleet.queue().Get("edge-1", waiting).ok());
  EXPECT_TRUE(fleet.Alerts("edge-1").empty());
  EXPECT_EQ(fleet.database().Query("SELECT COUNT(*) FROM exchange")->at(0).Int(0), 0);
  EXPECT_EQ(fleet.database().Query("SELECT COUNT(*) FROM dm_session")->at(0).Int(0), 0);
}

TEST(HousekeeperTest, BoundsEveryTable) {
  testing::TestFleet fleet;
  Database& database = fleet.database();
  ScriptedDevice device = fleet.Enrol("edge-1");
  device.AddVirtualMachine(testing::kVm, "web", 10);
  ScriptedDevice guesser = device;
  guesser.account.set_client_secret("guess");
  ASSERT_TRUE(guesser.Send(guesser.Package1()).ok());
  v1::Action action;
  action.mutable_get()->add_uris("./DevInfo/Man");
  fleet.Queue("edge-1", action);
  device.QueueAlert("StateChange", "", testing::kVm, 1200, NewUuid());
  ASSERT_TRUE(device.RunSession().ok());
  ASSERT_TRUE(database.Execute("INSERT INTO object_chunk VALUES ('gone', 1, 'x')").ok());
  ASSERT_TRUE(database.Execute("INSERT INTO unread VALUES ('gone', 'vm', 'why')").ok());
  ASSERT_TRUE(database
                  .Execute("INSERT INTO lockout VALUES ('urn:x', 1, 0, ?1)",
                           {absl::ToUnixMicros(fleet.now)})
                  .ok());

  ASSERT_TRUE(Prune(database, fleet.devices(), fleet.now + absl::Hours(48), absl::Hours(24)).ok());

  const auto count = [&](const std::string& table) {
    return database.Query(absl::StrCat("SELECT COUNT(*) FROM ", table))->at(0).Int(0);
  };
  for (const char* table :
       {"command", "exchange", "alert", "dm_session", "lockout", "object_chunk", "unread"}) {
    EXPECT_EQ(count(table), 0) << table;
  }
  // What these hold is what is there: devices, their machines and keys, images, our own keys.
  EXPECT_EQ(count("device"), 1);
  EXPECT_EQ(count("virtual_machine"), 1);
  ASSERT_TRUE(fleet.devices().Delete("edge-1", "").ok());
  const auto tables = *database.Query("SELECT name FROM sqlite_master WHERE type = 'table'");
  for (const auto& table : tables) {
    const std::string name = table.Text(0);
    if (name == "counter" || name == "server_key" || name.find("schema") != std::string::npos ||
        name.rfind("sqlite_", 0) == 0) {
      continue;
    }
    EXPECT_EQ(count(name), 0) << name;
  }
}

TEST(HousekeeperTest, SaysThatASessionBrokeOff) {
  testing::TestFleet fleet;
  ScriptedDevice device = fleet.Enrol("edge-1");
  ASSERT_TRUE(device.Send(device.Package1()).ok());  // The server asked; no answer came.

  ASSERT_TRUE(
      Prune(fleet.database(), fleet.devices(), fleet.now + absl::Minutes(11), absl::Hours(24))
          .ok());
  EXPECT_THAT(fleet.devices().Get("edge-1")->last_session_error(), HasSubstr("broke off"));

  device.Begin("2");
  ASSERT_TRUE(device.RunSession().ok());
  EXPECT_EQ(fleet.devices().Get("edge-1")->last_session_error(), "");
}

}  // namespace
}  // namespace virmo::server
