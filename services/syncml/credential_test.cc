// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/credential.h"

#include <gtest/gtest.h>

#include "services/syncml/codec.h"
#include "services/syncml/sample_messages.h"

namespace virmo::syncml {
namespace {

// Nonces 01..10 and 11..20 (hex) of the worked vectors.
std::string Octets(int first) {
  std::string octets;
  for (int i = 0; i < 16; ++i) octets.push_back(static_cast<char>(first + i));
  return octets;
}

Identity Device() { return MakeIdentity("vm-device-01", "devsecret"); }

constexpr absl::string_view kBody = "<SyncML xmlns='SYNCML:SYNCML1.2'/>";

TEST(ChallengeTest, CarriesTypeAndNonceAsText) {
  const Chal chal = MakeChallenge(Octets(0x11), AuthType::kMac);
  EXPECT_EQ(chal.meta.format, "b64");
  EXPECT_EQ(chal.meta.type, "syncml:auth-MAC");
  EXPECT_EQ(chal.meta.next_nonce, "ERITFBUWFxgZGhscHR4fIA==");
  EXPECT_EQ(AuthTypeOf(chal), AuthType::kMac);
  EXPECT_EQ(NextNonceOf(chal), Octets(0x11));
  EXPECT_EQ(AuthTypeOf(MakeChallenge(Octets(1))), AuthType::kMd5);
}

TEST(ChallengeTest, OfBasicHasNoNonce) {
  const Chal chal = MakeChallenge("", AuthType::kBasic);
  EXPECT_EQ(chal.meta.type, "syncml:auth-basic");
  EXPECT_FALSE(NextNonceOf(chal));
}

TEST(ChallengeTest, ANonceThatIsNoBase64IsNone) {
  EXPECT_FALSE(NextNonceOf(std::nullopt));
  EXPECT_FALSE(NextNonceOf(Chal{}));
  EXPECT_FALSE(NextNonceOf(Chal{.meta = {.next_nonce = "not base64"}}));
  EXPECT_EQ(NextNonceOf(Chal{.meta = {.next_nonce = " AAEC\r\n"}}), std::string("\0\1\2", 3));
}

// Nonces are octets, not text: each must come through both encodings.
TEST(ChallengeTest, AnyNonceSurvivesBothEncodings) {
  for (int first = 0; first < 256; first += 5) {
    Message message;
    message.body = {MakeHeaderStatus("1", message.header, StatusCode::kInvalidCredentials)};
    message.body[0].chal = MakeChallenge(Octets(first));
    for (const Encoding encoding : {Encoding::kXml, Encoding::kWbxml}) {
      const auto read = Decode(Encode(message, encoding), encoding);
      ASSERT_TRUE(read.ok()) << read.status();
      EXPECT_EQ(NextNonceOf(read->body[0].chal), Octets(first)) << first;
    }
  }
}

TEST(AuthTypeTest, IsReadWithoutRegardToCaseAndWhiteSpace) {
  EXPECT_EQ(ParseAuthType(" syncml:auth-mac\n"), AuthType::kMac);
  EXPECT_EQ(ParseAuthType("SYNCML:AUTH-MD5"), AuthType::kMd5);
  EXPECT_FALSE(ParseAuthType("syncml:auth-sha256"));
  EXPECT_FALSE(ParseAuthType(""));
}

TEST(AuthTypeTest, OfCredentialsWithoutOneIsBasicAndOfAChallengeNone) {
  EXPECT_EQ(AuthTypeOf(Cred{.data = "QnJ1Y2UyOk9oQmVoYXZl"}), AuthType::kBasic);
  EXPECT_FALSE(AuthTypeOf(Cred{.meta = {.type = "other"}}));
  EXPECT_FALSE(AuthTypeOf(Chal{}));
}

TEST(CredentialTest, Md5FitsTheVectorsAndNothingElse) {
  const Cred cred = MakeMd5Cred(Device(), Octets(1));
  EXPECT_EQ(cred.data, "28VEUorkC0Iy6PUWFw5OKQ==");
  EXPECT_EQ(cred.meta.type, "syncml:auth-md5");
  EXPECT_EQ(cred.meta.format, "b64");

  EXPECT_TRUE(Proves(cred, Device(), Octets(1)));
  EXPECT_FALSE(Proves(cred, Device(), Octets(2)));
  EXPECT_FALSE(Proves(cred, MakeIdentity("vm-device-02", "devsecret"), Octets(1)));
  EXPECT_FALSE(Proves(cred, MakeIdentity("vm-device-01", "other"), Octets(1)));
}

TEST(CredentialTest, Md5OverTheNoncesTextOrNoNonceIsRefused) {
  Cred cred = MakeMd5Cred(Device(), Octets(1));
  cred.data = "L5gOSHQO/TL4Xj1uIQGqSQ==";  // base64 text hashed as the nonce
  EXPECT_FALSE(Proves(cred, Device(), Octets(1)));
  cred.data = "/dnDGNPGd1mpld9YeCFnGA==";  // an empty nonce
  EXPECT_FALSE(Proves(cred, Device(), Octets(1)));
  EXPECT_TRUE(Proves(cred, Device(), ""));
  cred.data.clear();
  EXPECT_FALSE(Proves(cred, Device(), Octets(1)));
}

TEST(CredentialTest, BasicFitsTheVectorWhateverTheNonce) {
  const Cred cred = MakeBasicCred("Bruce2", "OhBehave");
  EXPECT_EQ(cred.data, "QnJ1Y2UyOk9oQmVoYXZl");
  EXPECT_TRUE(Proves(cred, MakeIdentity("Bruce2", "OhBehave"), ""));
  EXPECT_TRUE(Proves(cred, MakeIdentity("Bruce2", "OhBehave"), "Nonce"));
  EXPECT_FALSE(Proves(cred, MakeIdentity("Bruce2", "OhBehavE"), ""));
  EXPECT_FALSE(Proves(cred, MakeIdentity("Bruce3", "OhBehave"), ""));
}

TEST(CredentialTest, AColonCannotMoveFromPasswordToUser) {
  EXPECT_FALSE(Proves(MakeBasicCred("a", "b:c"), MakeIdentity("a:b", "c"), ""));
}

TEST(CredentialTest, WhatIsNoBasicPairProvesNobody) {
  Cred cred = MakeBasicCred("", "");
  EXPECT_TRUE(Proves(cred, MakeIdentity("", ""), ""));
  cred.data = "not base64";
  EXPECT_FALSE(Proves(cred, MakeIdentity("", ""), ""));
}

TEST(CredentialTest, AMacOrUnknownTypeInACredProvesNobody) {
  for (const char* type : {"syncml:auth-MAC", "syncml:auth-none", ""}) {
    Cred cred = MakeMd5Cred(Device(), Octets(1));
    cred.meta.type = type;
    EXPECT_FALSE(Proves(cred, Device(), Octets(1))) << type;
  }
}

TEST(MacTest, FitsTheVector) {
  const HmacHeader header = MakeHmacHeader(Device(), Octets(1), kBody);
  EXPECT_EQ(FormatHmacHeader(header),
            "algorithm=MD5, username=\"vm-device-01\", mac=mn118Js0z/nbNRWt/X3Hkw==");
  EXPECT_TRUE(Proves(header, Device(), Octets(1), kBody));
}

TEST(MacTest, HoldsForTheseOctetsThisNonceAndThisUserOnly) {
  const HmacHeader header = MakeHmacHeader(Device(), Octets(1), kBody);
  EXPECT_FALSE(Proves(header, Device(), Octets(2), kBody));
  EXPECT_FALSE(Proves(header, Device(), Octets(1), std::string(kBody) + "\n"));
  EXPECT_FALSE(Proves(header, MakeIdentity("vm-device-01", "other"), Octets(1), kBody));
  HmacHeader other = header;
  other.username = "vm-device-02";
  EXPECT_FALSE(Proves(other, Device(), Octets(1), kBody));
  other = header;
  other.mac.clear();
  EXPECT_FALSE(Proves(other, Device(), Octets(1), kBody));
}

TEST(MacTest, AnRfc2104HmacIsNotAccepted) {
  // HMAC-MD5 with key "devsecret" over the body, as one known server computes it.
  HmacHeader header = {.username = "vm-device-01", .mac = "qpuLVJdDbE1oxzbnEm7+yw=="};
  EXPECT_FALSE(Proves(header, Device(), Octets(1), kBody));
}

}  // namespace
}  // namespace virmo::syncml
