// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/xml_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace virmo::syncml {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Writes down what it is told; fails at an element named "bad".
class Recorder : public XmlHandler {
 public:
  absl::Status OnStart(absl::string_view name, const char* const* attributes) override {
    absl::StrAppend(&log, "<", name);
    for (; *attributes != nullptr; ++attributes) absl::StrAppend(&log, " ", *attributes);
    absl::StrAppend(&log, ">");
    return name == "bad" ? absl::NotFoundError("it is bad") : absl::OkStatus();
  }
  absl::Status OnText(absl::string_view text) override {
    absl::StrAppend(&log, text);
    return absl::OkStatus();
  }
  absl::Status OnEnd(absl::string_view name) override {
    absl::StrAppend(&log, "</", name, ">");
    return absl::OkStatus();
  }

  std::string log;
};

absl::Status Parse(absl::string_view text, const Limits& limits = {}) {
  Recorder recorder;
  return ParseXml(text, limits, recorder);
}

std::string MessageOf(const absl::Status& status) { return std::string(status.message()); }

TEST(XmlParserTest, ReportsElementsAttributesAndTextInOrder) {
  Recorder recorder;
  ASSERT_TRUE(ParseXml("<a x='1'>t<![CDATA[<c>]]>&amp;<b/></a>", {}, recorder).ok());
  EXPECT_EQ(recorder.log, "<a x 1>t<c>&<b></b></a>");
}

TEST(XmlParserTest, ErrorsNameLineAndColumn) {
  EXPECT_THAT(MessageOf(Parse("<a>\n  <b></c>\n</a>")), HasSubstr("line 2, column 8"));
}

TEST(XmlParserTest, HandlerErrorsKeepTheirCodeAndGetAPosition) {
  const absl::Status status = Parse("<a>\n<bad/></a>");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(MessageOf(status), "line 2, column 1: it is bad");
}

TEST(XmlParserTest, NothingIsReportedAfterAnError) {
  Recorder recorder;
  EXPECT_FALSE(ParseXml("<a><bad>x</bad><c/></a>", {}, recorder).ok());
  EXPECT_THAT(recorder.log, Not(HasSubstr("<c>")));

  Recorder empty_element;
  EXPECT_FALSE(ParseXml("<bad/>", {}, empty_element).ok());
  EXPECT_EQ(empty_element.log, "<bad>");
}

TEST(XmlParserTest, RefusesEveryDoctype) {
  for (const char* text : {"<!DOCTYPE a><a/>", "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
                           "<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>",
                           "<!DOCTYPE a [<!ENTITY % p SYSTEM \"http://x/\">%p;]><a/>"}) {
    const absl::Status status = Parse(text);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(MessageOf(status), HasSubstr("DOCTYPE")) << text;
  }
}

TEST(XmlParserTest, RefusesWhatIsNotWellFormed) {
  for (const char* text :
       {"", " ", "text", "<a>", "<a></b>", "<a/><a/>", "<a/>text", "<a x='1' x='2'/>", "<a>&e;</a>",
        "<a>&#0;</a>", "<a>\x01</a>", "<a>\xC0\x80</a>", "<a>\xED\xA0\x80</a>", "<a>]]></a>",
        "<a b='<'/>", "<a b=c/>", "<a>\xEF\xBF\xBE</a>",
        "<?xml version='1.0' encoding='X'?><a/>"}) {
    EXPECT_EQ(Parse(text).code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(XmlParserTest, LimitsAreResourceExhausted) {
  const Limits limits = {.max_bytes = 40, .max_depth = 3, .max_elements = 4};
  EXPECT_TRUE(Parse("<a><b><c/></b><d/></a>", limits).ok());
  EXPECT_EQ(Parse("<a><b><c><d/></c></b></a>", limits).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Parse("<a><b/><b/><b/><b/></a>", limits).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Parse("<a b='' c='' d='' e=''/>", limits).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Parse("<a>" + std::string(40, ' ') + "</a>", limits).code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(XmlParserTest, LocalNameDropsThePrefix) {
  EXPECT_EQ(LocalName("SyncML:Item"), "Item");
  EXPECT_EQ(LocalName("Item"), "Item");
}

}  // namespace
}  // namespace virmo::syncml
