// SPDX-License-Identifier: Apache-2.0
// The real process against a scripted DM server and fake services.

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "dm-bridge/testing/dm_server.h"
#include "dm-bridge/testing/fake_device.h"
#include "dm-bridge/testing/test_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/syncml/codec.h"
#include "services/syncml/notification.h"
#include "virmo/v1/dm_bridge_service.grpc.pb.h"

namespace virmo::dm_bridge {
namespace {

using syncml::Command;
using syncml::CommandKind;
using syncml::Message;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kStart[] = "./VirMO/VMs/3b6f9c4e-8a51-4c51-9d3c-3c0a2f7d1e10/Operations/Start";

int FreeUdpPort() {
  const int probe = socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bind(probe, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  socklen_t size = sizeof(address);
  getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size);
  close(probe);
  return ntohs(address.sin_port);
}

class DmBridgeProcessTest : public ::testing::Test {
 protected:
  DmBridgeProcessTest()
      : udp_port_(FreeUdpPort()), device_(absl::StrCat("unix:", folder_ / "device.sock")) {
    device_.controller.Put(MakeMachine(kVm, "work", v1::VirtualMachine::STATE_STOPPED));
    v1::PolicyStatus policy;
    policy.mutable_policy()->set_virtual_machine(kVmName);
    device_.policies.Put(policy);
    WriteConfig();
  }
  ~DmBridgeProcessTest() override { Kill(SIGTERM); }

  void WriteConfig() {
    std::ofstream(folder_ / "account.textproto")
        << "server_id: 'virmo-server' address: '" << server_.url()
        << "' device_uri: 'urn:uuid:6f1c1f0e-0000-4000-8000-000000000001'"
        << " client_name: 'vm-device-01' client_secret: 'devsecret'"
        << " server_name: 'virmo-server' server_secret: 'srvsecret'"
        << " client_nonce: 'AQIDBAUGBwgJCgsMDQ4PEA==' server_nonce: 'ERITFBUWFxgZGhscHR4fIA=='";
    const std::string device = absl::StrCat("{ address: 'unix:", folder_ / "device.sock", "' }");
    std::ofstream(folder_ / "config.textproto")
        << "listener { address: 'unix:" << folder_ / "bridge.sock"
        << "' }"
        << " state_directory: '" << folder_ / "state"
        << "'"
        << " alert_emitter " << device << " policy_engine " << device << " vm_controller " << device
        << " account_files: '" << folder_ / "account.textproto"
        << "'"
        << " notification_address: '127.0.0.1:" << udp_port_ << "' poll_interval_seconds: 3600"
        << " min_poll_interval_seconds: 3600";
  }

  void StartBridge() {
    pid_ = fork();
    if (pid_ == 0) {
      const std::string log = folder_ / "log";
      if (freopen(log.c_str(), "a", stderr) == nullptr) _exit(127);
      execl(DM_BRIDGE_BINARY, "dm-bridge", "--config", (folder_ / "config.textproto").c_str(),
            nullptr);
      _exit(127);
    }
    stub_ = v1::DmBridgeService::NewStub(grpc::CreateChannel(
        absl::StrCat("unix:", folder_ / "bridge.sock"), grpc::InsecureChannelCredentials()));
  }
  // Also waits until it can tell of the virtual machine.
  void StartBridgeAndWait() {
    StartBridge();
    ASSERT_TRUE(Eventually([&] {
      return GetNode(absl::StrCat("./VirMO/VMs/", kVm, "/Lock/State")).value() == "30";
    })) << Log();
  }
  void Kill(int signal) {
    if (pid_ <= 0) return;
    kill(pid_, signal);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  void WaitForDeath() {
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  std::string Log() {
    std::ifstream log(folder_ / "log");
    return std::string(std::istreambuf_iterator<char>(log), {});
  }

  grpc::Status RunSession(v1::Session* session = nullptr) {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    v1::Session ignored;
    return stub_->RunSession(&context, v1::RunSessionRequest(),
                             session == nullptr ? &ignored : session);
  }
  v1::Node GetNode(const std::string& uri) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
    v1::GetNodeRequest request;
    request.set_uri(uri);
    v1::Node node;
    stub_->GetNode(&context, request, &node);
    return node;
  }
  static Command StartCommand(const std::string& correlator) {
    Command exec = ServerMessage::MakeCommand(CommandKind::kExec, kStart);
    exec.correlator = correlator;
    return exec;
  }
  void Notify(const std::string& octets) {
    const int sender = socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(udp_port_));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sendto(sender, octets.data(), octets.size(), 0, reinterpret_cast<sockaddr*>(&address),
           sizeof(address));
    close(sender);
  }

  TempFolder folder_;
  const int udp_port_;
  DmServer server_;
  FakeDevice device_;
  pid_t pid_ = 0;
  std::unique_ptr<v1::DmBridgeService::Stub> stub_;
};

TEST_F(DmBridgeProcessTest, ACommandIsCarriedOutAndItsAlertDeliveredOnceAndAcknowledged) {
  server_.Queue(StartCommand("c1"));
  StartBridgeAndWait();
  ASSERT_TRUE(Eventually([&] { return !server_.statuses().empty() || !RunSession().ok(); }));
  ASSERT_THAT(server_.statuses(), ElementsAre("Exec 202")) << Log();
  EXPECT_THAT(device_.controller.log(),
              ElementsAre(absl::StrCat("Start ", kVmName, " ", kStart, " c1")));

  v1::Initiator initiator;
  initiator.set_server_id("virmo-server");
  initiator.set_uri(kStart);
  initiator.set_correlator("c1");
  device_.alerts.Raise("alert-1", kVmName, initiator);

  EXPECT_TRUE(Eventually([&] { return !device_.alerts.log().empty(); })) << Log();
  EXPECT_THAT(device_.alerts.log(), ElementsAre("ack alert-1"));
  EXPECT_THAT(server_.alerts(), ElementsAre("alert-1 c1"));
  EXPECT_EQ(server_.challenges(), 0);
  EXPECT_EQ(server_.messages()[0].body.back().items[0].source->uri, "./DevInfo/DevId");
}

TEST_F(DmBridgeProcessTest, AlertsComeInOrderAndOnlyToWhomTheyAreFor) {
  StartBridgeAndWait();
  v1::Initiator initiator;
  initiator.set_server_id("somebody-else");
  device_.alerts.Raise("foreign", kVmName, initiator);
  for (int i = 0; i < 250; ++i) device_.alerts.Raise(absl::StrCat("a", i), kVmName, {});
  ASSERT_TRUE(Eventually([&] { return device_.alerts.log().size() >= 250; })) << Log();
  const std::vector<std::string> alerts = server_.alerts();
  ASSERT_EQ(alerts.size(), 250u);
  for (int i = 0; i < 250; ++i) EXPECT_EQ(alerts[i], absl::StrCat("a", i, " "));
  EXPECT_THAT(device_.alerts.log(), ::testing::Not(::testing::Contains("ack foreign")));
}

// Kill -9 at each message of a session; afterwards the command is done once, and known to be.
class DmBridgeKillTest : public DmBridgeProcessTest, public ::testing::WithParamInterface<int> {};

TEST_P(DmBridgeKillTest, AKillBetweenMessagesDoesNoCommandTwice) {
  StartBridgeAndWait();
  ASSERT_TRUE(RunSession().ok()) << Log();
  server_.Queue(StartCommand("c1"));
  const int victim = static_cast<int>(server_.messages().size()) + GetParam();
  server_.Intercept([&, victim](int number, const Message&) -> DmServer::Interception {
    if (number != victim) return {};
    kill(pid_, SIGKILL);
    return {.cut = true, .response = std::nullopt};
  });
  RunSession();
  WaitForDeath();

  StartBridgeAndWait();
  ASSERT_TRUE(Eventually([&] { return !server_.statuses().empty() || !RunSession().ok(); }));
  EXPECT_THAT(server_.statuses(), ElementsAre("Exec 202")) << Log();
  EXPECT_EQ(device_.controller.log().size(), 1u);
}

INSTANTIATE_TEST_SUITE_P(Messages, DmBridgeKillTest, ::testing::Values(1, 2));

TEST_F(DmBridgeProcessTest, AKillInTheMiddleOfACommandDoesNotDoItTwice) {
  StartBridgeAndWait();
  ASSERT_TRUE(RunSession().ok()) << Log();
  std::atomic<int> begun = 0;
  device_.controller.OnBegin([&] {
    if (++begun == 1) kill(pid_, SIGKILL);
  });
  server_.Queue(StartCommand("c1"));
  RunSession();
  WaitForDeath();
  StartBridgeAndWait();
  ASSERT_TRUE(Eventually([&] { return !server_.statuses().empty() || !RunSession().ok(); }));
  EXPECT_THAT(server_.statuses(), ElementsAre("Exec 202")) << Log();
  EXPECT_EQ(device_.controller.log().size(), 1u);
  const auto ids = device_.controller.request_ids();
  ASSERT_EQ(ids.size(), 2u);
  EXPECT_EQ(ids[0], ids[1]);
}

TEST_F(DmBridgeProcessTest, AnAnswerThatIsLostIsAskedForAgainWithTheSameMessage) {
  StartBridgeAndWait();
  server_.Queue(StartCommand("c1"));
  const int victim = static_cast<int>(server_.messages().size()) + 2;
  server_.Intercept([victim](int number, const Message&) -> DmServer::Interception {
    return {.cut = number == victim, .response = std::nullopt};
  });
  ASSERT_TRUE(RunSession().ok()) << Log();
  EXPECT_THAT(server_.statuses(), ElementsAre("Exec 202"));
  const std::vector<Message> messages = server_.messages();
  ASSERT_GE(messages.size(), 3u);
  EXPECT_EQ(messages[victim - 1], messages[victim]);
}

TEST_F(DmBridgeProcessTest, RubbishFromTheServerHarmsThatSessionAlone) {
  StartBridgeAndWait();
  ASSERT_TRUE(RunSession().ok());
  std::string deep;
  for (int i = 0; i < 5000; ++i) deep += "<a>";
  const std::vector<std::string> rubbish = {
      "",   "<SyncML><SyncHdr>",        "<!DOCTYPE x [<!ENTITY a 'b'>]><SyncML>&a;</SyncML>",
      deep, std::string(10 << 20, 'x'), std::string("\x03\x00\xff\xff", 4)};
  for (const std::string& body : rubbish) {
    server_.Intercept([&](int, const Message&) -> DmServer::Interception {
      return {.cut = false, .response = HttpServer::Response{200, body}};
    });
    EXPECT_FALSE(RunSession().ok()) << body.substr(0, 20);
  }
  server_.Intercept(nullptr);
  EXPECT_TRUE(RunSession().ok()) << Log();
  EXPECT_THAT(device_.controller.log(), IsEmpty());
}

TEST_F(DmBridgeProcessTest, AServerWithAnotherSecretIsRefusedAndNothingDone) {
  StartBridgeAndWait();
  ASSERT_TRUE(RunSession().ok());
  server_.SetServerSecret("wrong");
  server_.Queue(StartCommand("c1"));
  EXPECT_EQ(RunSession().error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(device_.controller.log(), IsEmpty());
  EXPECT_THAT(Log(), ::testing::Not(HasSubstr("secret")));
  server_.SetServerSecret("srvsecret");
  EXPECT_TRUE(RunSession().ok()) << Log();
  EXPECT_THAT(server_.statuses(), ElementsAre("Exec 202"));
}

TEST_F(DmBridgeProcessTest, ABridgeThatLostItsStateFindsTheServerAgain) {
  StartBridgeAndWait();
  ASSERT_TRUE(RunSession().ok());
  server_.Queue(ServerMessage::MakeCommand(CommandKind::kGet, "./VirMO/VMs"));
  ASSERT_TRUE(RunSession().ok());
  Kill(SIGTERM);
  std::filesystem::remove_all(folder_ / "state");
  StartBridgeAndWait();  // By itself: nobody asks for a session.
  server_.Queue(StartCommand("c1"));
  EXPECT_TRUE(Eventually([&] { return server_.statuses().size() == 2; })) << Log();
  EXPECT_EQ(server_.statuses().back(), "Exec 202");
}

TEST_F(DmBridgeProcessTest, ANotificationStartsItsSessionOnceAndAForgedOneNone) {
  StartBridgeAndWait();
  ASSERT_TRUE(RunSession().ok());
  const auto notified = [&](const std::string& session_id) {
    int count = 0;
    for (const Message& message : server_.messages()) {
      const bool one = message.header.session_id == session_id && message.header.msg_id == "1";
      if (one && message.body[0].data == "1200") ++count;
    }
    return count;
  };
  syncml::Notification notification;
  notification.server_id = "virmo-server";
  notification.session_id = 0x2A;
  Notify(*syncml::Encode(notification, "forged", server_.server_nonce()));
  notification.session_id = 0x2B;
  const std::string good = *syncml::Encode(notification, "srvsecret", server_.server_nonce());
  Notify(good);
  EXPECT_TRUE(Eventually([&] { return notified("2B") == 1; })) << Log();
  Notify(good);
  notification.session_id = 0x2C;
  Notify(*syncml::Encode(notification, "srvsecret", std::string(syncml::ResyncNonce())));
  EXPECT_TRUE(Eventually([&] { return notified("2C") == 1; })) << Log();
  ASSERT_TRUE(RunSession().ok());
  EXPECT_EQ(notified("2A"), 0);
  EXPECT_EQ(notified("2B"), 1);
}

TEST_F(DmBridgeProcessTest, AServerOfDm12IsSpokenToInItsVersionFromThenOn) {
  server_.Intercept([](int, const Message& message) -> DmServer::Interception {
    if (message.header.ver_proto == "DM/1.2") return {};
    const Message refusal = ServerMessage(message, 513, 513);
    return {.cut = false,
            .response = HttpServer::Response{200, syncml::Encode(refusal, syncml::Encoding::kXml)}};
  });
  StartBridgeAndWait();
  ASSERT_TRUE(RunSession().ok()) << Log();
  Kill(SIGTERM);
  const size_t before = server_.messages().size();
  StartBridgeAndWait();
  ASSERT_TRUE(RunSession().ok()) << Log();
  const std::vector<Message> messages = server_.messages();
  for (size_t i = before; i < messages.size(); ++i) {
    EXPECT_EQ(messages[i].header.ver_proto, "DM/1.2");
  }
}

TEST_F(DmBridgeProcessTest, TheLocalServiceShowsAccountsAndTreeAndTheFolderIsPrivate) {
  StartBridgeAndWait();
  v1::Session session;
  ASSERT_TRUE(RunSession(&session).ok()) << Log();
  EXPECT_EQ(session.server_id(), "virmo-server");
  EXPECT_GE(session.messages(), 1);
  grpc::ClientContext context;
  v1::ListAccountsResponse accounts;
  ASSERT_TRUE(stub_->ListAccounts(&context, v1::ListAccountsRequest(), &accounts).ok());
  ASSERT_EQ(accounts.accounts_size(), 1);
  EXPECT_EQ(accounts.accounts(0).protocol_version(), "DM/1.3");
  EXPECT_THAT(accounts.DebugString(), ::testing::Not(HasSubstr("secret:")));
  EXPECT_EQ(GetNode("./DevInfo").children_size(), 5);
  EXPECT_EQ(GetNode("./VirMO").type(), "urn:oma:mo:oma-virmo:1.0");
  struct stat info = {};
  ASSERT_EQ(stat((folder_ / "state").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

}  // namespace
}  // namespace virmo::dm_bridge
