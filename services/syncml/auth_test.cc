// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/auth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"

namespace virmo::syncml {
namespace {

using ::testing::HasSubstr;

// Nonces 01..10 and 11..20 (hex) of the worked vectors.
std::string Octets(int first) {
  std::string octets;
  for (int i = 0; i < 16; ++i) octets.push_back(static_cast<char>(first + i));
  return octets;
}

TEST(Base64Test, EncodesAndDecodesEveryOctetAndEveryRemainder) {
  std::string octets;
  for (int i = 0; i < 256; ++i) {
    octets.push_back(static_cast<char>(i));
    const auto decoded = Base64Decode(Base64Encode(octets));
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(*decoded, octets);
  }
  EXPECT_EQ(*Base64Decode(""), "");
}

TEST(Base64Test, RefusesEveryOtherSpelling) {
  for (const char* text : {"QQ", "QQ=", "QQ===", "Q===", "====", "QR==", "QUF=", "QU=B",
                           "Q Q=", "QQ==\n", "QQ-_", "=QQ=", "QQ==QQ=="}) {
    EXPECT_EQ(Base64Decode(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(AuthTest, BasicCredentialsFitTheVector) {
  EXPECT_EQ(BasicCred("Bruce2", "OhBehave"), "QnJ1Y2UyOk9oQmVoYXZl");

  const auto parsed = ParseBasicCred(" QnJ1Y2UyOk9oQmVoYXZl\n");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->user, "Bruce2");
  EXPECT_EQ(parsed->password, "OhBehave");
}

TEST(AuthTest, BasicPasswordMayHoldColons) {
  const auto parsed = ParseBasicCred(BasicCred("u", "a:b:c"));
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->password, "a:b:c");
}

TEST(AuthTest, BasicCredentialsThatCannotBeReadAreRefused) {
  EXPECT_FALSE(ParseBasicCred("not base64").ok());
  EXPECT_FALSE(ParseBasicCred(Base64Encode("no colon")).ok());
}

TEST(AuthTest, Md5FitsTheValuePrintedByOma) {
  EXPECT_EQ(HashedCredential("Bruce2", "OhBehave"), "PtEdr8lBQ45IbT1bZIkrOQ==");
  EXPECT_EQ(Md5Digest("Bruce2", "OhBehave", "Nonce"), "Zz6EivR3yeaaENcRN6lpAQ==");
}

TEST(AuthTest, Md5OfClientAndServerFitsTheVectors) {
  EXPECT_EQ(*Base64Decode("AQIDBAUGBwgJCgsMDQ4PEA=="), Octets(0x01));
  EXPECT_EQ(Md5Digest("vm-device-01", "devsecret", Octets(0x01)), "28VEUorkC0Iy6PUWFw5OKQ==");
  EXPECT_EQ(Md5Digest("virmo-server", "srvsecret", Octets(0x11)), "MrRnzfmZmpCg/QhzN7M0TA==");
}

TEST(AuthTest, Md5OverTheTextOfTheNonceIsAnotherValue) {
  EXPECT_EQ(Md5Digest("vm-device-01", "devsecret", "AQIDBAUGBwgJCgsMDQ4PEA=="),
            "L5gOSHQO/TL4Xj1uIQGqSQ==");
}

TEST(AuthTest, Md5WithEmptyAndResyncNoncesFitsTheVectors) {
  EXPECT_EQ(Md5Digest("vm-device-01", "devsecret", ""), "/dnDGNPGd1mpld9YeCFnGA==");
  EXPECT_EQ(Md5Digest("vm-device-01", "devsecret", absl::string_view("\0\0\0\0", 4)),
            "5L59U3rK0qIV7y7ykof9Xw==");
  EXPECT_EQ(Md5Digest("vm-device-01", "devsecret", "0x00000000"), "IG4Q7z9rYA2okDuwJan4vQ==");
}

TEST(AuthTest, StoredHashGivesTheSameDigestsAsThePassword) {
  const std::string hash = HashedCredential("vm-device-01", "devsecret");
  EXPECT_EQ(hash, "/9Vlwv1cANXgqXZgLw67hQ==");
  EXPECT_EQ(Md5DigestFromHash(hash, Octets(1)), Md5Digest("vm-device-01", "devsecret", Octets(1)));
  EXPECT_EQ(MacDigestFromHash(hash, Octets(1), "body"),
            MacDigest("vm-device-01", "devsecret", Octets(1), "body"));
}

TEST(AuthTest, MacFitsTheVectorAndDependsOnEveryInput) {
  constexpr absl::string_view kBody = "<SyncML xmlns='SYNCML:SYNCML1.2'/>";
  const std::string mac = MacDigest("vm-device-01", "devsecret", Octets(1), kBody);

  EXPECT_EQ(mac, "mn118Js0z/nbNRWt/X3Hkw==");
  EXPECT_NE(mac, MacDigest("vm-device-02", "devsecret", Octets(1), kBody));
  EXPECT_NE(mac, MacDigest("vm-device-01", "devsecreT", Octets(1), kBody));
  EXPECT_NE(mac, MacDigest("vm-device-01", "devsecret", Octets(2), kBody));
  EXPECT_NE(mac, MacDigest("vm-device-01", "devsecret", Octets(1), kBody.substr(1)));
}

TEST(AuthTest, BootstrapMacsFitTheVectors) {
  const std::string document = absl::HexStringToBytes("03a4016a00");
  EXPECT_EQ(BootstrapMac("1234", document), "25DFED2E2723837949B17508974833EB45392062");
  EXPECT_EQ(BootstrapMac("1234:310150123456789", document),
            "50BA29F9DBF8D2F166D4A81FDB4038F3810CBC59");
}

TEST(AuthTest, ComparesWholeValues) {
  EXPECT_TRUE(ConstantTimeEquals("abc", "abc"));
  EXPECT_TRUE(ConstantTimeEquals("", ""));
  EXPECT_FALSE(ConstantTimeEquals("abc", "abd"));
  EXPECT_FALSE(ConstantTimeEquals("abc", "ab"));
  EXPECT_FALSE(ConstantTimeEquals(absl::string_view("a\0b", 3), absl::string_view("a\0c", 3)));
}

TEST(AuthTest, NoncesAre16OctetsAndDiffer) {
  const auto first = RandomNonce();
  const auto second = RandomNonce();
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->size(), 16U);
  EXPECT_NE(*first, *second);
}

TEST(HmacHeaderTest, ReadsWhatItWrites) {
  const HmacHeader header = {.username = "odd \"name\", with\\all", .mac = "mn118Js0z/nbNRWt=="};
  const auto parsed = ParseHmacHeader(FormatHmacHeader(header));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->username, header.username);
  EXPECT_EQ(parsed->mac, header.mac);
}

TEST(HmacHeaderTest, WritesTheFormOfTheText) {
  EXPECT_EQ(FormatHmacHeader({.username = "vm-device-01", .mac = "AA=="}),
            "algorithm=MD5, username=\"vm-device-01\", mac=AA==");
}

TEST(HmacHeaderTest, AUserNameCannotAddAHeader) {
  EXPECT_EQ(FormatHmacHeader({.username = "dev\r\nX-Evil: 1", .mac = "AA=="}),
            "algorithm=MD5, username=\"devX-Evil: 1\", mac=AA==");
}

TEST(HmacHeaderTest, TakesAnyOrderBareNamesAndNoAlgorithm) {
  const auto parsed = ParseHmacHeader("mac=AA==,Username = dev ,extra=1");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->username, "dev");
  EXPECT_EQ(parsed->mac, "AA==");
  EXPECT_EQ(parsed->algorithm, "MD5");
}

TEST(HmacHeaderTest, RefusesWhatIsIncompleteAmbiguousOrUnknown) {
  for (const char* value : {"", "username=\"a\"", "mac=AA==", "username=\"a, mac=AA==", "username",
                            "username=a, username=b, mac=AA==", "username=\"a\" mac=AA=="}) {
    EXPECT_EQ(ParseHmacHeader(value).status().code(), absl::StatusCode::kInvalidArgument) << value;
  }
  const auto unknown = ParseHmacHeader("algorithm=SHA256, username=a, mac=AA==");
  EXPECT_EQ(unknown.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(unknown.status().message()), HasSubstr("SHA256"));
}

}  // namespace
}  // namespace virmo::syncml
