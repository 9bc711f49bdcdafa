// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/excerpt.h"

#include <gtest/gtest.h>

#include "services/syncml/codec.h"

namespace virmo::syncml {
namespace {

TEST(ExcerptTest, WhatIsShortStaysAsItIs) {
  EXPECT_EQ(Excerpt(""), "");
  EXPECT_EQ(Excerpt("short"), "short");
  EXPECT_EQ(Excerpt("0123456789", 10), "0123456789");
}

TEST(ExcerptTest, OfALongTextBothEndsAreShown) {
  EXPECT_EQ(Excerpt("0123456789abcdef", 11), "012 ... def");
  EXPECT_LE(Excerpt(std::string(1000000, 'x')).size(), 400u);
}

TEST(ExcerptTest, NoCharacterIsCutInTwo) {
  const std::string text =
      "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80";
  for (size_t size = 0; size <= text.size(); ++size) {
    EXPECT_TRUE(IsXmlText(Excerpt(text, size))) << size;
  }
}

TEST(ExcerptTest, WhatIsNoTextBecomesText) {
  EXPECT_EQ(Excerpt("a\x98z"), "a\xEF\xBF\xBDz");
  EXPECT_TRUE(IsXmlText(Excerpt(std::string(1000, '\xFF'))));
  EXPECT_EQ(ToXmlText(absl::string_view("\0\xC3", 2)), "\xEF\xBF\xBD\xEF\xBF\xBD");
}

}  // namespace
}  // namespace virmo::syncml
