// SPDX-License-Identifier: Apache-2.0
// Whole sessions against the handler, without network: who is let in, and what becomes of
// commands.
#include "services/server/dm/dm_handler.h"

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/server/testing/scripted_device.h"
#include "services/server/testing/test_fleet.h"

namespace virmo::server {
namespace {

using syncml::CommandKind;
using syncml::Message;
using ::testing::HasSubstr;
using testing::HeaderStatus;
using testing::kVm;
using testing::ScriptedDevice;
using testing::TestFleet;
using v1::Command;

class DmHandlerTest : public ::testing::Test {
 protected:
  TestFleet fleet_;
  ScriptedDevice device_ = fleet_.Enrol("edge-1");

  v1::Action Start() {
    v1::Action action;
    action.set_virtual_machine(kVm);
    action.mutable_start();
    return action;
  }
  v1::Action Stop() {
    v1::Action action;
    action.set_virtual_machine(kVm);
    action.mutable_stop();
    return action;
  }
  std::vector<Command::State> Timeline(const Command& command) {
    std::vector<Command::State> states;
    for (const auto& step : command.timeline()) states.push_back(step.state());
    return states;
  }
  int CountExecs() {
    int count = 0;
    for (const auto& command : device_.commands) count += command.kind == CommandKind::kExec;
    return count;
  }
};

TEST_F(DmHandlerTest, AcceptsCredentialsAndGivesANonceForTheNextSession) {
  const Message answer = *device_.Send(device_.Package1());

  EXPECT_EQ(HeaderStatus(answer), 212);
  EXPECT_TRUE(answer.final);
  ASSERT_TRUE(answer.body[0].chal);
  device_.Begin("2");
  EXPECT_EQ(HeaderStatus(*device_.Send(device_.Package1())), 212);
}

TEST_F(DmHandlerTest, RefusesAReplayedNonce) {
  const Message first = device_.Package1();
  ASSERT_EQ(HeaderStatus(*device_.Send(first)), 212);

  device_.Begin("1");
  const Message replay = *device_.Send(first);

  EXPECT_EQ(HeaderStatus(replay), 401);
  EXPECT_TRUE(replay.body[0].chal);
}

TEST_F(DmHandlerTest, GoesOnAfterTheChallengeForAStaleNonce) {
  device_.client_nonce = "an old one";
  device_.AddVirtualMachine(kVm, "web", 10);

  ASSERT_TRUE(device_.RunSession().ok());

  EXPECT_EQ(HeaderStatus(device_.received[0]), 401);
  EXPECT_EQ(HeaderStatus(device_.received[1]), 212);
  EXPECT_TRUE((*fleet_.inventory().Find("edge-1", kVm)).has_value());
}

TEST_F(DmHandlerTest, DoesNothingForWrongCredentials) {
  device_.account.set_client_secret("guess");
  device_.QueueAlert("Start", "", kVm, 1200, NewUuid());

  const Message answer = *device_.Send(device_.Package1());

  EXPECT_EQ(HeaderStatus(answer), 401);
  for (const auto& command : answer.body) {
    EXPECT_EQ(command.kind, CommandKind::kStatus);
    EXPECT_EQ(command.data, "401");
  }
  EXPECT_EQ(answer.body.size(), 4u);  // SyncHdr, two Alerts, Replace.
  EXPECT_TRUE(fleet_.Alerts("edge-1").empty());
}

TEST_F(DmHandlerTest, AnswersAnUnknownDeviceLikeAWrongPassword) {
  ScriptedDevice stranger = fleet_.Enrol("edge-2");
  stranger.account.set_device_uri("urn:uuid:nobody");
  ScriptedDevice guesser = fleet_.Enrol("edge-3");
  guesser.account.set_client_secret("guess");

  Message unknown = *stranger.Send(stranger.Package1());
  Message wrong = *guesser.Send(guesser.Package1());

  ASSERT_EQ(HeaderStatus(unknown), 401);
  for (Message* message : {&unknown, &wrong}) {
    message->header.target = {};
    message->header.resp_uri.reset();
    message->body[0].source_refs.clear();
    message->body[0].chal->meta.next_nonce = "x";
  }
  EXPECT_EQ(unknown, wrong);
}

TEST_F(DmHandlerTest, AsksForMissingCredentials) {
  Message message = device_.Package1();
  message.header.cred.reset();

  const Message answer = *device_.Send(message);

  EXPECT_EQ(HeaderStatus(answer), 407);
  EXPECT_EQ(HeaderStatus(*device_.Send(device_.Package1())), 212);
}

TEST_F(DmHandlerTest, RefusesCredentialsOfAnotherName) {
  device_.account.set_client_name("edge-x");

  EXPECT_EQ(HeaderStatus(*device_.Send(device_.Package1())), 401);
}

TEST_F(DmHandlerTest, MakesGuessersWait) {
  device_.account.set_client_secret("guess");
  for (int i = 0; i < 10; ++i) {
    device_.Begin(absl::StrCat(i));
    ASSERT_TRUE(device_.Send(device_.Package1()).ok());
  }

  EXPECT_TRUE(absl::IsUnavailable(device_.Send(device_.Package1()).status()));
  fleet_.now += absl::Minutes(1);
  EXPECT_TRUE(device_.Send(device_.Package1()).ok());
}

TEST_F(DmHandlerTest, RefusesAnUnknownProtocolVersion) {
  Message message = device_.Package1();
  message.header.ver_proto = "DM/9.9";
  EXPECT_EQ(HeaderStatus(*device_.Send(message)), 513);

  device_.Begin("0");
  message.header.ver_proto = "DM/1.2";
  message.header.ver_dtd = "7";
  EXPECT_EQ(HeaderStatus(*device_.Send(message)), 505);
}

TEST_F(DmHandlerTest, TakesSessionIdZero) {
  device_.Begin("0");

  EXPECT_TRUE(device_.RunSession().ok());
  EXPECT_EQ(device_.received[0].header.session_id, "0");
}

TEST_F(DmHandlerTest, SpeaksWbxmlToThoseWhoDo) {
  device_.encoding = syncml::Encoding::kWbxml;
  device_.AddVirtualMachine(kVm, "web", 10);

  ASSERT_TRUE(device_.RunSession().ok());

  EXPECT_EQ((*fleet_.inventory().Find("edge-1", kVm))->display_name(), "web");
}

TEST_F(DmHandlerTest, ProvesItselfToTheDevice) {
  device_.AddVirtualMachine(kVm, "web", 10);

  ASSERT_TRUE(device_.RunSession().ok());
  device_.Begin("2");
  ASSERT_TRUE(device_.RunSession().ok());  // With the nonce that the device gave.
}

TEST_F(DmHandlerTest, SendsCommandsAgainWhenTheDeviceChallengesIt) {
  device_.AddVirtualMachine(kVm, "web", 10);
  const std::string id = fleet_.Queue("edge-1", Start());
  device_.server_nonce = "the device lost it";

  ASSERT_TRUE(device_.RunSession().ok());

  EXPECT_EQ(CountExecs(), 2);
  const Command command = fleet_.Command("edge-1", id);
  EXPECT_EQ(command.dm_status(), 200);
  EXPECT_EQ(command.attempts(), 1);
}

TEST_F(DmHandlerTest, EndsWhenTheDeviceRefusesItTwice) {
  fleet_.Queue("edge-1", Start());
  device_.accept_server = false;

  ASSERT_TRUE(device_.RunSession().ok());

  EXPECT_THAT(fleet_.devices().Get("edge-1")->last_session_error(), HasSubstr("credentials"));
}

TEST_F(DmHandlerTest, StoresDevInfo) {
  ASSERT_TRUE(device_.RunSession().ok());

  const auto device = *fleet_.devices().Get("edge-1");
  EXPECT_EQ(device.manufacturer(), "Example");
  EXPECT_EQ(device.model(), "Box");
  EXPECT_EQ(device.client_version(), "1.0");
  EXPECT_EQ(device.protocol_version(), "DM/1.3");
}

TEST_F(DmHandlerTest, RefusesMalformedMessagesWithAReason) {
  const auto garbage = fleet_.Post("/dm", "<SyncML><oops");
  EXPECT_TRUE(absl::IsInvalidArgument(garbage.status()));
  EXPECT_THAT(std::string(garbage.status().message()), HasSubstr("line"));

  const auto entities = fleet_.Post("/dm", "<!DOCTYPE x [<!ENTITY a 'b'>]><SyncML>&a;</SyncML>");
  EXPECT_TRUE(absl::IsInvalidArgument(entities.status()));

  std::string deep;
  for (int i = 0; i < 10000; ++i) deep += "<SyncML>";
  EXPECT_FALSE(fleet_.Post("/dm", deep).ok());
}

TEST_F(DmHandlerTest, AnswersAnyOtherCommandOfAClientWith405AndGoesOn) {
  Message message = device_.Package1();
  syncml::Command exec;
  exec.kind = CommandKind::kExec;
  exec.cmd_id = "9";
  exec.items = {syncml::MakeTargetItem("./x")};
  message.body.push_back(exec);

  const Message answer = *device_.Send(message);

  EXPECT_EQ(HeaderStatus(answer), 212);
  EXPECT_EQ(answer.body[3].data, "405");
}

TEST_F(DmHandlerTest, AsksForMoreUntilThePackageIsFinal) {
  fleet_.Queue("edge-1", Start());
  Message message = device_.Package1();
  message.final = false;

  const Message answer = *device_.Send(message);

  EXPECT_FALSE(answer.final);
  EXPECT_EQ(answer.body.back().kind, CommandKind::kAlert);
  EXPECT_EQ(answer.body.back().data, "1222");
  EXPECT_EQ(CountExecs(), 0);
  Message rest;
  rest.body = {syncml::MakeAlert("1", syncml::AlertCode::kNextMessage)};
  rest.final = true;
  ASSERT_TRUE(device_.Send(rest).ok());
  EXPECT_EQ(CountExecs(), 1);
}

TEST_F(DmHandlerTest, GoesOnForDevicesThatWaitWithFinalUntilWeHaveSentOurs) {
  fleet_.Queue("edge-1", Start());
  Message message = device_.Package1();
  message.final = false;
  Message answer = *device_.Send(message);
  ASSERT_FALSE(answer.final);
  EXPECT_TRUE(answer.header.cred);  // Even here: the device must not be challenged in vain.

  message = device_.Reply(answer);  // Status for our header and Alert, and Alert 1222.
  message.final = false;
  answer = *device_.Send(message);

  EXPECT_TRUE(answer.final);
  EXPECT_EQ(CountExecs(), 1);
}

TEST_F(DmHandlerTest, HearsADeviceOutThatSpeaksAfterTheEnd) {
  ASSERT_TRUE(device_.RunSession().ok());
  Message more;
  more.body = {syncml::MakeAlert("1", syncml::AlertCode::kClientEvent)};
  more.final = true;

  EXPECT_EQ(HeaderStatus(*device_.Send(more)), 200);
}

TEST_F(DmHandlerTest, AnswersARepeatedMessageAsBefore) {
  fleet_.Queue("edge-1", Start());
  ASSERT_TRUE(device_.Send(device_.Package1()).ok());
  Message reply = device_.Reply(device_.received.back());
  reply.header.session_id = "1";
  reply.header.msg_id = "2";
  reply.header.source = {device_.account.device_uri(), "edge-1"};
  const std::string body = syncml::Encode(reply, syncml::Encoding::kXml);

  const std::string first = *fleet_.Post(device_.url, body);
  fleet_.Restart();
  const std::string second = *fleet_.Post(device_.url, body);

  EXPECT_EQ(first, second);
}

TEST_F(DmHandlerTest, RefusesAnotherMessageWithAnOldNumber) {
  ASSERT_TRUE(device_.Send(device_.Package1()).ok());
  const std::string url = device_.url;
  device_.Begin("1");
  device_.url = url;

  EXPECT_EQ(HeaderStatus(*device_.Send(device_.Package1())), 400);
}

TEST_F(DmHandlerTest, NeedsCredentialsFromWhoeverHasNoToken) {
  ASSERT_TRUE(device_.Send(device_.Package1()).ok());
  Message follow_up;
  follow_up.body = {syncml::MakeAlert("1", syncml::AlertCode::kNextMessage)};
  follow_up.final = true;
  device_.url = device_.account.address();

  EXPECT_EQ(HeaderStatus(*device_.Send(follow_up)), 407);
}

TEST_F(DmHandlerTest, GoesOnAfterARestartBetweenTwoMessages) {
  device_.AddVirtualMachine(kVm, "web", 30);
  const std::string id = fleet_.Queue("edge-1", Start());
  Message answer = *device_.Send(device_.Package1());

  for (int i = 0; i < 10 && !answer.body.empty(); ++i) {
    fleet_.Restart();
    answer = *device_.Send(device_.Reply(answer));
    if (answer.body.size() == 1) break;
  }

  EXPECT_EQ(fleet_.Command("edge-1", id).state(), Command::STATE_CONFIRMED);
}

}  // namespace
}  // namespace virmo::server
