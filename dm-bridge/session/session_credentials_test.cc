// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/session/session.h"

#include "dm-bridge/testing/session_fixture.h"
#include "services/runtime/error.h"

namespace virmo::dm_bridge {
namespace {

using syncml::CommandKind;
using syncml::Message;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Authentication of the client.

TEST_F(SessionTest, AChallengeIsAnsweredFromPackageOneOnAndWrongCredentialsGetOneMore) {
  settings_.nonces.client.reset();
  host_.Raise("a");
  const Message one = Begin();
  EXPECT_FALSE(one.header.cred.has_value());
  const Message again = Answer(ServerMessage(one, 407, 407).Chal(kClientNonce));
  EXPECT_EQ(again.header.msg_id, "2");
  EXPECT_EQ(again.header.session_id, "1F");
  EXPECT_EQ(DigestOf(again), kClientDigest);
  EXPECT_THAT(again.body, ::testing::SizeIs(3));
  EXPECT_THAT(host_.answered, IsEmpty());

  const Message more = Answer(ServerMessage(again, 401, 401).Chal("other nonce 1234"));
  EXPECT_EQ(DigestOf(more), syncml::Md5Digest("vm-device-01", "devsecret", "other nonce 1234"));
  const SessionStep step = End(ServerMessage(more, 401, 401).Chal("third nonce 5678"));
  EXPECT_EQ(ReasonOf(step.outcome), v1::ErrorInfo::REASON_UNAUTHENTICATED);
  EXPECT_THAT(host_.saved, IsEmpty());
}

TEST_F(SessionTest, AStaleNonceIsHealedByTheChallenge) {
  settings_.nonces.client = "stale";
  const Message one = Begin();
  EXPECT_NE(DigestOf(one), kClientDigest);
  const Message again = Answer(ServerMessage(one, 401, 401).Chal(kClientNonce));
  EXPECT_EQ(DigestOf(again), kClientDigest);
  EXPECT_TRUE(End(Good(again)).outcome.ok());
  ASSERT_FALSE(host_.saved.empty());
  EXPECT_EQ(host_.saved.back().client, kClientNonce);
}

TEST_F(SessionTest, AChallengeForOtherCredentialsEndsTheSession) {
  ServerMessage refusal(Begin(), 401, 401);
  refusal.Chal(kClientNonce);
  refusal.message().body.front().chal->meta.type = std::string(syncml::kAuthBasic);
  EXPECT_EQ(ReasonOf(End(refusal).outcome), v1::ErrorInfo::REASON_UNAUTHENTICATED);

  EXPECT_EQ(ReasonOf(End(ServerMessage(Begin(), 401, 401)).outcome),
            v1::ErrorInfo::REASON_UNAUTHENTICATED);
}

TEST_F(SessionTest, TheNextNonceIsKeptOnceTheServerProvedItself) {
  const Message one = Begin();
  EXPECT_TRUE(End(Good(one).Chal("next client nonc")).outcome.ok());
  ASSERT_EQ(host_.saved.size(), 1u);
  EXPECT_EQ(host_.saved[0].client, "next client nonc");
  EXPECT_THAT(host_.saved[0].server, ElementsAre(kServerNonce));
}

TEST_F(SessionTest, Status200MeansCredentialsInEveryMessage) {
  const Message one = Begin();
  ServerMessage two(one, 200);
  two.Cred(kServerDigest).Chal("per message nonc").Do(CommandKind::kGet, "./T/Flag");
  const Message three = Answer(two);
  EXPECT_EQ(DigestOf(three), syncml::Md5Digest("vm-device-01", "devsecret", "per message nonc"));
}

// Authentication of the server.

TEST_F(SessionTest, ACommandFromAnUnprovenServerIsChallengedAndNotCarriedOut) {
  const Message one = Begin();
  const Message three =
      Answer(ServerMessage(one).Exec("./T/Run", "c").Do(CommandKind::kGet, "./T"));
  EXPECT_THAT(StatusesOf(three), ElementsAre("SyncHdr 0 407", "Exec 4 407", "Get 5 407"));
  EXPECT_EQ(three.body.size(), 3u);
  EXPECT_THAT(test_.execs, IsEmpty());
  ASSERT_TRUE(three.body[0].chal.has_value());
  const std::string nonce = *syncml::Base64Decode(*three.body[0].chal->meta.next_nonce);
  EXPECT_EQ(nonce.size(), 16u);

  ServerMessage four(three, 200);
  four.Cred(syncml::Md5Digest("virmo-server", "srvsecret", nonce)).Exec("./T/Run", "c");
  const Message five = Answer(four);
  EXPECT_THAT(StatusesOf(five), ElementsAre("SyncHdr 0 212", "Exec 2 202"));
  EXPECT_EQ(test_.execs.size(), 1u);
  // The old nonce is good no more.
  ASSERT_FALSE(host_.saved.empty());
  EXPECT_EQ(host_.saved.back().server.size(), 2u);
  EXPECT_EQ(host_.saved.back().server[1], nonce);
}

TEST_F(SessionTest, WrongServerCredentialsTwiceEndTheSession) {
  const Message one = Begin();
  const Message three =
      Answer(ServerMessage(one).Cred("L5gOSHQO/TL4Xj1uIQGqSQ==").Exec("./T/Run", "c"));
  EXPECT_EQ(StatusesOf(three)[0], "SyncHdr 0 401");
  const SessionStep step =
      End(ServerMessage(three, 200).Cred(kServerDigest).Exec("./T/Run", "c"));  // A replay.
  EXPECT_EQ(ReasonOf(step.outcome), v1::ErrorInfo::REASON_UNAUTHENTICATED);
  EXPECT_THAT(test_.execs, IsEmpty());
  EXPECT_THAT(host_.saved, IsEmpty());
}

TEST_F(SessionTest, ASilentUnprovenServerCountsOnlyIfTlsShowedWhoItIs) {
  host_.Raise("a");
  EXPECT_EQ(ReasonOf(End(ServerMessage(Begin())).outcome), v1::ErrorInfo::REASON_UNAUTHENTICATED);
  EXPECT_THAT(host_.answered, IsEmpty());

  settings_.transport_authenticates_server = true;
  EXPECT_TRUE(End(ServerMessage(Begin())).outcome.ok());
  EXPECT_THAT(host_.answered, ElementsAre("a 200"));
}

TEST_F(SessionTest, OfTwoServerNoncesEitherIsGoodUntilTheNewOneIsKnownToHaveArrived) {
  const Message one = Begin();
  const Message three = Answer(Good(one).Do(CommandKind::kGet, "./T/Flag"));
  const std::string offered = *syncml::Base64Decode(*three.body[0].chal->meta.next_nonce);
  EXPECT_THAT(host_.saved.back().server, ElementsAre(offered, kServerNonce));
  EXPECT_TRUE(End(ServerMessage(three, 200)).outcome.ok());
  EXPECT_THAT(host_.saved.back().server, ElementsAre(offered));

  settings_.nonces.server = {offered, kServerNonce};
  const Message next = Begin();
  EXPECT_TRUE(End(Good(next)).outcome.ok());
}

TEST_F(SessionTest, AReplayedNonceIsRefused) {
  settings_.nonces.server = {"a newer nonce 16"};
  const Message three = Answer(Good(Begin()).Exec("./T/Run", "c"));
  EXPECT_THAT(StatusesOf(three), ElementsAre("SyncHdr 0 401", "Exec 4 401"));
  EXPECT_THAT(test_.execs, IsEmpty());
}

}  // namespace
}  // namespace virmo::dm_bridge
