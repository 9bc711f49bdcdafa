// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/inspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "services/syncml/notification.h"
#include "services/syncml/sample_messages.h"
#include "services/syncml/tnds.h"

namespace virmo::syncml {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Show(absl::string_view octets) {
  const auto document = Inspect(octets);
  return document.ok() ? document->xml : std::string(document.status().message());
}

std::string Hex(absl::string_view hex) { return absl::HexStringToBytes(hex); }

std::string PackageZero() {
  return *Encode(Notification{.ui_mode = 1, .session_id = 0x1F, .server_id = "virmo-server"},
                 "srvsecret", "nonce");
}

TEST(InspectTest, ShowsAWbxmlMessageAsIndentedXml) {
  EXPECT_EQ(Show(Hex("03a4016a006d6c5b033100010152016b120101")),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<SyncML xmlns=\"SYNCML:SYNCML1.2\">\n"
            "  <SyncHdr>\n    <MsgID>1</MsgID>\n  </SyncHdr>\n"
            "  <Final/>\n  <SyncBody>\n    <Final/>\n  </SyncBody>\n</SyncML>\n");
}

TEST(InspectTest, BothEncodingsOfAMessageLookTheSame) {
  const std::string xml = Encode(FullMessage(), Encoding::kXml);
  const std::string wbxml = Encode(FullMessage(), Encoding::kWbxml);
  EXPECT_EQ(Show(xml), Show(wbxml));
  EXPECT_THAT(Show(xml), HasSubstr("\n    <VerDTD>1.2</VerDTD>\n"));
  EXPECT_THAT(Show(xml), HasSubstr("<Format xmlns=\"syncml:metinf\">chr</Format>\n"));
}

TEST(InspectTest, WhatIsShownIsTheSameMessage) {
  for (const Encoding encoding : {Encoding::kXml, Encoding::kWbxml}) {
    const auto read = Decode(Show(Encode(FullMessage(), encoding)), Encoding::kXml);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, FullMessage());
  }
}

TEST(InspectTest, DataKeepsEveryCharacter) {
  EXPECT_THAT(Show(XmlWithBody("<Add><CmdID>1</CmdID><Item><Data> <b>\n <c/>x</b>&lt;</Data>"
                               "</Item></Add>")),
              HasSubstr("<Data> <b>\n <c/>x</b>&lt;</Data>\n"));
}

TEST(InspectTest, UnknownElementsAreShown) {
  EXPECT_THAT(Show(XmlWithBody("<Foo><CmdID>1</CmdID><Bar>x</Bar></Foo>")),
              HasSubstr("    <Foo>\n      <CmdID>1</CmdID>\n      <Bar>x</Bar>\n    </Foo>\n"));
  EXPECT_THAT(Show(Hex("03a4016a006d2c6b7e037800010101")),
              HasSubstr("<wbxml-tag-00-3e>x</wbxml-tag-00-3e>"));
}

TEST(InspectTest, BinaryIsBase64AndNestedTndsIsShownAsATree) {
  Message message;
  message.body.emplace_back().kind = CommandKind::kAdd;
  message.body[0].items = {MakeTargetItem("./a", "text"), MakeTargetItem("./b", "text")};
  message.body[0].items[0].meta.format = "bin";
  const TndsDocument tree = {
      .nodes = {{.name = "n", .format = "bin", .value = std::string("abc")}}};
  message.body[0].items.push_back(MakeTargetItem("./c", WriteTnds(tree, Encoding::kXml)));
  message.body[0].items[2].meta.type = std::string(kTndsXmlType);
  const std::string shown = Show(Encode(message, Encoding::kWbxml));
  EXPECT_THAT(shown, HasSubstr("<Data>dGV4dA==</Data>"));
  EXPECT_THAT(shown, HasSubstr("<Data>text</Data>"));
  EXPECT_THAT(shown, HasSubstr("<NodeName>n</NodeName>\n"));
  EXPECT_THAT(shown, HasSubstr("<Value>YWJj</Value>"));
  // And can be turned back; octets that came through XML are base64 from then on.
  message.body[0].items[0] = MakeTargetItem("./a", "dGV4dA==");
  message.body[0].items[0].meta.format = "b64";
  EXPECT_EQ(Convert(shown, Encoding::kWbxml).value_or("?"), Encode(message, Encoding::kWbxml));
}

// Of documents whose text is many times as long only so many are shown as what they are.
TEST(InspectTest, DocumentsWithinDataCannotBlowWhatIsShownUp) {
  TndsNode chain = {.name = "z"};  // What is deep is indented far.
  for (int i = 0; i < 14; ++i) chain = {.name = "n", .children = {chain}};
  TndsDocument tree;
  for (int i = 0; i < 10; ++i) {
    tree.nodes.push_back(chain);
    tree.nodes.back().name = absl::StrCat(i);
  }
  Message message;
  message.body.emplace_back().kind = CommandKind::kAdd;
  for (int i = 0; i < 30; ++i) {
    message.body[0].items.push_back(MakeTargetItem("./a", WriteTnds(tree, Encoding::kXml)));
    message.body[0].items.back().meta.type = std::string(kTndsXmlType);
  }
  const std::string octets = Encode(message, Encoding::kWbxml);
  const std::string all = Show(octets);
  EXPECT_GT(all.size(), octets.size() * 9);
  EXPECT_THAT(all, Not(HasSubstr("<Data>AwAA")));
  const auto some = Inspect(octets, {.max_bytes = octets.size() + 600});
  ASSERT_TRUE(some.ok()) << some.status();
  EXPECT_LT(some->xml.size(), all.size());
  EXPECT_THAT(some->xml, HasSubstr("<NodeName>z</NodeName>"));
  EXPECT_THAT(some->xml, HasSubstr("<Data>AwAA")) << "base64, the rest";
}

// DDF has a Size as well, which WBXML tells from that of MetInf by its page and XML by its
// namespace.
TEST(InspectTest, ElementsOfDdfAreNoneOfAMessage) {
  const std::string shown = Show(Hex("03a4016a006d2c2b0002313101"));
  EXPECT_THAT(shown, HasSubstr("<Size xmlns=\"syncml:dmddf1.2\"/>"));
  EXPECT_EQ(Show(shown), shown);
  EXPECT_THAT(Show("<SyncML><SyncHdr/><SyncBody/><Size/><Size/></SyncML>"),
              HasSubstr("SyncML has Size more than once"));
}

TEST(InspectTest, ShowsTreesInBothEncodings) {
  const TndsDocument tree = {.nodes = {{.name = "n", .format = "chr", .value = " v "}}};
  const std::string shown = Show(WriteTnds(tree, Encoding::kWbxml));
  EXPECT_EQ(shown, Show(WriteTnds(tree, Encoding::kXml)));
  EXPECT_THAT(shown, HasSubstr("\n  <Node>\n    <NodeName>n</NodeName>\n"));
  EXPECT_THAT(shown, HasSubstr("<Value> v </Value>"));
  EXPECT_EQ(Convert(shown, Encoding::kWbxml).value_or("?"), WriteTnds(tree, Encoding::kWbxml));
}

TEST(InspectTest, ShowsPackageZeroAndTurnsItBack) {
  const std::string shown = Show(PackageZero());
  EXPECT_THAT(shown, HasSubstr("<SessionID>1F</SessionID>\n  <ServerID>virmo-server</ServerID>"));
  EXPECT_EQ(Convert(shown, Encoding::kWbxml).value_or("?"), PackageZero());
  EXPECT_EQ(Convert(PackageZero(), Encoding::kXml).value_or("?"), shown);
  EXPECT_EQ(Inspect(PackageZero())->kind, DocumentKind::kNotification);
}

TEST(InspectTest, EveryDigestOfPackageZeroIsTold) {
  for (int first = 0; first < 256; ++first) {
    std::string octets = PackageZero();
    octets[0] = static_cast<char>(first);
    EXPECT_THAT(Show(octets), HasSubstr("<ServerID>")) << first;
  }
}

TEST(InspectTest, ErrorsSayWhereAndWhy) {
  EXPECT_EQ(Show("<SyncML>\n <SyncHdr/>"), "line 2, column 12: no element found");
  EXPECT_THAT(Show("<a/>"), HasSubstr("line 1, column 1: the outermost element is a"));
  EXPECT_THAT(Show("<SyncML>\n<SyncHdr/><SyncBody/><SyncBody/></SyncML>"),
              HasSubstr("line 2, column 22: SyncML has SyncBody more than once"));
  EXPECT_THAT(Show("<SyncML/>"), HasSubstr("line 1, column 1: SyncML has no SyncHdr"));
  EXPECT_THAT(Show("<!DOCTYPE SyncML><SyncML/>"), HasSubstr("line 1, column 17: a DOCTYPE"));
  EXPECT_THAT(Show(Hex("03a4016a006d")), HasSubstr("octet 6: "));
  EXPECT_THAT(Show(Hex("03a4016a006d01")), HasSubstr("octet 5: SyncML has no SyncHdr"));
  EXPECT_THAT(Show("<MgmtTree/>"), HasSubstr("line 1, column 1: MgmtTree has no Node"));
  EXPECT_THAT(Show(""), HasSubstr("line 1, column "));
  EXPECT_THAT(Show(PackageZero().substr(0, 30)), Not(HasSubstr("<ServerID>")));
}

TEST(ConvertTest, GoesBothWays) {
  const std::string xml = Encode(FullMessage(), Encoding::kXml);
  const std::string wbxml = Encode(FullMessage(), Encoding::kWbxml);
  EXPECT_EQ(Convert(xml, Encoding::kWbxml).value_or("?"), wbxml);
  EXPECT_EQ(Convert(wbxml, Encoding::kXml).value_or("?"), xml);
  EXPECT_EQ(Convert(wbxml, Encoding::kWbxml).value_or("?"), wbxml);
}

TEST(ConvertTest, WhatHasNoPlaceIsAnErrorAndNotLost) {
  const auto unknown =
      Convert(XmlWithBody("<Atomic><CmdID>1</CmdID><Foo/></Atomic>"), Encoding::kWbxml);
  EXPECT_THAT(std::string(unknown.status().message()), HasSubstr("command Foo"));
  const auto ddf =
      Convert("<MgmtTree><Node><NodeName/><DFProperties/></Node></MgmtTree>", Encoding::kWbxml);
  EXPECT_EQ(ddf.status().code(), absl::StatusCode::kUnimplemented);
}

TEST(NotificationXmlTest, FieldsThatAreMissingOrDoNotFitAreRefused) {
  const std::string good = Show(PackageZero());
  const auto without = [&good](const std::string& from, const std::string& to) {
    std::string changed = good;
    changed.replace(changed.find(from), from.size(), to);
    return std::string(Convert(changed, Encoding::kWbxml).status().message());
  };
  EXPECT_THAT(without("<Version>11</Version>", ""), HasSubstr("no usable Version"));
  EXPECT_THAT(without("1F", "12345"), HasSubstr("no usable SessionID"));
  EXPECT_THAT(without("<Digest>", "<Digest>00"), HasSubstr("no usable Digest"));
  EXPECT_THAT(without("server<", "x<"), HasSubstr("no usable Initiator"));
  EXPECT_THAT(without("<UiMode>1", "<UiMode>9"), HasSubstr("ui-mode 9"));
  EXPECT_THAT(without("<UiMode>", "<Version>1</Version><UiMode>"),
              HasSubstr("Version given twice"));
}

}  // namespace
}  // namespace virmo::syncml
