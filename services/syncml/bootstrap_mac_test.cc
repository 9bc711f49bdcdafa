// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/bootstrap_mac.h"

#include <gtest/gtest.h>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace virmo::syncml {
namespace {

constexpr absl::string_view kPinMac = "25DFED2E2723837949B17508974833EB45392062";
constexpr absl::string_view kPinAndSecretMac = "50BA29F9DBF8D2F166D4A81FDB4038F3810CBC59";

std::string Document() { return absl::HexStringToBytes("03a4016a00"); }

TEST(BootstrapMacTest, FitsTheVectors) {
  EXPECT_TRUE(VerifyBootstrapMac(kPinMac, "1234", Document()).ok());
  const std::string key =
      BootstrapKey(BootstrapSecurity::kUserPinNetworkId, "310150123456789", "1234");
  EXPECT_EQ(key, "1234:310150123456789");
  EXPECT_TRUE(VerifyBootstrapMac(kPinAndSecretMac, key, Document()).ok());
}

TEST(BootstrapMacTest, IsReadInLowerCaseAndFromEachKindOfKey) {
  EXPECT_TRUE(VerifyBootstrapMac(absl::AsciiStrToLower(kPinMac), "1234", Document()).ok());
  EXPECT_EQ(BootstrapKey(BootstrapSecurity::kUserPin, "secret", "1234"), "1234");
  EXPECT_EQ(BootstrapKey(BootstrapSecurity::kNetworkId, "secret", "1234"), "secret");
}

TEST(BootstrapMacTest, AnotherKeyOrDocumentIsUnauthenticated) {
  using absl::StatusCode;
  EXPECT_EQ(VerifyBootstrapMac(kPinMac, "1235", Document()).code(), StatusCode::kUnauthenticated);
  EXPECT_EQ(VerifyBootstrapMac(kPinMac, "1234", Document() + '\0').code(),
            StatusCode::kUnauthenticated);
  EXPECT_EQ(VerifyBootstrapMac(kPinAndSecretMac, "1234", Document()).code(),
            StatusCode::kUnauthenticated);
}

TEST(BootstrapMacTest, NoMacAndNoKeyAreRefused) {
  for (const auto& mac : {"", "25DF", "zzDFED2E2723837949B17508974833EB45392062"}) {
    EXPECT_EQ(VerifyBootstrapMac(mac, "1234", Document()).code(),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(VerifyBootstrapMac(kPinMac, "", Document()).code(), absl::StatusCode::kInvalidArgument);
}

TEST(BootstrapContentTypeTest, ReadsWhatItWrites) {
  const auto proof = ParseBootstrapContentType(
      absl::StrCat("application/vnd.syncml.dm+wbxml",
                   FormatBootstrapParameters(BootstrapSecurity::kUserPin, "1234", Document())));
  ASSERT_TRUE(proof.ok()) << proof.status();
  ASSERT_TRUE(proof->has_value());
  EXPECT_EQ((*proof)->security, BootstrapSecurity::kUserPin);
  EXPECT_EQ((*proof)->mac, kPinMac);
}

TEST(BootstrapContentTypeTest, TakesAnyOrderCaseAndQuotes) {
  const auto proof =
      ParseBootstrapContentType("text/x; mac=\"AB\" ; charset=utf-8;sec = userpin_networkid");
  ASSERT_TRUE(proof.ok() && proof->has_value()) << proof.status();
  EXPECT_EQ((*proof)->security, BootstrapSecurity::kUserPinNetworkId);
  EXPECT_EQ((*proof)->mac, "AB");
}

TEST(BootstrapContentTypeTest, HasNoneWithoutParameters) {
  const auto proof = ParseBootstrapContentType("application/vnd.syncml.dm+wbxml; charset=utf-8");
  ASSERT_TRUE(proof.ok());
  EXPECT_FALSE(proof->has_value());
}

TEST(BootstrapContentTypeTest, HalfOfItTwiceOfItOrAnUnknownKindIsRefused) {
  for (const char* type : {"a/b; SEC=USERPIN", "a/b; MAC=AB", "a/b; SEC=1; MAC=AB",
                           "a/b; SEC=USERPIN; MAC=AB; MAC=CD"}) {
    EXPECT_EQ(ParseBootstrapContentType(type).status().code(), absl::StatusCode::kInvalidArgument)
        << type;
  }
}

}  // namespace
}  // namespace virmo::syncml
