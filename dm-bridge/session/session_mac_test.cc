// SPDX-License-Identifier: Apache-2.0
// auth-MAC, basic and the transport as proof; nonces as octets.
#include <random>

#include "dm-bridge/session/session.h"
#include "dm-bridge/testing/session_fixture.h"
#include "services/runtime/error.h"
#include "services/syncml/codec.h"
#include "services/syncml/credential.h"

namespace virmo::dm_bridge {
namespace {

using syncml::AuthType;
using syncml::CommandKind;
using syncml::Encoding;
using syncml::Message;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A server that signs the octets of each message.
class SessionMacTest : public SessionTest, public ::testing::WithParamInterface<Encoding> {
 protected:
  SessionMacTest() {
    settings_.account.set_authentication("HMAC");
    settings_.encoding = GetParam();
  }

  // The MAC of the device's message is right for `nonce`, over the octets of this encoding.
  void ExpectMac(const SessionStep& step, const std::string& nonce) {
    ASSERT_TRUE(step.message.has_value()) << step.outcome;
    ASSERT_TRUE(step.mac_key.has_value());
    EXPECT_EQ(step.mac_key->nonce, nonce);
    EXPECT_EQ(step.mac_key->identity.user, step.message->header.source.name);
    EXPECT_FALSE(step.message->header.cred.has_value());
    const std::string body = syncml::Encode(*step.message, GetParam());
    EXPECT_EQ(syncml::MakeHmacHeader(step.mac_key->identity, step.mac_key->nonce, body).mac,
              syncml::MacDigest("vm-device-01", "devsecret", nonce, body));
  }
  SessionStep Signed(const Message& message, const std::string& nonce,
                     const std::string& tampering = "", const std::string& user = "virmo-server") {
    const std::string body = syncml::Encode(message, GetParam());
    const std::string mac = syncml::MacDigest("virmo-server", "srvsecret", nonce, body);
    const std::string hmac =
        syncml::FormatHmacHeader({.algorithm = "MD5", .username = user, .mac = mac});
    const std::string received = body + tampering;
    return session_->Receive(*syncml::Decode(body, GetParam()),
                             {.entity = received, .body = received, .hmac = hmac});
  }
  static ServerMessage Next(const Message& request, const std::string& nonce) {
    ServerMessage message(request, 200);
    message.message().body.front().chal = syncml::MakeChallenge(nonce, AuthType::kMac);
    return message;
  }
  static std::string NonceOf(const SessionStep& step) {
    return syncml::NextNonceOf(step.message->body[0].chal).value_or("none");
  }
  SessionStep Start() {
    session_.emplace(settings_, test_.tree(), host_);
    return session_->Start();
  }
};

TEST_P(SessionMacTest, EveryMessageIsSignedWithAFreshNonceBothWaysAndAccepted200) {
  SessionStep step = Start();
  ExpectMac(step, kClientNonce);
  std::string server_nonce = kServerNonce;
  for (int i = 0; i < 5; ++i) {
    const std::string next(16, static_cast<char>(i));
    step = Signed(Next(*step.message, next).Do(CommandKind::kGet, "./T/Flag"), server_nonce);
    ExpectMac(step, next);
    EXPECT_EQ(StatusesOf(*step.message)[0], "SyncHdr 0 200");
    EXPECT_EQ(syncml::AuthTypeOf(*step.message->body[0].chal), AuthType::kMac);
    EXPECT_NE(NonceOf(step), server_nonce);
    server_nonce = NonceOf(step);
  }
  step = Signed(Next(*step.message, "the last nonce.."), server_nonce);
  EXPECT_TRUE(step.outcome.ok()) << step.outcome;
  EXPECT_EQ(host_.saved.back().client, "the last nonce..");
  EXPECT_THAT(host_.saved.back().server, ElementsAre(server_nonce));
}

TEST_P(SessionMacTest, AMessageThatWasChangedOrIsOldOrUnsignedIsNotActedUpon) {
  const auto refused = [&](const SessionStep& step, const std::string& code) {
    ASSERT_TRUE(step.message.has_value()) << step.outcome;
    EXPECT_THAT(StatusesOf(*step.message), ElementsAre("SyncHdr 0 " + code, "Exec 4 " + code));
    EXPECT_EQ(syncml::AuthTypeOf(*step.message->body[0].chal), AuthType::kMac);
    EXPECT_THAT(test_.execs, IsEmpty());
    EXPECT_THAT(host_.saved, IsEmpty());
  };
  const auto two = [&](const SessionStep& step) {
    return Next(*step.message, "nonce").Exec("./T/Run", "c");
  };
  refused(Signed(two(Start()), kServerNonce, " "), "401");
  refused(Signed(two(Start()), "an old nonce"), "401");
  refused(Signed(two(Start()), kServerNonce, "", "somebody"), "401");
  refused(session_->Receive(two(Start())), "407");
}

TEST_P(SessionMacTest, AServerThatSignedOnceMustSignOn) {
  SessionStep step = Start();
  step = Signed(Next(*step.message, "n2").Do(CommandKind::kGet, "./T/Flag"), kServerNonce);
  const std::string offered = NonceOf(step);
  // With the nonce of before.
  step = Signed(Next(*step.message, "n3").Exec("./T/Run", "c"), kServerNonce);
  EXPECT_EQ(StatusesOf(*step.message)[0], "SyncHdr 0 401");
  // By md5, though it was challenged for a MAC.
  ServerMessage md5 = Next(*step.message, "n4");
  md5.Cred(syncml::Md5Digest("virmo-server", "srvsecret", NonceOf(step))).Exec("./T/Run", "c");
  step = session_->Receive(md5);
  EXPECT_EQ(ReasonOf(step.outcome), v1::ErrorInfo::REASON_UNAUTHENTICATED);
  EXPECT_THAT(test_.execs, IsEmpty());
}

TEST_P(SessionMacTest, AChallengeForAMacIsAnsweredByOneWhateverTheAccountPrefers) {
  settings_.account.set_authentication("DIGEST");
  SessionStep step = Start();
  EXPECT_TRUE(step.message->header.cred.has_value());
  EXPECT_FALSE(step.mac_key.has_value());
  ServerMessage challenge(*step.message, 401, 401);
  challenge.message().body.front().chal = syncml::MakeChallenge("fresh", AuthType::kMac);
  ExpectMac(session_->Receive(challenge), "fresh");
}

INSTANTIATE_TEST_SUITE_P(Encodings, SessionMacTest,
                         ::testing::Values(Encoding::kXml, Encoding::kWbxml),
                         [](const auto& instance) {
                           return instance.param == Encoding::kXml ? "Xml" : "Wbxml";
                         });

TEST_F(SessionTest, BasicIsForTlsAndOnlyIfTheAccountSaysSo) {
  settings_.account.set_authentication("BASIC");
  settings_.transport_authenticates_server = true;
  const Message one = Begin();
  ASSERT_TRUE(one.header.cred.has_value());
  EXPECT_EQ(one.header.cred->data, syncml::Base64Encode("vm-device-01:devsecret"));
  ServerMessage two(one);
  two.message().header.cred = syncml::MakeBasicCred("virmo-server", "srvsecret");
  EXPECT_THAT(StatusesOf(Answer(two.Exec("./T/Run", "c"))),
              ElementsAre("SyncHdr 0 212", "Exec 4 202"));

  settings_.transport_authenticates_server = false;
  EXPECT_FALSE(Begin().header.cred.has_value());
  ServerMessage challenge(Begin(), 401, 401);
  challenge.message().body.front().chal = syncml::MakeChallenge("", AuthType::kBasic);
  EXPECT_EQ(ReasonOf(End(challenge).outcome), v1::ErrorInfo::REASON_UNAUTHENTICATED);

  settings_.account.set_authentication("DIGEST");
  settings_.transport_authenticates_server = true;
  ServerMessage tempting(Begin(), 401, 401);
  tempting.message().body.front().chal = syncml::MakeChallenge("", AuthType::kBasic);
  EXPECT_EQ(ReasonOf(End(tempting).outcome), v1::ErrorInfo::REASON_UNAUTHENTICATED);
}

TEST_F(SessionTest, WithMutualTlsNoCredentialsAreSentAndNoneAreNeeded) {
  settings_.account.set_authentication("TRANSPORT");
  settings_.account.clear_server_secret();
  settings_.transport_authenticates_server = true;
  const Message one = Begin();
  EXPECT_FALSE(one.header.cred.has_value());
  EXPECT_THAT(StatusesOf(Answer(ServerMessage(one, 212).Exec("./T/Run", "c"))),
              ElementsAre("SyncHdr 0 200", "Exec 4 202"));
}

TEST_F(SessionTest, AServerMayBeWrongOnceAfterItWasAskedAndNoMore) {
  Message message = Answer(ServerMessage(Begin()).Exec("./T/Run", "c"));
  EXPECT_EQ(StatusesOf(message)[0], "SyncHdr 0 407");
  message = Answer(ServerMessage(message, 200).Cred("wrong").Exec("./T/Run", "c"));
  EXPECT_EQ(StatusesOf(message)[0], "SyncHdr 0 401");
  const SessionStep step = End(ServerMessage(message, 200).Cred("wrong").Exec("./T/Run", "c"));
  EXPECT_EQ(ReasonOf(step.outcome), v1::ErrorInfo::REASON_UNAUTHENTICATED);
  EXPECT_THAT(test_.execs, IsEmpty());
  EXPECT_THAT(host_.saved, IsEmpty());
}

// Nonces are octets: NUL, invalid UTF-8, white space and colons among them.
TEST_F(SessionTest, AnyNonceProvesBothSides) {
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    std::string nonces[2];
    for (std::string& nonce : nonces) {
      for (size_t size = random() % 24 + 1; nonce.size() < size;) {
        nonce.push_back(i % 3 == 0 ? " \t\r\n:\0"[random() % 6] : static_cast<char>(random()));
      }
    }
    settings_.encoding = i % 2 == 0 ? Encoding::kXml : Encoding::kWbxml;
    settings_.nonces = {"stale", {kServerNonce}};
    ServerMessage refusal(Begin(), 401, 401);
    refusal.Chal(nonces[0]);
    const Message sent =
        *syncml::Decode(syncml::Encode(refusal, settings_.encoding), settings_.encoding);
    const Message again = Answer(sent);
    EXPECT_EQ(DigestOf(again), syncml::Md5Digest("vm-device-01", "devsecret", nonces[0]));
    EXPECT_TRUE(End(Good(again).Chal(nonces[1])).outcome.ok());
    EXPECT_EQ(host_.saved.back().client, nonces[1]);
    settings_.nonces = {std::nullopt, {nonces[1]}};
    ServerMessage two(Begin());
    two.Cred(syncml::Md5Digest("virmo-server", "srvsecret", nonces[1]));
    EXPECT_TRUE(End(two).outcome.ok());
  }
}

}  // namespace
}  // namespace virmo::dm_bridge
