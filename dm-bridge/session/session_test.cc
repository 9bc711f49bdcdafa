// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/session/session.h"

#include "dm-bridge/testing/session_fixture.h"
#include "services/runtime/error.h"
#include "services/syncml/codec.h"

namespace virmo::dm_bridge {
namespace {

using syncml::Command;
using syncml::CommandKind;
using syncml::Message;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(SessionTest, PackageOneHasCredentialsAlertAndDevInfo) {
  const Message message = Begin();

  EXPECT_EQ(message.header.ver_dtd, "1.2");
  EXPECT_EQ(message.header.ver_proto, "DM/1.3");
  EXPECT_EQ(message.header.session_id, "1F");
  EXPECT_EQ(message.header.msg_id, "1");
  EXPECT_EQ(message.header.source.name, "vm-device-01");
  EXPECT_EQ(DigestOf(message), kClientDigest);
  ASSERT_EQ(message.body.size(), 2u);
  EXPECT_EQ(message.body[0].data, "1201");
  EXPECT_EQ(message.body[1].kind, CommandKind::kReplace);
  EXPECT_EQ(message.body[1].items[1].source->uri, "./DevInfo/Man");
  EXPECT_TRUE(message.final);
  EXPECT_EQ(url_, "https://virmo.example/dm");
}

TEST_F(SessionTest, ANotifiedSessionSays1200) {
  settings_.server_initiated = true;
  EXPECT_EQ(Begin().body[0].data, "1200");
}

TEST_F(SessionTest, EndsWhenTheServerHasNothingAndSaysNothingMore) {
  const Message one = Begin();
  const SessionStep step = End(Good(one));
  EXPECT_TRUE(step.outcome.ok()) << step.outcome;
  EXPECT_EQ(session_->messages_sent(), 1);
}

TEST_F(SessionTest, AnswersEachCommandInOrderHeaderFirstResultsAfterTheirStatus) {
  const Message one = Begin();
  const Message three = Answer(Good(one)
                                   .Do(CommandKind::kReplace, "./T/Number", "5", "int")
                                   .Exec("./T/Run", "c8")
                                   .Do(CommandKind::kGet, "./T/Number")
                                   .Do(CommandKind::kGet, "./T/Nothing"));

  EXPECT_THAT(StatusesOf(three), ElementsAre("SyncHdr 0 212", "Replace 4 200", "Exec 5 202",
                                             "Get 6 200", "Get 7 404"));
  ASSERT_EQ(three.body.size(), 6u);
  EXPECT_EQ(three.body[4].kind, CommandKind::kResults);
  EXPECT_EQ(three.body[4].cmd_ref, "6");
  EXPECT_EQ(three.body[4].msg_ref, "1");
  EXPECT_EQ(three.body[4].items[0].source->uri, "./T/Number");
  EXPECT_EQ(three.body[4].items[0].data, "5");
  EXPECT_EQ(three.body[4].items[0].meta.format, "int");
  EXPECT_THAT(three.body[5].items[0].data.value_or(""), HasSubstr("./T"));
  EXPECT_EQ(three.header.msg_id, "2");
  EXPECT_TRUE(three.final);
  EXPECT_FALSE(three.header.cred.has_value());
  EXPECT_TRUE(End(ServerMessage(three, 200)).outcome.ok());
  EXPECT_EQ(test_.execs[0].correlator, "c8");
  EXPECT_EQ(session_->commands_done(), 4);
}

TEST_F(SessionTest, OneCommandWithSeveralItemsGetsOneStatusEach) {
  const Message one = Begin();
  Command get = ServerMessage::MakeCommand(CommandKind::kGet, "./T/Number");
  get.items.push_back(syncml::MakeTargetItem("./T/Nothing"));
  const Message three = Answer(Good(one).Add(get));

  EXPECT_THAT(StatusesOf(three), ElementsAre("SyncHdr 0 212", "Get 4 200", "Get 4 404"));
  EXPECT_THAT(three.body[1].target_refs, ElementsAre("./T/Number"));
  EXPECT_THAT(three.body[3].target_refs, ElementsAre("./T/Nothing"));
}

TEST_F(SessionTest, ASequenceGoesOnAfterAFailureAndAnAtomicWithExecIsNotBegun) {
  const Message one = Begin();
  Command sequence;
  sequence.kind = CommandKind::kSequence;
  sequence.cmd_id = "10";
  sequence.children = {ServerMessage::MakeCommand(CommandKind::kReplace, "./T/Number", "x", "int"),
                       ServerMessage::MakeCommand(CommandKind::kExec, "./T/Run")};
  sequence.children[0].cmd_id = "11";
  sequence.children[1].cmd_id = "12";
  Command atomic = sequence;
  atomic.kind = CommandKind::kAtomic;
  atomic.cmd_id = "20";
  atomic.children[0].cmd_id = "21";
  atomic.children[1].cmd_id = "22";
  const Message three = Answer(Good(one).Add(sequence).Add(atomic));

  EXPECT_THAT(StatusesOf(three),
              ElementsAre("SyncHdr 0 212", "Sequence 10 200", "Replace 11 400", "Exec 12 202",
                          "Atomic 20 507", "Replace 21 215", "Exec 22 405"));
  EXPECT_EQ(test_.execs.size(), 1u);
}

TEST_F(SessionTest, WhatIsBrokenInAMessageHarmsThatCommandAlone) {
  const Message one = Begin();
  ServerMessage two = Good(one);
  Command unknown;
  unknown.kind = CommandKind::kUnknown;
  unknown.unknown_name = "Frobnicate";
  two.Add(unknown);
  Command no_id = ServerMessage::MakeCommand(CommandKind::kGet, "./T/Number");
  two.message().body.push_back(no_id);
  Command copy = ServerMessage::MakeCommand(CommandKind::kCopy, "./T/Number");
  two.Add(copy);
  Command empty;
  empty.kind = CommandKind::kGet;
  two.Add(empty).Do(CommandKind::kDelete, "./T").Alert("1150").Do(CommandKind::kGet, "./T/Flag");
  const Message three = Answer(two);

  EXPECT_THAT(StatusesOf(three),
              ElementsAre("SyncHdr 0 212", "Frobnicate 4 400", "Get  400", "Copy 6 412",
                          "Get 7 412", "Delete 8 405", "Alert 9 406", "Get 10 200"));
}

TEST_F(SessionTest, RespUriIsWhereTheNextMessageGoes) {
  const Message one = Begin();
  const Message three =
      Answer(Good(one).RespUri("https://virmo.example/dm?s=7").Do(CommandKind::kGet, "./T"));
  EXPECT_EQ(url_, "https://virmo.example/dm?s=7");
  EXPECT_EQ(three.header.target.uri, url_);
}

TEST_F(SessionTest, ARespUriThatLeadsOutOfTlsEndsTheSession) {
  settings_.transport_authenticates_server = true;
  ServerMessage two = Good(Begin());
  const SessionStep step = End(two.RespUri("http://127.0.0.1/dm").Exec("./T/Run", "c"));
  EXPECT_EQ(ReasonOf(step.outcome), v1::ErrorInfo::REASON_SESSION_FAILED);
  EXPECT_THAT(test_.execs, IsEmpty());
}

// Alerts.

TEST_F(SessionTest, AlertsTravelInPackageOneAndCountByTheirOwnStatus) {
  host_.Raise("a");
  host_.Raise("b");
  const Message one = Begin();
  ASSERT_EQ(one.body.size(), 4u);
  EXPECT_EQ(one.body[1].data, "1226");
  EXPECT_EQ(one.body[1].items[0].source->uri, "./T/Run");
  ServerMessage two = Good(one);
  two.message().body[3].data = "412";  // For b.
  EXPECT_TRUE(End(two).outcome.ok());
  EXPECT_THAT(host_.answered, ElementsAre("a 200", "b 412"));
  EXPECT_EQ(session_->alerts_delivered(), 1);
  EXPECT_THAT(session_->unanswered(), IsEmpty());
}

TEST_F(SessionTest, AnAlertThatComesUpGoesWithTheNextPackage) {
  const Message one = Begin();
  host_.Raise("late");
  const Message three = Answer(Good(one).Do(CommandKind::kGet, "./T/Flag"));
  ASSERT_EQ(CommandsOf(three, CommandKind::kAlert).size(), 1u);
  EXPECT_TRUE(End(ServerMessage(three, 200)).outcome.ok());
  EXPECT_THAT(host_.answered, ElementsAre("late 200"));
}

TEST_F(SessionTest, AStatusForAnotherCommandAcknowledgesNothing) {
  host_.Raise("a");
  const Message one = Begin();
  ServerMessage two = Good(one);
  two.message().body[2].msg_ref = "7";
  EXPECT_TRUE(End(two).outcome.ok());
  EXPECT_THAT(host_.answered, IsEmpty());
  EXPECT_THAT(session_->unanswered(), ElementsAre("a"));
}

TEST_F(SessionTest, AlertsAnsweredByAnUnprovenServerAreSentAgainOnceItProvedItself) {
  host_.Raise("a");
  const Message one = Begin();
  const Message three = Answer(ServerMessage(one).Do(CommandKind::kGet, "./T/Flag"));
  EXPECT_THAT(host_.answered, IsEmpty());
  const std::string nonce = *syncml::Base64Decode(*three.body[0].chal->meta.next_nonce);
  ServerMessage four(three, 200);
  four.Cred(syncml::Md5Digest("virmo-server", "srvsecret", nonce));
  const Message five = Answer(four.Do(CommandKind::kGet, "./T/Flag"));
  ASSERT_EQ(CommandsOf(five, CommandKind::kAlert).size(), 1u);
  EXPECT_TRUE(End(ServerMessage(five, 200)).outcome.ok());
  EXPECT_THAT(host_.answered, ElementsAre("a 200"));
}

// Packages of several messages.

TEST_F(SessionTest, LargeResultsAreSpreadOverMessagesTheServerAsksFor) {
  for (int i = 0; i < 40; ++i) {
    test_.values[absl::StrCat("./T/Items/i", i)] = "";
    test_.values[absl::StrCat("./T/Items/i", i, "/Name")] = std::string(100, 'x');
  }
  Message message =
      Answer(Good(Begin()).MaxMsgSize(3000).Do(CommandKind::kGet, "./T/Items?list=StructData"));
  size_t items = 0;
  int messages = 0;
  while (true) {
    ++messages;
    EXPECT_LE(syncml::Encode(message, syncml::Encoding::kXml).size(), 3000u);
    for (const Command& results : CommandsOf(message, CommandKind::kResults)) {
      EXPECT_EQ(results.cmd_ref, "4");
      items += results.items.size();
    }
    if (message.final) break;
    ASSERT_LT(messages, 50);
    message = Answer(ServerMessage(message, 200).Alert("1222").NotFinal());
  }
  EXPECT_EQ(items, 81u);
  EXPECT_GT(messages, 5);
  EXPECT_TRUE(End(ServerMessage(message, 200)).outcome.ok());
}

TEST_F(SessionTest, AServerPackageOfSeveralMessagesIsAskedForWith1222) {
  const Message three = Answer(Good(Begin()).Do(CommandKind::kGet, "./T/Flag").NotFinal());
  EXPECT_FALSE(three.final);
  ASSERT_EQ(CommandsOf(three, CommandKind::kAlert).size(), 1u);
  EXPECT_EQ(CommandsOf(three, CommandKind::kAlert)[0].data, "1222");
  EXPECT_THAT(StatusesOf(three), ElementsAre("SyncHdr 0 212", "Get 4 200"));
  const Message five = Answer(ServerMessage(three, 200));
  EXPECT_TRUE(five.final);
  EXPECT_THAT(StatusesOf(five), ElementsAre("SyncHdr 0 200"));
  EXPECT_TRUE(End(ServerMessage(five, 200)).outcome.ok());
}

TEST_F(SessionTest, AnEndlessServerIsCutOff) {
  SessionStep step = {.message = Begin(), .url = "", .outcome = absl::OkStatus()};
  ServerMessage first = Good(*step.message);
  step = session_->Receive(first.Do(CommandKind::kGet, "./T/Flag"));
  int messages = 1;
  while (step.message && messages < 10000) {
    ++messages;
    step = session_->Receive(ServerMessage(*step.message, 200).Do(CommandKind::kGet, "./T/Flag"));
  }
  EXPECT_LE(messages, 2001);
  EXPECT_EQ(ReasonOf(step.outcome), v1::ErrorInfo::REASON_SESSION_FAILED);
}

// Ends.

TEST_F(SessionTest, AnAbortEndsTheSessionWithoutAnAnswer) {
  const SessionStep step = End(Good(Begin()).Exec("./T/Run", "c").Alert("1223"));
  EXPECT_EQ(ReasonOf(step.outcome), v1::ErrorInfo::REASON_SESSION_FAILED);
  EXPECT_THAT(test_.execs, IsEmpty());
}

TEST_F(SessionTest, AnUnknownProtocolVersionFallsBackToDm12) {
  for (const int code : {400, 505, 513}) {
    EXPECT_TRUE(End(ServerMessage(Begin(), code)).fall_back) << code;
  }
  EXPECT_FALSE(End(ServerMessage(Begin(), 500)).fall_back);
  settings_.protocol_version = "DM/1.2";
  EXPECT_FALSE(End(ServerMessage(Begin(), 400)).fall_back);
}

TEST_F(SessionTest, AMessageOfAnotherSessionIsNotActedUpon) {
  ServerMessage two = Good(Begin());
  two.Exec("./T/Run", "c");
  two.message().header.session_id = "20";
  EXPECT_EQ(ReasonOf(End(two).outcome), v1::ErrorInfo::REASON_SESSION_FAILED);
  EXPECT_THAT(test_.execs, IsEmpty());
}

TEST_F(SessionTest, CommandsOfSessionsAreToldApart) {
  Answer(Good(Begin()).Exec("./T/Run", "").Exec("./T/Run", ""));
  settings_.session_uuid = "another";
  Answer(Good(Begin()).Exec("./T/Run", ""));
  ASSERT_EQ(test_.execs.size(), 3u);
  EXPECT_NE(test_.execs[0].command_key, test_.execs[1].command_key);
  EXPECT_NE(test_.execs[0].command_key, test_.execs[2].command_key);
}

}  // namespace
}  // namespace virmo::dm_bridge
