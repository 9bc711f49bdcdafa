// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/status_code.h"

#include <gtest/gtest.h>

namespace virmo::syncml {
namespace {

TEST(StatusCodeTest, ReadsThreeDigitsAndNothingElse) {
  EXPECT_EQ(ParseStatusCode(" 425\n"), StatusCode::kPermissionDenied);
  EXPECT_EQ(Number(*ParseStatusCode("499")), 499);
  for (const char* text : {"", "20", "2000", "-20", "+20", "2x0", "2 0"}) {
    EXPECT_FALSE(ParseStatusCode(text).has_value()) << text;
  }
}

TEST(StatusCodeTest, ReadsAlertCodes) {
  EXPECT_EQ(ParseAlertCode("1226"), AlertCode::kGeneric);
  EXPECT_FALSE(ParseAlertCode("226").has_value());
}

TEST(StatusCodeTest, WritesTheNumber) {
  EXPECT_EQ(ToText(StatusCode::kAuthenticationAccepted), "212");
  EXPECT_EQ(ToText(AlertCode::kNextMessage), "1222");
}

TEST(StatusCodeTest, KnownCodesHaveAMeaningAndUnknownOnesTheirClass) {
  EXPECT_EQ(Meaning(StatusCode::kSizeMismatch), "size mismatch");
  EXPECT_EQ(Meaning(static_cast<StatusCode>(499)), "refused (unknown code)");
  EXPECT_EQ(Meaning(static_cast<StatusCode>(-7)), "unknown code");
}

TEST(StatusCodeTest, OnlyTwoHundredsAreSuccess) {
  EXPECT_TRUE(IsSuccess(StatusCode::kAccepted));
  EXPECT_FALSE(IsSuccess(StatusCode::kNotModified));
  EXPECT_FALSE(IsSuccess(StatusCode::kInProgress));
}

}  // namespace
}  // namespace virmo::syncml
