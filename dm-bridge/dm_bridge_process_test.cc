// SPDX-License-Identifier: Apache-2.0
// The real process against a scripted DM server and fake services.

#include <sys/stat.h>

#include <atomic>

#include "absl/strings/str_cat.h"
#include "dm-bridge/testing/process_fixture.h"
#include "services/syncml/codec.h"
#include "services/syncml/notification.h"

namespace virmo::dm_bridge {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

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
  ASSERT_TRUE(Eventually([&] { return server_.alerts().size() >= 250; })) << Log();
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

// The same where the answer came, but nothing was done with it yet: borders as the bridge has them.
class DmBridgeBorderTest : public DmBridgeProcessTest,
                           public ::testing::WithParamInterface<std::string> {};

TEST_P(DmBridgeBorderTest, AKillAtABorderDoesNoCommandTwice) {
  server_.Queue(StartCommand("c1"));
  setenv("VIRMO_FAULT", GetParam().c_str(), 1);
  StartBridge();
  unsetenv("VIRMO_FAULT");
  WaitForDeath();

  StartBridgeAndWait();
  ASSERT_TRUE(Eventually([&] { return !server_.statuses().empty() || !RunSession().ok(); }));
  EXPECT_THAT(server_.statuses(), ElementsAre("Exec 202")) << Log();
  EXPECT_EQ(device_.controller.log().size(), 1u);
}

// Message 1, its answer, message 2 (with the Status of the command), its answer.
INSTANTIATE_TEST_SUITE_P(Borders, DmBridgeBorderTest,
                         ::testing::Values("session.send", "session.received", "session.send:2",
                                           "session.received:2"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           for (char& c : name) c = c == '.' || c == ':' ? '_' : c;
                           return name;
                         });

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

// What becomes of a server's operation is told to the local user, if the server wants that.
TEST_F(DmBridgeProcessTest, TheUserIsToldOfOutcomesIfTheServerWantsThat) {
  const auto outcome = [](int code, const std::string& server) {
    v1::OperationEvent event;
    event.set_done(true);
    event.mutable_metadata()->set_kind(v1::OPERATION_KIND_START);
    event.mutable_metadata()->set_target(kVmName);
    event.mutable_metadata()->set_result_code(code);
    event.mutable_metadata()->mutable_initiator()->set_server_id(server);
    return event;
  };
  StartBridgeAndWait();
  device_.controller.Tell(outcome(1401, "virmo-server"));
  ASSERT_TRUE(RunSession().ok()) << Log();
  Command want = ServerMessage::MakeCommand(CommandKind::kReplace, "./VirMO/Config/NotifyUser");
  want.items[0].data = "true";
  want.items[0].meta.format = "bool";
  server_.Queue(std::move(want));
  ASSERT_TRUE(RunSession().ok()) << Log();
  ASSERT_THAT(server_.statuses(), ElementsAre("Replace 200")) << Log();
  device_.controller.Tell(outcome(1402, ""));  // The user's own.
  EXPECT_TRUE(Eventually([&] {
    device_.controller.Tell(outcome(1200, "virmo-server"));
    return Log().find("result=1200") != std::string::npos;
  })) << Log();
  EXPECT_THAT(Log(), HasSubstr(absl::StrCat(
                         "notice to the user server=virmo-server operation=OPERATION_KIND_START",
                         " target=", kVmName, " result=1200")));
  EXPECT_THAT(Log(), ::testing::Not(HasSubstr("result=1401")));
  EXPECT_THAT(Log(), ::testing::Not(HasSubstr("result=1402")));
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
