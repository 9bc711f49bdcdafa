// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/notification.h"

#include <gtest/gtest.h>

#include "absl/strings/escaping.h"

namespace virmo::syncml {
namespace {

constexpr absl::string_view kSecret = "srvsecret";

std::string ServerNonce() { return absl::HexStringToBytes("1112131415161718191a1b1c1d1e1f20"); }

Notification Sample() {
  return {.version = 11, .ui_mode = 1, .session_id = 0x1F, .server_id = "virmo-server"};
}

std::string Hex(const absl::StatusOr<std::string>& octets) {
  return octets.ok() ? absl::BytesToHexString(*octets) : octets.status().ToString();
}

TEST(NotificationTest, FitsTheWorkedVector) {
  EXPECT_EQ(Hex(Encode(Sample(), kSecret, ServerNonce())),
            "f67377061b8093a81a4bd743432ae0eb"
            "02d8000000001f0c7669726d6f2d736572766572");
}

TEST(NotificationTest, FitsTheVectorsOfTheResyncNonces) {
  EXPECT_EQ(Hex(Encode(Sample(), kSecret, ResyncNonce())).substr(0, 32),
            "b521daa1a99e6cfd7fc47962c9fafc82");
  EXPECT_EQ(Hex(Encode(Sample(), kSecret, ResyncNonceAscii())).substr(0, 32),
            "4b9dd0ebeae0903ba606209bcfc39bd3");
}

TEST(NotificationTest, FitsTheVectorOfVersion12) {
  Notification notification = Sample();
  notification.version = 12;
  const std::string hex = Hex(Encode(notification, kSecret, ServerNonce()));
  EXPECT_EQ(hex.substr(0, 32), "948ab10eee0c6b28e5abf3336ad60a88");
  EXPECT_EQ(hex.substr(32, 4), "0318");
}

TEST(NotificationTest, DecodesWhatWasEncodedWithItsBody) {
  Notification notification = Sample();
  notification.ui_mode = 3;
  notification.server_initiated = false;
  notification.session_id = 0xFFFE;
  notification.body = std::string("\0vendor", 7);

  const auto octets = Encode(notification, kSecret, ServerNonce());
  ASSERT_TRUE(octets.ok());
  const auto decoded = Decode(*octets);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(*decoded, notification);
  EXPECT_EQ(SessionIdOf(*decoded), "FFFE");
  EXPECT_EQ(SessionIdOf(Sample()), "1F");
}

TEST(NotificationTest, VerifiesOnlyWithTheRightSecretNonceAndOctets) {
  const std::string octets = Encode(Sample(), kSecret, ServerNonce()).value();
  EXPECT_TRUE(Verify(octets, kSecret, ServerNonce()).ok());
  EXPECT_EQ(Verify(octets, "other", ServerNonce()).code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(Verify(octets, kSecret, ResyncNonce()).code(), absl::StatusCode::kUnauthenticated);
  for (size_t i = 0; i < octets.size(); ++i) {
    std::string changed = octets;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(Verify(changed, kSecret, ServerNonce()).ok()) << i;
  }
}

TEST(NotificationTest, EveryTruncationIsRefused) {
  const std::string octets = Encode(Sample(), kSecret, ServerNonce()).value();
  for (size_t size = 0; size < octets.size(); ++size) {
    EXPECT_EQ(Decode(octets.substr(0, size)).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(NotificationTest, RefusesUnknownVersionsAndSessionZeroWhenReading) {
  std::string octets = Encode(Sample(), kSecret, ServerNonce()).value();
  octets[16] = 0;
  EXPECT_FALSE(Decode(octets).ok());

  octets = Encode(Sample(), kSecret, ServerNonce()).value();
  octets[22] = 0;
  EXPECT_FALSE(Decode(octets).ok());
}

TEST(NotificationTest, RefusesFieldsThatDoNotFitWhenWriting) {
  const auto code = [](const Notification& n) {
    return Encode(n, kSecret, ServerNonce()).status().code();
  };
  Notification n = Sample();
  n.version = 1024;
  EXPECT_EQ(code(n), absl::StatusCode::kInvalidArgument);
  n = Sample();
  n.ui_mode = 4;
  EXPECT_EQ(code(n), absl::StatusCode::kInvalidArgument);
  n = Sample();
  n.session_id = 0;
  EXPECT_EQ(code(n), absl::StatusCode::kInvalidArgument);
  n = Sample();
  n.server_id = std::string(256, 's');
  EXPECT_EQ(code(n), absl::StatusCode::kInvalidArgument);
  n.server_id.clear();
  EXPECT_EQ(code(n), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace virmo::syncml
