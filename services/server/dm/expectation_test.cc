// SPDX-License-Identifier: Apache-2.0
#include "services/server/dm/expectation.h"

#include "gtest/gtest.h"

namespace virmo::server {
namespace {

TEST(SameValueTest, ComparesWhatValuesMean) {
  EXPECT_TRUE(SameValue("int", "5", "05"));
  EXPECT_TRUE(SameValue("int", "+5", " 5 "));
  EXPECT_FALSE(SameValue("int", "5", "6"));
  EXPECT_FALSE(SameValue("int", "5", "five"));
  EXPECT_TRUE(SameValue("bool", "true", "TRUE"));
  EXPECT_TRUE(SameValue("bool", "true", "1"));
  EXPECT_TRUE(SameValue("bool", "false", " 0\n"));
  EXPECT_FALSE(SameValue("bool", "false", "true"));
  EXPECT_FALSE(SameValue("bool", "false", "maybe"));
  EXPECT_TRUE(SameValue("float", "1.50", "1.5"));
  EXPECT_TRUE(SameValue("b64", "QUJD", "QU\nJD\n"));
  EXPECT_FALSE(SameValue("chr", "a", "A"));
  EXPECT_FALSE(SameValue("chr", "5", "05"));
}

// A server once saw a setting fail for ever, as CDATA and escapes did not compare as equal.
TEST(SameValueTest, ComparesXmlByItsContent) {
  EXPECT_TRUE(SameValue("xml", "<a x='1' y='2'><b>t</b></a>",
                        "<a y=\"2\" x=\"1\">\n  <b><![CDATA[t]]></b>\n</a>"));
  EXPECT_TRUE(SameValue("xml", "<a><![CDATA[1 < 2 & 3]]></a>", "<a>1 &lt; 2 &amp; 3</a>"));
  EXPECT_TRUE(SameValue("xml", "<n:a xmlns:n='u'/>", "<a></a>"));
  EXPECT_FALSE(SameValue("xml", "<a><b/></a>", "<a>&lt;b/></a>"));
  EXPECT_FALSE(SameValue("xml", "<a><b/><c/></a>", "<a><c/><b/></a>"));
  EXPECT_TRUE(SameValue("xml", " no xml ", "no xml"));
}

}  // namespace
}  // namespace virmo::server
