// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/tnds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "services/syncml/message.h"

namespace virmo::syncml {
namespace {

using ::testing::HasSubstr;

std::string Tree(absl::string_view nodes) {
  return absl::StrCat("<MgmtTree xmlns=\"syncml:dmddf1.2\"><VerDTD>1.2</VerDTD>", nodes,
                      "</MgmtTree>");
}

std::string Leaf(absl::string_view name, absl::string_view format, absl::string_view value) {
  return absl::StrCat("<Node><NodeName>", name, "</NodeName><RTProperties><Format><", format,
                      "/></Format></RTProperties><Value>", value, "</Value></Node>");
}

std::string ErrorOf(absl::string_view octets, const Limits& limits = {}) {
  const auto document = ReadTnds(octets, limits);
  return document.ok() ? "no error" : std::string(document.status().message());
}

// A document with every property and both kinds of binary.
TndsDocument FullDocument() {
  const TndsNode nonce = {.name = "AAuthData", .format = "bin", .value = std::string("\0\xFFx", 3)};
  const TndsNode text = {.name = "Hypervisor%20box",
                         .format = "chr",
                         .type = "text/plain",
                         .acl = "Get=*&Replace=s1+s2",
                         .title = "<T>",
                         .tstamp = "20250101T120000Z",
                         .ver_no = "7",
                         .size = "8",
                         .value = " a<b>\n&c "};
  const TndsNode key = {.name = "K", .format = "b64", .value = "abc"};
  const TndsNode none = {.name = "E", .format = "chr", .value = ""};
  TndsNode account = {.name = "virmo",
                      .format = "node",
                      .type = "urn:oma:mo:oma-dm-dmacc:1.0",
                      .acl = "",
                      .children = {text, nonce, key, none}};
  return {.man = "Example", .mod = "box", .nodes = {account, {.name = "Empty", .format = "node"}}};
}

TEST(TndsTest, EverythingSurvivesBothEncodings) {
  for (const Encoding encoding : {Encoding::kXml, Encoding::kWbxml}) {
    const auto read = ReadTnds(WriteTnds(FullDocument(), encoding));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, FullDocument());
  }
}

TEST(TndsTest, WritesInTheOrderOfTheDtd) {
  TndsDocument document = FullDocument();
  document.nodes = {document.nodes[0].children[0]};
  EXPECT_EQ(WriteTnds(document, Encoding::kXml),
            "<MgmtTree xmlns=\"syncml:dmddf1.2\"><VerDTD>1.2</VerDTD><Man>Example</Man>"
            "<Mod>box</Mod><Node><NodeName>Hypervisor%20box</NodeName><RTProperties>"
            "<ACL>Get=*&amp;Replace=s1+s2</ACL><Format><chr/></Format><Size>8</Size>"
            "<Title>&lt;T&gt;</Title><TStamp>20250101T120000Z</TStamp>"
            "<Type><MIME>text/plain</MIME></Type><VerNo>7</VerNo></RTProperties>"
            "<Value> a&lt;b&gt;\n&amp;c </Value></Node></MgmtTree>");
}

TEST(TndsTest, WbxmlFitsWhatLibwbxmlWrites) {
  // xml2wbxml -n of a tree with a text value, page 2 from the first element on.
  const std::string libwbxml = absl::HexStringToBytes(
      "0300006a1b2d2f2f4f4d412f2f4454442d444d2d44444620312e322f2f454e00"
      "00026077"
      "03312e32000164660376000101646603440001"
      "6f5c0b010176034100010101");
  const TndsDocument document = {
      .nodes = {{.name = "v"}, {.name = "D", .format = "chr", .value = "A"}}};
  EXPECT_EQ(absl::BytesToHexString(WriteTnds(document, Encoding::kWbxml)),
            absl::BytesToHexString(libwbxml));
  EXPECT_EQ(ReadTnds(libwbxml).value_or(TndsDocument()), document);
}

TEST(TndsTest, Base64TextOfBinIsDecodedAlsoInWbxml) {
  const std::string head = absl::HexStringToBytes(
      "0300006a1b2d2f2f4f4d412f2f4454442d444d2d44444620312e322f2f454e00000260646603440001"
      "6f5c09010176");
  const std::string tail = absl::HexStringToBytes("010101");
  const auto text = ReadTnds(absl::StrCat(head,
                                          "\x03"
                                          "AQID",
                                          absl::string_view("\0", 1), tail));
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(text->nodes[0].value, "\1\2\3");
  const auto opaque = ReadTnds(absl::StrCat(head,
                                            "\xC3\x04"
                                            "AQID",
                                            tail));
  ASSERT_TRUE(opaque.ok()) << opaque.status();
  EXPECT_EQ(opaque->nodes[0].value, "AQID");
}

TEST(TndsTest, WhiteSpacePrefixesAndADeclarationDoNotMatter) {
  const auto read = ReadTnds(
      "<?xml version='1.0'?>\n<d:MgmtTree xmlns:d='syncml:dmddf1.2'>\n <d:VerDTD>1.2</d:VerDTD>\n"
      " <d:Node>\n  <d:NodeName> a b </d:NodeName>\n  "
      "<d:RTProperties><d:Format>\n<d:int/></d:Format>"
      "<d:Type><d:MIME> text/plain </d:MIME></d:Type></d:RTProperties><d:Value>7</d:Value>\n"
      "</d:Node></d:MgmtTree>");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->nodes[0],
            (TndsNode{.name = "a%20b", .format = "int", .type = "text/plain", .value = "7"}));
}

TEST(TndsTest, UnknownElementsArePassedOver) {
  const auto read = ReadTnds(
      Tree("<X><Node/></X><Node><DFProperties><AccessType><Get/></AccessType></DFProperties>"
           "<NodeName>a</NodeName><RTProperties><Vendor>v</Vendor></RTProperties></Node>"));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->nodes, std::vector<TndsNode>{{.name = "a"}});
}

TEST(TndsTest, NodesWithAPathComeToTheirPlacesInAnyOrder) {
  const auto read = ReadTnds(
      Tree("<Node><NodeName>c</NodeName><Path>./a/b/</Path></Node>"
           "<Node><NodeName>a</NodeName><RTProperties><Format><node/></Format></RTProperties>"
           "<Node><NodeName>d</NodeName></Node></Node>"
           "<Node><NodeName>e</NodeName><Path>a/d</Path></Node>"
           "<Node><NodeName>b</NodeName><Path>a</Path></Node>"));
  ASSERT_TRUE(read.ok()) << read.status();
  const TndsNode b = {.name = "b", .children = {{.name = "c"}}};
  const TndsNode d = {.name = "d", .children = {{.name = "e"}}};
  EXPECT_EQ(read->nodes,
            (std::vector<TndsNode>{{.name = "a", .format = "node", .children = {b, d}}}));
}

TEST(TndsTest, NodesThatAreOnlyNamedInAPathAreImplied) {
  const auto read = ReadTnds(Tree("<Node><NodeName>c</NodeName><Path>a/b</Path></Node>"));
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->nodes.size(), 1U);
  EXPECT_TRUE(read->nodes[0].is_implied);
  EXPECT_TRUE(read->nodes[0].children[0].is_implied);
  EXPECT_FALSE(read->nodes[0].children[0].children[0].is_implied);
  for (const Encoding encoding : {Encoding::kXml, Encoding::kWbxml}) {
    EXPECT_EQ(ReadTnds(WriteTnds(*read, encoding)).value_or(TndsDocument()), *read);
  }
}

TEST(TndsTest, ImpliedNodesBelowGivenOnesSurviveToo) {
  TndsNode implied = {.name = "b", .is_implied = true, .children = {{.name = "c"}}};
  TndsNode inner = {.name = "x", .children = {implied}};
  const TndsDocument document = {.nodes = {{.name = "a", .children = {inner, {.name = "d"}}}}};
  EXPECT_EQ(ReadTnds(WriteTnds(document, Encoding::kXml)).value_or(TndsDocument()), document);
}

TEST(TndsTest, WhatIsNoTreeIsRefusedWithItsPlace) {
  EXPECT_THAT(ErrorOf("<MgmtTree>"), HasSubstr("line 1, column 11: "));
  EXPECT_THAT(ErrorOf("<SyncML/>"), HasSubstr("the outermost element is SyncML"));
  EXPECT_THAT(ErrorOf("<!DOCTYPE MgmtTree><MgmtTree/>"), HasSubstr("DOCTYPE"));
  EXPECT_THAT(ErrorOf(Tree("")), HasSubstr("no Node"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("no element found"));
  EXPECT_THAT(ErrorOf(absl::HexStringToBytes("03a4016a006d01")), HasSubstr("SyncML"));
}

TEST(TndsTest, NodesThatCouldMeanTwoThingsAreRefused) {
  const struct {
    const char* nodes;
    const char* error;
  } cases[] = {
      {"<Node/>", "no NodeName"},
      {"<Node><NodeName/></Node>", "empty NodeName"},
      {"<Node><NodeName>a/b</NodeName></Node>", "character that no node name may have"},
      {"<Node><NodeName>..</NodeName></Node>", ""},
      {"<Node><NodeName>a</NodeName><NodeName>b</NodeName></Node>", "NodeName given twice"},
      {"<Node><NodeName>a</NodeName></Node><Node><NodeName>a</NodeName></Node>",
       "./a is given twice"},
      {"<Node><NodeName>a</NodeName><Value>1</Value><Node><NodeName>b</NodeName></Node></Node>",
       "a has both a Value and child nodes"},
      {"<Node><NodeName>a</NodeName><Node><NodeName>b</NodeName><Path>a</Path></Node></Node>",
       "b has a Path within another Node"},
      {"<Node><NodeName>a</NodeName><Path>x?prop=ACL</Path></Node>", "query"},
      {"<Node><NodeName>a</NodeName><Value><b/></Value></Node>", "escape it"},
      {"<Node><NodeName>a</NodeName><RTProperties><Format><text/></Format></RTProperties></Node>",
       "unknown Format text"},
      {"<Node><NodeName>a</NodeName><RTProperties><ACL/><ACL/></RTProperties></Node>",
       "ACL given twice"},
  };
  for (const auto& one : cases) {
    EXPECT_THAT(ErrorOf(Tree(one.nodes)), HasSubstr(one.error)) << one.nodes;
  }
  EXPECT_THAT(ErrorOf(Tree(Leaf("a", "node", "x"))), HasSubstr("format node and a Value"));
  EXPECT_THAT(ErrorOf(Tree(Leaf("a", "bin", "?"))), HasSubstr("base64"));
}

TEST(TndsTest, OctetsWhereTextBelongsAreRefused) {
  const std::string head = absl::HexStringToBytes(
      "0300006a1b2d2f2f4f4d412f2f4454442d444d2d44444620312e322f2f454e000002606466");
  EXPECT_THAT(ErrorOf(absl::StrCat(head, absl::HexStringToBytes("c30100010101"))),
              HasSubstr("not text"));
}

TEST(TndsTest, LimitsHold) {
  std::string deep;
  for (int i = 0; i < 40; ++i) absl::StrAppend(&deep, "<Node><NodeName>a</NodeName>");
  for (int i = 0; i < 40; ++i) absl::StrAppend(&deep, "</Node>");
  EXPECT_EQ(ReadTnds(Tree(deep)).status().code(), absl::StatusCode::kResourceExhausted);
  std::string path = "a";
  for (int i = 0; i < 40; ++i) absl::StrAppend(&path, "/a");
  EXPECT_EQ(
      ReadTnds(Tree(absl::StrCat("<Node><NodeName>a</NodeName><Path>", path, "</Path></Node>")))
          .status()
          .code(),
      absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(
      ReadTnds(Tree("<Node><NodeName>a</NodeName></Node>"), {.max_elements = 3}).status().code(),
      absl::StatusCode::kResourceExhausted);
}

// Few octets that name many nodes.
TEST(TndsTest, ManyPathsTakeNeitherLongNorMuchMemory) {
  std::string nodes;
  for (int i = 0; i < 10000; ++i) {
    absl::StrAppend(&nodes, "<Node><NodeName>n</NodeName><Path>", i, "/b/c/d/e/f/g/h/i/j/k/l/m",
                    "</Path></Node>");
  }
  EXPECT_EQ(ReadTnds(Tree(nodes), {.max_bytes = size_t{16} << 20}).status().code(),
            absl::StatusCode::kResourceExhausted);
}

// A URI of each node must not repeat a long name once for each.
TEST(TndsTest, ALongNameAboveManyNodesIsRefusedWithLittleMemory) {
  std::string nodes;
  for (int i = 0; i < 5000; ++i) {
    absl::StrAppend(&nodes, "<Node><NodeName>", i, "</NodeName></Node>");
  }
  const auto below = [&nodes](size_t size) {
    return Tree(
        absl::StrCat("<Node><NodeName>", std::string(size, 'a'), "</NodeName>", nodes, "</Node>"));
  };
  EXPECT_TRUE(ReadTnds(below(2000)).ok());
  EXPECT_EQ(ErrorOf(below(500000)), "a node URI of more than 2048 octets");
}

TEST(TndsTest, ATypeIsToldWithoutRegardToCaseAndParameters) {
  EXPECT_TRUE(IsTndsType("application/vnd.syncml.dmtnds+xml"));
  EXPECT_TRUE(IsTndsType(" Application/vnd.SyncML.dmtnds+wbxml; charset=utf-8"));
  EXPECT_FALSE(IsTndsType("application/vnd.syncml.dm+xml"));
  EXPECT_FALSE(IsTndsType(""));
}

// What a message carries as TNDS in one encoding it carries in the other.
TEST(TndsMessageTest, TravelsAsWbxmlInWbxmlAndAsXmlInXml) {
  Message message;
  message.body.emplace_back().kind = CommandKind::kAdd;
  message.body[0].cmd_id = "1";
  message.body[0].items = {MakeTargetItem("./Inbox", WriteTnds(FullDocument(), Encoding::kXml))};
  message.body[0].items[0].meta = {.format = "xml", .type = std::string(kTndsXmlType)};
  const std::string wbxml = Encode(message, Encoding::kWbxml);
  EXPECT_THAT(wbxml, HasSubstr(kTndsWbxmlType));
  EXPECT_THAT(wbxml, HasSubstr(WriteTnds(FullDocument(), Encoding::kWbxml)));
  for (const Encoding encoding : {Encoding::kXml, Encoding::kWbxml}) {
    const auto read = Decode(Encode(message, encoding), encoding);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, message);
  }
}

TEST(TndsMessageTest, TextThatWouldChangeOnTheWayStaysText) {
  Message message;
  message.body.emplace_back().kind = CommandKind::kAdd;
  message.body[0].items = {MakeTargetItem("./Inbox", " <MgmtTree> ... </MgmtTree>")};
  message.body[0].items[0].meta.type = std::string(kTndsXmlType);
  EXPECT_EQ(Decode(Encode(message, Encoding::kWbxml), Encoding::kWbxml).value_or(Message()),
            message);
}

TEST(TndsMessageTest, AChunkIsLeftAsItIs) {
  Message message;
  message.body.emplace_back().kind = CommandKind::kAdd;
  message.body[0].items = {MakeTargetItem("./Inbox", WriteTnds(FullDocument(), Encoding::kWbxml))};
  message.body[0].items[0].meta.type = std::string(kTndsWbxmlType);
  message.body[0].items[0].more_data = true;
  EXPECT_EQ(Decode(Encode(message, Encoding::kWbxml), Encoding::kWbxml).value_or(Message()),
            message);
}

// Each document names a string of its table as often as it can.
TEST(TndsMessageTest, ManySmallDocumentsCannotBlowAMessageUp) {
  const TndsDocument small = {.nodes = {{.name = "n", .format = "chr", .value = "v"}}};
  std::string bomb = absl::HexStringToBytes("0300006a");
  const std::string table =
      absl::StrCat("-//OMA//DTD-DM-DDF 1.2//EN", std::string(1, '\0'), std::string(900, 'z'));
  bomb += absl::HexStringToBytes("8720") + table + std::string(1, '\0');
  bomb += absl::HexStringToBytes("607703312e320001646603410001") + '\x76';
  for (int i = 0; i < 500; ++i) bomb += absl::HexStringToBytes("831b");
  bomb += absl::HexStringToBytes("010101");
  EXPECT_EQ(ReadTnds(bomb).status().code(), absl::StatusCode::kResourceExhausted);
  Message message;
  message.body.emplace_back().kind = CommandKind::kAdd;
  for (int i = 0; i < 400; ++i) {
    message.body[0].items.push_back(MakeTargetItem("./Inbox", bomb));
    message.body[0].items.back().meta = {.format = "bin", .type = std::string(kTndsWbxmlType)};
  }
  message.body[0].items.push_back(MakeTargetItem("./Inbox", WriteTnds(small, Encoding::kXml)));
  message.body[0].items.back().meta.type = std::string(kTndsXmlType);
  const auto read = Decode(Encode(message, Encoding::kWbxml), Encoding::kWbxml);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, message) << "not as it came";
}

}  // namespace
}  // namespace virmo::syncml
