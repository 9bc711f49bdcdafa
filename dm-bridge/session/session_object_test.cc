// SPDX-License-Identifier: Apache-2.0
// Large objects, both ways, in both encodings.
#include "dm-bridge/session/session.h"
#include "dm-bridge/testing/session_fixture.h"
#include "services/runtime/error.h"
#include "services/syncml/codec.h"

namespace virmo::dm_bridge {
namespace {

using syncml::Command;
using syncml::CommandKind;
using syncml::Encoding;
using syncml::Message;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Every message goes through the codec, as over the wire.
class SessionObjectTest : public SessionTest, public ::testing::WithParamInterface<Encoding> {
 protected:
  SessionObjectTest() {
    settings_.encoding = GetParam();
    settings_.max_object_bytes = 5000;
  }

  Message OverWire(const Message& message) const {
    const auto read = syncml::Decode(syncml::Encode(message, GetParam()), GetParam());
    EXPECT_TRUE(read.ok()) << read.status();
    return read.value_or(Message());
  }
  Message Say(const Message& message) { return OverWire(Answer(OverWire(message))); }

  static Command Chunk(const std::string& uri, const std::string& data, bool more,
                       std::optional<int64_t> size = std::nullopt,
                       const std::string& format = "chr") {
    Command command = ServerMessage::MakeCommand(CommandKind::kReplace, uri, data, format);
    command.items[0].more_data = more;
    command.items[0].meta.size = size;
    return command;
  }
  static std::vector<std::string> AlertsOf(const Message& message) {
    std::vector<std::string> codes;
    for (const Command& alert : CommandsOf(message, CommandKind::kAlert)) {
      codes.push_back(alert.data);
    }
    return codes;
  }
};

TEST_P(SessionObjectTest, ChunksAreBufferedAndTheWholeIsCarriedOutOnce) {
  const std::string first(2000, 'a');
  const std::string second(2000, 'b');
  Message message = Say(Good(Begin()).Add(Chunk("./T/Secret", first, true, 4005)).NotFinal());
  EXPECT_THAT(StatusesOf(message), ElementsAre("SyncHdr 0 212", "Replace 4 213"));
  EXPECT_THAT(AlertsOf(message), ElementsAre("1222"));
  EXPECT_FALSE(message.final);
  message = Say(ServerMessage(message, 200).Add(Chunk("./T/Secret", second, true)).NotFinal());
  EXPECT_THAT(StatusesOf(message), ElementsAre("SyncHdr 0 200", "Replace 3 213"));
  EXPECT_EQ(test_.values.count("./T/Secret"), 0u);

  message = Say(ServerMessage(message, 200)
                    .Add(Chunk("./T/Secret", "<&]>x", false))
                    .Do(CommandKind::kGet, "./T/Flag"));
  EXPECT_THAT(StatusesOf(message), ElementsAre("SyncHdr 0 200", "Replace 3 200", "Get 4 200"));
  EXPECT_TRUE(message.final);
  EXPECT_EQ(test_.values["./T/Secret"], first + second + "<&]>x");
}

TEST_P(SessionObjectTest, Base64IsPutTogetherBeforeItIsDecoded) {
  const std::string octets("a\0\xff octets", 10);
  const std::string text = syncml::Base64Encode(octets);
  Message message = Say(Good(Begin())
                            .Add(Chunk("./T/Octets", text.substr(0, 5), true,
                                       static_cast<int64_t>(text.size()), "b64"))
                            .NotFinal());
  message = Say(ServerMessage(message, 200)
                    .Add(Chunk("./T/Octets", text.substr(5), false, std::nullopt, "b64")));
  EXPECT_THAT(StatusesOf(message), ElementsAre("SyncHdr 0 200", "Replace 3 200"));
  EXPECT_EQ(test_.values["./T/Octets"], octets);
}

TEST_P(SessionObjectTest, AWrongSizeCommitsNothing) {
  Message message = Say(Good(Begin()).Add(Chunk("./T/Secret", "abc", true, 7)).NotFinal());
  message = Say(ServerMessage(message, 200).Add(Chunk("./T/Secret", "def", false)));
  EXPECT_THAT(StatusesOf(message), ElementsAre("SyncHdr 0 200", "Replace 3 424"));
  EXPECT_EQ(test_.values.count("./T/Secret"), 0u);
}

TEST_P(SessionObjectTest, AnotherCommandBeforeTheEndBreaksTheObjectOff) {
  Message message = Say(Good(Begin()).Add(Chunk("./T/Secret", "abc", true, 6)).NotFinal());
  message = Say(ServerMessage(message, 200).Do(CommandKind::kReplace, "./T/Number", "9", "int"));
  EXPECT_THAT(StatusesOf(message), ElementsAre("SyncHdr 0 200", "Replace 3 200"));
  ASSERT_THAT(AlertsOf(message), ElementsAre("1225"));
  EXPECT_EQ(CommandsOf(message, CommandKind::kAlert)[0].items[0].target->uri, "./T/Secret");
  EXPECT_EQ(test_.values["./T/Number"], "9");
  // What comes late is no object any more, but a value of its own.
  message = Say(ServerMessage(message, 200).Add(Chunk("./T/Secret", "def", false)));
  EXPECT_EQ(test_.values["./T/Secret"], "def");
}

TEST_P(SessionObjectTest, AServerThatFallsSilentInAnObjectHearsOfIt) {
  Message message = Say(Good(Begin()).Add(Chunk("./T/Secret", "abc", true, 6)).NotFinal());
  message = Say(ServerMessage(message, 200));
  EXPECT_THAT(AlertsOf(message), ElementsAre("1225"));
  EXPECT_TRUE(End(ServerMessage(message, 200)).outcome.ok());
  EXPECT_EQ(test_.values.count("./T/Secret"), 0u);
}

TEST_P(SessionObjectTest, WhatIsTooLargeIsRefusedAtOnceAndToItsLastChunk) {
  Message message = Say(Good(Begin()).Add(Chunk("./T/Secret", "abc", true, 5001)).NotFinal());
  EXPECT_THAT(StatusesOf(message), ElementsAre("SyncHdr 0 212", "Replace 4 413"));
  message = Say(ServerMessage(message, 200).Add(Chunk("./T/Secret", "def", false)));
  EXPECT_THAT(StatusesOf(message), ElementsAre("SyncHdr 0 200", "Replace 3 413"));
  // One that lied about its size, and one that came whole.
  message = Say(ServerMessage(message, 200)
                    .Add(Chunk("./T/Secret", std::string(3000, 'x'), true, 10))
                    .NotFinal());
  message = Say(ServerMessage(message, 200)
                    .Add(Chunk("./T/Secret", std::string(3000, 'x'), true))
                    .NotFinal());
  EXPECT_THAT(StatusesOf(message), ElementsAre("SyncHdr 0 200", "Replace 3 413"));
  message = Say(ServerMessage(message, 200).Add(Chunk("./T/Secret", "", false)));
  message =
      Say(ServerMessage(message, 200).Add(Chunk("./T/Secret", std::string(5001, 'x'), false)));
  EXPECT_THAT(StatusesOf(message), ElementsAre("SyncHdr 0 200", "Replace 2 413"));
  EXPECT_EQ(test_.values.count("./T/Secret"), 0u);
}

// The device's objects, as the server puts them together.
class SentObjectTest : public SessionObjectTest {
 protected:
  // Gets `uri` with a small MaxMsgSize, checks each message, and returns what came.
  std::string Fetch(const std::string& uri, std::string* format) {
    Message message = Say(Good(Begin())
                              .MaxMsgSize(2500)
                              .Do(CommandKind::kGet, uri)
                              .Do(CommandKind::kGet, "./T/Flag"));
    std::string data;
    std::optional<int64_t> size;
    bool more = true;
    for (messages_ = 1; messages_ < 100; ++messages_) {
      EXPECT_LE(syncml::Encode(message, GetParam()).size(), 2500u);
      for (const Command& results : CommandsOf(message, CommandKind::kResults)) {
        if (results.cmd_ref != "4") continue;
        EXPECT_EQ(results.items[0].source->uri, uri);
        if (results.items[0].meta.size) size = results.items[0].meta.size;
        data += *results.items[0].data;
        more = results.items[0].more_data;
        *format = std::string(syncml::FormatOf(results, results.items[0]));
        EXPECT_TRUE(!more || results == message.body.back());
        EXPECT_FALSE(more && message.final);
      }
      if (message.final) break;
      ServerMessage next(message, 200);
      message = Say(next.NotFinal());  // Its Status 213 and 200 alone ask for the rest.
    }
    EXPECT_FALSE(more);
    EXPECT_EQ(size, static_cast<int64_t>(data.size()));
    EXPECT_TRUE(End(ServerMessage(message, 200)).outcome.ok());
    return data;
  }
  int messages_ = 0;
};

TEST_P(SentObjectTest, AValueLargerThanAMessageGoesInChunks) {
  std::string text;
  for (int i = 0; i < 900; ++i) text += "ab<&\xc3\xa9>\"";
  test_.values["./T/Fixed"] = text;
  std::string format;
  EXPECT_EQ(Fetch("./T/Fixed", &format), text);
  EXPECT_GT(messages_, 3);
}

TEST_P(SentObjectTest, OctetsGoInChunksToo) {
  std::string octets;
  for (int i = 0; i < 6000; ++i) octets.push_back(static_cast<char>(i * 7));
  test_.values["./T/Octets"] = octets;
  std::string format;
  std::string data = Fetch("./T/Octets", &format);
  if (format == "b64") data = *syncml::Base64Decode(data);
  EXPECT_EQ(data, octets);
}

TEST_P(SentObjectTest, OneLargerThanTheServerTakesAnswers413) {
  test_.values["./T/Fixed"] = std::string(5000, 'x');
  const Message three =
      Say(Good(Begin()).MaxMsgSize(3000).MaxObjSize(4999).Do(CommandKind::kGet, "./T/Fixed"));
  EXPECT_THAT(StatusesOf(three), ElementsAre("SyncHdr 0 212", "Get 4 413"));
  EXPECT_THAT(CommandsOf(three, CommandKind::kResults), IsEmpty());
}

TEST_P(SentObjectTest, AServerThatRefusesAChunkIsSentNoMoreOfIt) {
  test_.values["./T/Fixed"] = std::string(9000, 'x');
  Message message = Say(Good(Begin()).MaxMsgSize(2500).Do(CommandKind::kGet, "./T/Fixed"));
  ServerMessage refusal(message, 200);
  const Command chunk = message.body.back();
  ASSERT_TRUE(chunk.items[0].more_data);
  refusal.Add(
      syncml::MakeStatus("9", message.header.msg_id, chunk, syncml::StatusCode::kEntityTooLarge));
  message = Say(refusal.NotFinal());
  EXPECT_THAT(CommandsOf(message, CommandKind::kResults), IsEmpty());
  EXPECT_TRUE(message.final);
}

TEST_P(SentObjectTest, AlertsAreSpreadOverTheMessagesOfPackageOneThatTheServerTakes) {
  for (int i = 0; i < 40; ++i) host_.Raise(absl::StrCat("a", i));
  settings_.transport_authenticates_server = false;
  Message message = OverWire(Begin());
  EXPECT_TRUE(message.final);  // The server has not said what it takes.
  for (int i = 40; i < 80; ++i) host_.Raise(absl::StrCat("a", i));
  message = Say(Good(message).MaxMsgSize(3000).Do(CommandKind::kGet, "./T/Flag"));
  size_t alerts = 0;
  for (int i = 0; i < 50 && !message.final; ++i) {
    EXPECT_LE(syncml::Encode(message, GetParam()).size(), 3000u);
    alerts += CommandsOf(message, CommandKind::kAlert).size();
    message = Say(ServerMessage(message, 200).Alert("1222").NotFinal());
  }
  alerts += CommandsOf(message, CommandKind::kAlert).size();
  EXPECT_EQ(alerts, 40u);
  EXPECT_TRUE(End(ServerMessage(message, 200)).outcome.ok());
  EXPECT_EQ(host_.answered.size(), 80u);
}

INSTANTIATE_TEST_SUITE_P(Encodings, SessionObjectTest,
                         ::testing::Values(Encoding::kXml, Encoding::kWbxml),
                         [](const auto& instance) {
                           return instance.param == Encoding::kXml ? "Xml" : "Wbxml";
                         });
INSTANTIATE_TEST_SUITE_P(Encodings, SentObjectTest,
                         ::testing::Values(Encoding::kXml, Encoding::kWbxml),
                         [](const auto& instance) {
                           return instance.param == Encoding::kXml ? "Xml" : "Wbxml";
                         });

}  // namespace
}  // namespace virmo::dm_bridge
