// SPDX-License-Identifier: Apache-2.0
// How devices and the server prove themselves to one another.
#include "services/server/dm/authenticator.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/server/testing/session_fixture.h"

namespace virmo::server {
namespace {

using ::testing::HasSubstr;
using testing::HeaderStatus;
using ::testing::Values;

class AuthenticatorTest : public SessionFixture,
                          public ::testing::WithParamInterface<syncml::Encoding> {
 protected:
  AuthenticatorTest() {
    device_.encoding = GetParam();
    SetState(30);
  }

  absl::Status Run() {
    device_.Begin(absl::StrCat(++session_));
    return device_.RunSession();
  }
  void OverTls(std::vector<std::string> certificate_names) {
    fleet_.change_request = [certificate_names](DmRequest& request) {
      request.over_tls = true;
      request.certificate_names = certificate_names;
    };
  }
  int FirstStatus() { return HeaderStatus(*device_.Send(device_.Package1())); }
  syncml::AuthType ChallengeType() {
    return *syncml::AuthTypeOf(*device_.received.back().body[0].chal);
  }
};

INSTANTIATE_TEST_SUITE_P(Encodings, AuthenticatorTest,
                         Values(syncml::Encoding::kXml, syncml::Encoding::kWbxml));

TEST_P(AuthenticatorTest, TakesMacsOnEveryMessageAndAnswersInKind) {
  device_.auth = syncml::AuthType::kMac;
  const std::string id = QueueStart();

  ASSERT_TRUE(Run().ok());

  EXPECT_EQ(Get(id).state(), Command::STATE_CONFIRMED);
  ASSERT_GT(device_.received.size(), 2u);
  for (const auto& message : device_.received) {
    EXPECT_EQ(HeaderStatus(message), 200);  // Never 212: each proves itself.
    EXPECT_TRUE(message.body[0].chal);
    EXPECT_FALSE(message.header.cred);
  }
  EXPECT_TRUE(Run().ok());  // With the nonce of the last answer.
}

TEST_P(AuthenticatorTest, ChallengesAWrongMacByMac) {
  device_.auth = syncml::AuthType::kMac;
  device_.client_nonce = "stale";

  EXPECT_EQ(FirstStatus(), 401);
  EXPECT_EQ(ChallengeType(), syncml::AuthType::kMac);
  EXPECT_EQ(FirstStatus(), 200);
}

TEST_P(AuthenticatorTest, RefusesAMacOverOtherOctets) {
  device_.auth = syncml::AuthType::kMac;
  // Another version, as legal as the first.
  fleet_.change_request = [](DmRequest& request) {
    const size_t at = request.octets.find("DM/1.3");
    request.octets[at + 5] = '2';
  };

  EXPECT_EQ(FirstStatus(), 401);
}

TEST_P(AuthenticatorTest, EndsMacsOnlyWithTheSession) {
  device_.auth = syncml::AuthType::kMac;
  const auto answer = *device_.Send(device_.Package1());
  device_.with_credentials = false;

  EXPECT_EQ(HeaderStatus(*device_.Send(device_.Reply(answer))), 407);
}

TEST_P(AuthenticatorTest, SwitchesToMacWhenTheDeviceAsksForIt) {
  const auto answer = *device_.Send(device_.Package1());
  auto reply = device_.Reply(answer);
  device_.server_nonce = "0123456789abcdef";
  reply.body[0].data = "401";
  reply.body[0].chal = syncml::MakeChallenge(device_.server_nonce, syncml::AuthType::kMac);
  const auto next = *device_.Send(reply);

  EXPECT_FALSE(next.header.cred);
  EXPECT_TRUE(device_.server_mac_right);
}

TEST_P(AuthenticatorTest, TakesBasicOverTlsWhereAllowedOnly) {
  device_.auth = syncml::AuthType::kBasic;
  EXPECT_EQ(FirstStatus(), 401);
  EXPECT_EQ(ChallengeType(), syncml::AuthType::kMd5);
  fleet_.options.allow_basic = true;
  fleet_.Restart();
  device_.Begin("plain");
  EXPECT_EQ(FirstStatus(), 401);
  OverTls({});

  device_.Begin("tls");
  EXPECT_EQ(FirstStatus(), 212);
}

TEST_P(AuthenticatorTest, RefusesBasicWithAWrongPassword) {
  fleet_.options.allow_basic = true;
  fleet_.Restart();
  OverTls({});
  device_.auth = syncml::AuthType::kBasic;
  device_.account.set_client_secret("guess");

  EXPECT_EQ(FirstStatus(), 401);
  EXPECT_EQ(ChallengeType(), syncml::AuthType::kBasic);
}

TEST_P(AuthenticatorTest, EndsTheSessionOfWhoAnswersAChallengeByBasic) {
  fleet_.options.allow_basic = true;
  fleet_.Restart();
  OverTls({});
  device_.client_nonce = "stale";
  ASSERT_EQ(FirstStatus(), 401);
  device_.auth = syncml::AuthType::kBasic;

  EXPECT_EQ(FirstStatus(), 401);
  const auto rows = *fleet_.database().Query("SELECT COUNT(*) FROM dm_session WHERE ended = 0");
  EXPECT_EQ(rows[0].Int(0), 0);
}

TEST_P(AuthenticatorTest, ChallengesOnceAndOnceMore) {
  device_.account.set_client_secret("guess");

  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(FirstStatus(), 401);
    EXPECT_TRUE(device_.received.back().body[0].chal);
  }
  const auto rows = *fleet_.database().Query("SELECT COUNT(*) FROM dm_session WHERE ended = 0");
  EXPECT_EQ(rows[0].Int(0), 0);
}

TEST_P(AuthenticatorTest, TakesACertificateThatNamesTheDevice) {
  device_.with_credentials = false;
  OverTls({"edge-1"});
  EXPECT_EQ(FirstStatus(), 212);
  OverTls({device_.account.device_uri()});
  device_.Begin("2");
  EXPECT_EQ(FirstStatus(), 212);

  OverTls({"edge-2"});
  device_.Begin("3");
  EXPECT_EQ(FirstStatus(), 407);
}

TEST_P(AuthenticatorTest, RemembersGuessesAcrossRestartsAndDoublesTheWait) {
  const std::string secret = device_.account.client_secret();
  device_.account.set_client_secret("guess");
  for (int i = 0; i < 10; ++i) {
    device_.Begin(absl::StrCat("g", i));
    ASSERT_EQ(FirstStatus(), 401);
  }
  device_.account.set_client_secret(secret);
  fleet_.Restart();
  fleet_.now += absl::Seconds(29);
  EXPECT_TRUE(absl::IsUnavailable(device_.Send(device_.Package1()).status()));
  EXPECT_THAT(fleet_.devices().Get("edge-1")->last_session_error(), HasSubstr("locked out"));
  fleet_.now += absl::Seconds(2);
  device_.account.set_client_secret("guess");
  device_.Begin("again");
  ASSERT_EQ(FirstStatus(), 401);  // Challenged without being looked at.
  ASSERT_EQ(FirstStatus(), 401);
  fleet_.now += absl::Seconds(31);
  EXPECT_TRUE(absl::IsUnavailable(device_.Send(device_.Package1()).status()));  // 60 s now.
  fleet_.now += absl::Seconds(30);
  device_.account.set_client_secret(secret);

  EXPECT_TRUE(Run().ok());
  EXPECT_EQ(fleet_.database().Query("SELECT COUNT(*) FROM lockout")->at(0).Int(0), 0);
}

TEST_P(AuthenticatorTest, IsNotLockedOutByStrangersIfItHoldsACertificate) {
  ScriptedDevice stranger = device_;
  stranger.account.set_client_secret("guess");
  for (int i = 0; i < 11; ++i) {
    stranger.Begin(absl::StrCat("g", i));
    (void)stranger.Send(stranger.Package1());
  }
  EXPECT_TRUE(absl::IsUnavailable(device_.Send(device_.Package1()).status()));
  OverTls({"edge-1"});

  EXPECT_TRUE(Run().ok());
}

TEST_P(AuthenticatorTest, GoesOnWithADeviceThatIgnoresRespUriIfEachMessageProvesItself) {
  device_.use_resp_uri = false;
  const std::string id = QueueStart();
  auto answer = *device_.Send(device_.Package1());
  for (int i = 0; i < 10 && answer.body.size() > 1; ++i) {
    auto reply = device_.Reply(answer);
    reply.header.cred = device_.Package1().header.cred;
    answer = *device_.Send(reply);
    ASSERT_EQ(HeaderStatus(answer), 212);
  }

  EXPECT_EQ(Get(id).state(), Command::STATE_CONFIRMED);
  EXPECT_EQ(Get(id).attempts(), 1);
}

TEST_P(AuthenticatorTest, KeepsSecretsOutOfWhatIsStored) {
  device_.auth = syncml::AuthType::kMac;
  ASSERT_TRUE(Run().ok());

  for (const char* table : {"dm_session", "device"}) {
    const auto rows = *fleet_.database().Query(absl::StrCat("SELECT * FROM ", table));
    for (const auto& row : rows) {
      for (size_t i = 0; i < 7; ++i) {
        EXPECT_FALSE(absl::StrContains(row.Text(i), device_.account.client_secret()));
        EXPECT_FALSE(absl::StrContains(row.Text(i), device_.account.server_secret()));
      }
    }
  }
}

}  // namespace
}  // namespace virmo::server
