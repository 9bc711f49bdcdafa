// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/recording.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "services/syncml/content_coding.h"
#include "services/syncml/sample_messages.h"

namespace virmo::syncml {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> Bodies(absl::string_view octets) {
  Recording recording(octets);
  std::vector<std::string> bodies;
  while (true) {
    const auto message = recording.Next();
    if (!message.ok()) {
      bodies.push_back(std::string(message.status().message()));
      return bodies;
    }
    if (!message->has_value()) return bodies;
    bodies.push_back((*message)->body);
  }
}

std::string Xml() { return XmlWithBody("<Final/>"); }
std::string Wbxml() { return Encode(*Decode(Xml(), Encoding::kXml), Encoding::kWbxml); }

TEST(RecordingTest, MessagesOfBothEncodingsFollowEachOther) {
  EXPECT_THAT(Bodies(absl::StrCat("\n", Xml(), Wbxml(), Wbxml(), "\r\n ", Xml(), "\n")),
              ElementsAre(Xml(), Wbxml(), Wbxml(), Xml()));
  EXPECT_THAT(Bodies(""), IsEmpty());
}

TEST(RecordingTest, AnEndTagInDataIsNoEnd) {
  const std::string tricky = XmlWithBody(
      "<Add><CmdID>1</CmdID><Item><Data><![CDATA[</SyncML>]]></Data></Item></Add><Final/>");
  const std::string prefixed = absl::StrCat(
      "<?xml version='1.0'?><s:SyncML xmlns:s='SYNCML:SYNCML1.2'><s:SyncHdr/><s:SyncBody/>",
      "</s:SyncML >");
  EXPECT_THAT(Bodies(tricky + prefixed + Xml()), ElementsAre(tricky, prefixed, Xml()));
}

TEST(RecordingTest, HttpIsTakenApart) {
  const std::string request =
      absl::StrCat("POST /dm HTTP/1.1\r\nContent-Length: ", Xml().size(),
                   "\r\nX-SyncML-HMAC: username=\"d\", mac=AAAA\r\n\r\n", Xml());
  const std::string response = absl::StrCat("HTTP/1.1 200 OK\nX: y\n\n", Wbxml());
  const std::string both = request + response;
  Recording again(both);
  const auto first = again.Next();
  ASSERT_TRUE(first.ok() && first->has_value()) << first.status();
  EXPECT_EQ((*first)->start_line, "POST /dm HTTP/1.1");
  EXPECT_EQ((*first)->body, Xml());
  EXPECT_EQ(HeaderOf(**first, "x-syncml-hmac"), "username=\"d\", mac=AAAA");
  const auto second = again.Next();
  ASSERT_TRUE(second.ok() && second->has_value()) << second.status();
  EXPECT_EQ((*second)->offset, request.size());
  EXPECT_EQ((*second)->body, Wbxml());
}

TEST(RecordingTest, ChunkedAndCompressedBodiesAreUndone) {
  const std::string gzip = Compress(Xml(), ContentCoding::kGzip);
  const std::string octets = absl::StrCat(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n",
      absl::Hex(10), "\r\n", gzip.substr(0, 10), "\r\n", absl::Hex(gzip.size() - 10), ";x=y\r\n",
      gzip.substr(10), "\r\n0\r\n\r\n", "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
  EXPECT_THAT(Bodies(octets), ElementsAre(Xml(), ""));
}

TEST(RecordingTest, WhatHasNoEndIsAnErrorWithItsPlace) {
  EXPECT_THAT(Bodies(Xml() + "garbage"),
              ElementsAre(Xml(), HasSubstr(absl::StrCat("octet ", Xml().size(), ": no message"))));
  EXPECT_THAT(Bodies(Wbxml().substr(0, 20)), ElementsAre(HasSubstr("octet 0: no WBXML message")));
  EXPECT_THAT(Bodies("POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\nx"),
              ElementsAre(HasSubstr("Content-Length 99")));
  EXPECT_THAT(Bodies("POST / HTTP/1.1\r\nno header\r\n\r\n"), ElementsAre(HasSubstr("no header")));
  EXPECT_THAT(Bodies("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n"),
              ElementsAre(HasSubstr("chunk")));
}

TEST(RecordingTest, SecretsInHeadersAreHidden) {
  EXPECT_EQ(RedactedHeader("X-Syncml-Hmac", "mac=AAAA, username=d"),
            "X-Syncml-Hmac: algorithm=MD5, username=\"d\", mac=***");
  EXPECT_EQ(RedactedHeader("x-syncml-hmac", "mac AAAA"), "x-syncml-hmac: ***");
  EXPECT_EQ(RedactedHeader("Authorization", "Basic AAAA"), "Authorization: ***");
  EXPECT_EQ(RedactedHeader("Set-Cookie", "sid=1"), "Set-Cookie: ***");
  EXPECT_EQ(RedactedHeader("Accept", "a/b"), "Accept: a/b");
}

}  // namespace
}  // namespace virmo::syncml
