// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/user_interaction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace virmo::syncml {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(InteractionOptionsTest, ReadsEveryOption) {
  const InteractionOptions options =
      ParseInteractionOptions("MINDT=10&MAXDT=60&DR=hello&MAXLEN=8&IT=N&ET=P");
  EXPECT_EQ(options.min_display_time, absl::Seconds(10));
  EXPECT_EQ(options.max_display_time, absl::Seconds(60));
  EXPECT_EQ(options.default_response, "hello");
  EXPECT_EQ(options.max_length, 8U);
  EXPECT_EQ(options.input_type, InputType::kNumeric);
  EXPECT_TRUE(options.masked);
}

TEST(InteractionOptionsTest, DecodesValuesAsUrlsDo) {
  EXPECT_EQ(ParseInteractionOptions("DR=%2B390123").default_response, "+390123");
  EXPECT_EQ(ParseInteractionOptions("DR=Some+text%26more").default_response, "Some text&more");
  EXPECT_EQ(ParseInteractionOptions("DR=100%&MAXLEN=3").default_response, "100%");
  EXPECT_EQ(ParseInteractionOptions("DR=a=b").default_response, "a=b");
  EXPECT_EQ(ParseInteractionOptions("DR=").default_response, "");
}

TEST(InteractionOptionsTest, PassesOverWhatItDoesNotKnow) {
  const InteractionOptions options =
      ParseInteractionOptions("&&X=1&MINDT=-3&MAXDT=soon&IT=Z&IT=N&MAXLEN=&ET&maxdt=9");
  EXPECT_EQ(options, InteractionOptions());
  EXPECT_EQ(ParseInteractionOptions(""), InteractionOptions());
}

TEST(InteractionOptionsTest, BoundsTimesAndLengths) {
  EXPECT_EQ(ParseInteractionOptions("MAXDT=9999999999").max_display_time, absl::Hours(24));
  EXPECT_EQ(ParseInteractionOptions("MAXDT=99999999999999999999").max_display_time, std::nullopt);
  EXPECT_EQ(ParseInteractionOptions("MAXLEN=4294967296").max_length, 65536U);
}

TEST(InteractionOptionsTest, ReadsWhatItWrites) {
  const InteractionOptions options = {.min_display_time = absl::Seconds(1),
                                      .max_display_time = absl::Seconds(2),
                                      .default_response = "a&b=c d+%",
                                      .max_length = 3,
                                      .input_type = InputType::kIp,
                                      .masked = true};
  EXPECT_EQ(ParseInteractionOptions(FormatInteractionOptions(options)), options);
  EXPECT_EQ(FormatInteractionOptions({}), "");
}

TEST(InteractionTest, ReadsWhatItWrites) {
  const Interaction interaction = {.code = AlertCode::kMultipleChoice,
                                   .options = {.default_response = "1-2"},
                                   .text = "Which?",
                                   .choices = {"one", "two"}};
  const auto read = ParseInteraction(MakeInteraction("1", interaction));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, interaction);
}

TEST(InteractionTest, EmptyOptionsAreAnEmptyFirstItem) {
  const Command alert =
      MakeInteraction("1", {.code = AlertCode::kDisplay, .text = "Hello", .choices = {}});
  ASSERT_EQ(alert.items.size(), 2U);
  EXPECT_EQ(alert.data, "1100");
  EXPECT_EQ(alert.items[0].data, "");
  EXPECT_EQ(alert.items[1].data, "Hello");
}

TEST(InteractionTest, AFirstItemWithoutDataMeansNoOptions) {
  Command alert = MakeAlert("1", AlertCode::kConfirm);
  alert.items = {Item{}, Item{.data = "Sure?"}};
  const auto read = ParseInteraction(alert);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->text, "Sure?");
  EXPECT_EQ(read->options, InteractionOptions());
}

TEST(InteractionTest, WithoutTextOrChoicesOrOfAnotherCodeIsRefused) {
  Command alert = MakeAlert("1", AlertCode::kDisplay);
  EXPECT_FALSE(ParseInteraction(alert).ok());
  alert.items = {Item{.data = "MINDT=1"}};
  EXPECT_FALSE(ParseInteraction(alert).ok());
  alert.items = {Item{}, Item{}};
  EXPECT_FALSE(ParseInteraction(alert).ok());
  alert = MakeInteraction("1", {.code = AlertCode::kSingleChoice, .text = "?", .choices = {}});
  EXPECT_FALSE(ParseInteraction(alert).ok());
  alert = MakeInteraction("1", {.code = AlertCode::kGeneric, .text = "?", .choices = {}});
  EXPECT_FALSE(ParseInteraction(alert).ok());
  EXPECT_FALSE(IsInteraction(static_cast<AlertCode>(1105)));
}

TEST(ChoicesTest, AreNumbersWithinTheChoices) {
  EXPECT_THAT(ParseChoices("2", 3), ElementsAre(2));
  EXPECT_THAT(ParseChoices("3-1-3", 3), ElementsAre(1, 3));
  EXPECT_THAT(ParseChoices("4", 3), IsEmpty());
  EXPECT_THAT(ParseChoices("0", 3), IsEmpty());
  EXPECT_THAT(ParseChoices("", 3), IsEmpty());
  EXPECT_THAT(ParseChoices("1-", 3), IsEmpty());
}

}  // namespace
}  // namespace virmo::syncml
