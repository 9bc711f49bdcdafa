// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "services/syncml/generic_alert.h"
#include "services/syncml/sample_messages.h"

namespace virmo::syncml {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

absl::StatusOr<Message> DecodeBody(absl::string_view body, const Limits& limits = {}) {
  return Decode(XmlWithBody(body), Encoding::kXml, limits);
}

// The data of the only item of the only command that a body with this Data has.
std::string DataOf(absl::string_view data_element) {
  const auto message = DecodeBody(
      absl::StrCat("<Replace><CmdID>1</CmdID><Item>", data_element, "</Item></Replace>"));
  if (!message.ok()) return message.status().ToString();
  return message->body.at(0).items.at(0).data.value_or("(none)");
}

std::string ErrorOf(absl::string_view xml) {
  const auto message = Decode(xml, Encoding::kXml);
  EXPECT_EQ(message.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(message.status().message());
}

TEST(XmlDecodeTest, ReadsPackage1) {
  const auto message = Decode(kPackage1, Encoding::kXml);
  ASSERT_TRUE(message.ok()) << message.status();

  const Header& header = message->header;
  EXPECT_EQ(header.ver_dtd, "1.2");
  EXPECT_EQ(header.ver_proto, "DM/1.3");
  EXPECT_EQ(header.session_id, "1F");
  EXPECT_EQ(header.msg_id, "1");
  EXPECT_EQ(header.target.uri, "https://virmo.example/dm");
  EXPECT_EQ(header.source.name, "vm-device-01");
  EXPECT_EQ(header.cred->data, "28VEUorkC0Iy6PUWFw5OKQ==");
  EXPECT_EQ(header.cred->meta.type, "syncml:auth-md5");
  EXPECT_EQ(header.meta.max_msg_size, 65536);
  EXPECT_EQ(header.meta.max_obj_size, 1048576);
  ASSERT_EQ(message->body.size(), 3U);
  EXPECT_EQ(message->body[0].data, "1200");
  EXPECT_EQ(message->body[2].kind, CommandKind::kReplace);
  ASSERT_EQ(message->body[2].items.size(), 5U);
  EXPECT_EQ(message->body[2].items[2].data, "Hypervisor box");
  EXPECT_TRUE(message->final);
}

TEST(XmlDecodeTest, ReadsTheOutcomeInPackage1) {
  const auto message = Decode(kPackage1, Encoding::kXml);
  ASSERT_TRUE(message.ok()) << message.status();
  const auto alerts = GenericAlertsOf(message->body[1]);
  ASSERT_EQ(alerts.size(), 1U);
  EXPECT_EQ(alerts[0].type, "urn:oma:at:virmo:1.0:Start");
  EXPECT_EQ(alerts[0].correlator, "c7");
  EXPECT_EQ(ParseOperationResult(alerts[0].data)->alert_id, "a1");
}

TEST(XmlDecodeTest, ReadsAChallenge) {
  const auto message = DecodeBody(
      "<Status><CmdID>1</CmdID><MsgRef>1</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd>"
      "<TargetRef>https://virmo.example/dm</TargetRef><SourceRef>urn:x</SourceRef>"
      "<Chal><Meta><Format xmlns='syncml:metinf'>b64</Format>"
      "<Type xmlns='syncml:metinf'>syncml:auth-md5</Type>"
      "<NextNonce xmlns='syncml:metinf'>ERITFBUWFxgZGhscHR4fIA==</NextNonce></Meta></Chal>"
      "<Data>401</Data></Status>"
      "<Status><CmdID>2</CmdID><MsgRef>1</MsgRef><CmdRef>1</CmdRef><Cmd>Alert</Cmd>"
      "<Data>401</Data></Status><Final/>");
  ASSERT_TRUE(message.ok()) << message.status();
  const Command& status = message->body.at(0);
  EXPECT_EQ(status.cmd_ref, "0");
  EXPECT_THAT(status.target_refs, ElementsAre("https://virmo.example/dm"));
  EXPECT_EQ(status.chal->meta.next_nonce, "ERITFBUWFxgZGhscHR4fIA==");
  EXPECT_EQ(ParseStatusCode(status.data), StatusCode::kInvalidCredentials);
  EXPECT_FALSE(message->body.at(1).chal.has_value());
}

TEST(XmlDecodeTest, NextMessageAnswerHasNoFinal) {
  const auto message = DecodeBody(
      "<Status><CmdID>1</CmdID><MsgRef>3</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd>"
      "<Data>200</Data></Status><Alert><CmdID>2</CmdID><Data>1222</Data></Alert>");
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_FALSE(message->final);
  EXPECT_EQ(ParseAlertCode(message->body.at(1).data), AlertCode::kNextMessage);
}

TEST(XmlDecodeTest, ReadsAChunkOfALargeObject) {
  const auto message = DecodeBody(
      "<Replace><CmdID>5</CmdID><Item><Target><LocURI>./PkgData</LocURI></Target>"
      "<Meta><Format xmlns='syncml:metinf'>b64</Format><Size xmlns='syncml:metinf'>90000</Size>"
      "</Meta><Data>AAEC</Data><MoreData/></Item></Replace>");
  ASSERT_TRUE(message.ok()) << message.status();
  const Item& item = message->body.at(0).items.at(0);
  EXPECT_EQ(item.meta.size, 90000);
  EXPECT_EQ(item.data, "AAEC");
  EXPECT_TRUE(item.more_data);
}

TEST(XmlDecodeTest, NamespacesAndPrefixesDoNotMatter) {
  const auto with = Decode(kPackage1, Encoding::kXml);
  const std::string bare = absl::StrReplaceAll(
      kPackage1, {{" xmlns=\"SYNCML:SYNCML1.2\"", ""}, {" xmlns=\"syncml:metinf\"", ""}});
  const std::string prefixed = absl::StrReplaceAll(
      kPackage1, {{"<SyncML xmlns=\"SYNCML:SYNCML1.2\"", "<s:SyncML xmlns:s=\"SYNCML:SYNCML1.2\""},
                  {"</SyncML>", "</s:SyncML>"},
                  {"<Format xmlns=\"syncml:metinf\">", "<syncml:metinf:Format>"},
                  {"</Format>", "</syncml:metinf:Format>"}});
  ASSERT_TRUE(with.ok());
  ASSERT_TRUE(Decode(bare, Encoding::kXml).ok());
  EXPECT_EQ(*Decode(bare, Encoding::kXml), *with);
  ASSERT_TRUE(Decode(prefixed, Encoding::kXml).ok());
  EXPECT_EQ(*Decode(prefixed, Encoding::kXml), *with);
}

TEST(XmlDecodeTest, OrderDoesNotMatter) {
  const auto message = DecodeBody(
      "<Final/><Status><Data>200</Data><Item><Data>x</Data><Target><LocURI>./A</LocURI></Target>"
      "</Item><Cmd>Get</Cmd><CmdID>9</CmdID><CmdRef>3</CmdRef></Status>");
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(message->body.at(0).cmd_id, "9");
  EXPECT_EQ(message->body.at(0).items.at(0).target->uri, "./A");
  EXPECT_TRUE(message->final);
}

TEST(XmlDecodeTest, SessionIdZeroAndGuidsAsCmdIdAreTakenAsTheyAre) {
  const std::string xml =
      absl::StrReplaceAll(XmlWithBody("<Get><CmdID>{8e6ac8d2-11f0}</CmdID></Get>"),
                          {{"<SessionID>1<", "<SessionID>0<"}, {"<MsgID>1<", "<MsgID>000<"}});
  const auto message = Decode(xml, Encoding::kXml);
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(message->header.session_id, "0");
  EXPECT_EQ(message->header.msg_id, "000");
  EXPECT_EQ(message->body.at(0).cmd_id, "{8e6ac8d2-11f0}");
}

TEST(XmlDecodeTest, WhiteSpaceIsTrimmedButInData) {
  const auto message = DecodeBody(
      "<Replace><CmdID>\n 1 </CmdID><Item><Target><LocURI>\n ./A \n</LocURI></Target>"
      "<Data>\n  two  spaces \n</Data></Item></Replace><Alert><Data> 1200 </Data></Alert>");
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(message->body[0].cmd_id, "1");
  EXPECT_EQ(message->body[0].items[0].target->uri, "./A");
  EXPECT_EQ(message->body[0].items[0].data, "\n  two  spaces \n");
  EXPECT_EQ(message->body[1].data, "1200");
}

TEST(XmlDecodeTest, CdataAndEscapedTextAreTheSameValue) {
  EXPECT_EQ(DataOf("<Data><![CDATA[<a b=\"c\">&amp;</a>]]></Data>"), "<a b=\"c\">&amp;</a>");
  EXPECT_EQ(DataOf("<Data>&lt;a b=&quot;c&quot;&gt;&amp;amp;&lt;/a&gt;</Data>"),
            "<a b=\"c\">&amp;</a>");
  EXPECT_EQ(DataOf("<Data>&lt;a<![CDATA[ b]]>=&#x22;c\"></Data>"), "<a b=\"c\">");
}

TEST(XmlDecodeTest, MarkupInDataComesAsText) {
  EXPECT_EQ(DataOf("<Data><MgmtTree xmlns='syncml:dmddf1.2'><VerDTD>1.2</VerDTD><Node/>"
                   "</MgmtTree></Data>"),
            "<MgmtTree xmlns=\"syncml:dmddf1.2\"><VerDTD>1.2</VerDTD><Node/></MgmtTree>");
  EXPECT_EQ(DataOf("<Data>a&lt;b <x y='&quot;&lt;&#10;'>&amp;<![CDATA[<]]></x> c&gt;</Data>"),
            "a&lt;b <x y=\"&quot;&lt;&#10;\">&amp;&lt;</x> c&gt;");
}

TEST(XmlDecodeTest, SyncMlElementsInDataDoNotLeakIntoTheMessage) {
  const auto message = DecodeBody(
      "<Replace><CmdID>1</CmdID><Item><Data><Item><Target><LocURI>./Evil</LocURI></Target>"
      "<Exec><CmdID>2</CmdID></Exec></Item></Data></Item></Replace>");
  ASSERT_TRUE(message.ok()) << message.status();
  ASSERT_EQ(message->body.size(), 1U);
  ASSERT_EQ(message->body[0].items.size(), 1U);
  EXPECT_FALSE(message->body[0].items[0].target.has_value());
}

TEST(XmlDecodeTest, AbsentAndEmptyDataDiffer) {
  EXPECT_EQ(DataOf("<Data/>"), "");
  EXPECT_EQ(DataOf("<Data></Data>"), "");
  EXPECT_EQ(DataOf(""), "(none)");
}

TEST(XmlDecodeTest, MissingCmdIdIsEmpty) {
  const auto message = DecodeBody("<Atomic><Replace><Item/></Replace></Atomic>");
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(message->body.at(0).cmd_id, "");
  EXPECT_EQ(message->body.at(0).children.at(0).cmd_id, "");
}

TEST(XmlDecodeTest, UnknownCommandsAreKeptWithNameAndId) {
  const auto message = DecodeBody(
      "<Frobnicate><CmdID>1</CmdID><Deep><CmdID>no</CmdID></Deep></Frobnicate>"
      "<Put><CmdID>2</CmdID></Put><Put><CmdID>3</CmdID></Put>"
      "<Sequence><CmdID>4</CmdID><x:Odd><CmdID>5</CmdID></x:Odd></Sequence>");
  ASSERT_TRUE(message.ok()) << message.status();
  ASSERT_EQ(message->body.size(), 4U);
  EXPECT_EQ(message->body[0].kind, CommandKind::kUnknown);
  EXPECT_EQ(message->body[0].unknown_name, "Frobnicate");
  EXPECT_EQ(message->body[0].cmd_id, "1");
  EXPECT_EQ(NameOf(message->body[1]), "Put");
  EXPECT_EQ(message->body[2].cmd_id, "3");
  EXPECT_EQ(message->body[3].children.at(0).unknown_name, "Odd");
}

TEST(XmlDecodeTest, UnknownElementsElsewhereAreSkippedWhole) {
  const auto message = DecodeBody(
      "<Get><CmdID>1</CmdID><Vendor><CmdID>9</CmdID><Item/></Vendor>"
      "<Item><Target><LocURI>./A<b>x</b>B</LocURI></Target></Item></Get>");
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(message->body.at(0).cmd_id, "1");
  ASSERT_EQ(message->body[0].items.size(), 1U);
  EXPECT_EQ(message->body[0].items[0].target->uri, "./AB");
}

TEST(XmlDecodeTest, MetaMayBeWrappedInMetInf) {
  const auto message = DecodeBody(
      "<Replace><CmdID>1</CmdID><Item><Meta><MetInf><Format>int</Format></MetInf></Meta></Item>"
      "</Replace>");
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(message->body.at(0).items.at(0).meta.format, "int");
}

TEST(XmlDecodeTest, NumbersThatCannotBeReadHarmTheirCommandAlone) {
  const auto message = DecodeBody(
      "<Replace><CmdID>1</CmdID><Item><Meta><Size>lots</Size></Meta></Item></Replace>"
      "<Replace><CmdID>2</CmdID><Item><Meta><Size>-5</Size></Meta></Item></Replace>"
      "<Replace><CmdID>3</CmdID><Item><Meta><Size> 7 </Size></Meta></Item></Replace>");
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(message->body[0].items[0].meta.size, -1);
  EXPECT_EQ(message->body[1].items[0].meta.size, -1);
  EXPECT_EQ(message->body[2].items[0].meta.size, 7);
}

TEST(XmlDecodeTest, FormatBinIsBase64OverXml) {
  const auto message = DecodeBody(
      "<Add><CmdID>1</CmdID><Item><Meta><Format>bin</Format></Meta><Data>AAEC</Data></Item></Add>");
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(message->body.at(0).items.at(0).meta.format, "b64");
  EXPECT_EQ(message->body.at(0).items.at(0).data, "AAEC");
}

TEST(XmlDecodeTest, OtherCharsetsComeOutAsUtf8) {
  const std::string xml = absl::StrCat("<?xml version='1.0' encoding='ISO-8859-1'?>",
                                       XmlWithBody("<Get><CmdID>\xE9</CmdID></Get>"));
  const auto message = Decode(xml, Encoding::kXml);
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(message->body.at(0).cmd_id, "\xC3\xA9");
}

TEST(XmlDecodeTest, WhatCouldMeanTwoThingsIsRefused) {
  EXPECT_THAT(ErrorOf(XmlWithBody("<Get><CmdID>1</CmdID><CmdID>2</CmdID></Get>")),
              HasSubstr("Get has CmdID more than once"));
  EXPECT_THAT(ErrorOf(XmlWithBody("<Exec><Item><Target><LocURI>./A</LocURI></Target>"
                                  "<Target><LocURI>./B</LocURI></Target></Item></Exec>")),
              HasSubstr("Item has Target more than once"));
  EXPECT_THAT(ErrorOf("<SyncML><SyncHdr/><SyncHdr/><SyncBody/></SyncML>"),
              HasSubstr("SyncML has SyncHdr more than once"));
}

TEST(XmlDecodeTest, WhatIsNoMessageIsRefused) {
  EXPECT_THAT(ErrorOf("<html/>"), HasSubstr("not SyncML"));
  EXPECT_THAT(ErrorOf("<SyncML><SyncBody/></SyncML>"), HasSubstr("no SyncHdr"));
  EXPECT_THAT(ErrorOf("<SyncML><SyncHdr/></SyncML>"), HasSubstr("no SyncBody"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("line 1"));
}

TEST(XmlDecodeTest, DoctypeAndEntitiesAreRefused) {
  EXPECT_THAT(ErrorOf(absl::StrCat("<!DOCTYPE SyncML [<!ENTITY a 'x'>]>", kPackage1)),
              HasSubstr("DOCTYPE"));
  EXPECT_THAT(ErrorOf(XmlWithBody("<Get><CmdID>&a;</CmdID></Get>")), HasSubstr("undefined entity"));
}

TEST(XmlDecodeTest, EveryTruncationIsRefused) {
  const absl::string_view whole = kPackage1.substr(0, kPackage1.rfind('>'));
  for (size_t size = 0; size <= whole.size(); ++size) {
    EXPECT_FALSE(Decode(whole.substr(0, size), Encoding::kXml).ok()) << size;
  }
}

TEST(XmlDecodeTest, DeepNestingIsRefusedWhereverItIs) {
  std::string open;
  std::string close;
  for (int i = 0; i < 100000; ++i) {
    open += "<Sequence>";
    close += "</Sequence>";
  }
  const Limits limits = {.max_bytes = size_t{10} << 20};
  EXPECT_EQ(DecodeBody(open + close, limits).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Decode(open + close, Encoding::kXml, limits).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(XmlDecodeTest, TenMegabytesAreRefusedByDefaultAndReadWhenAllowed) {
  const std::string data(size_t{10} << 20, 'x');
  const std::string body =
      absl::StrCat("<Replace><CmdID>1</CmdID><Item><Data>", data, "</Data></Item></Replace>");
  EXPECT_EQ(DecodeBody(body).status().code(), absl::StatusCode::kResourceExhausted);

  const auto message = DecodeBody(body, {.max_bytes = size_t{11} << 20});
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(message->body.at(0).items.at(0).data, data);
}

TEST(XmlDecodeTest, TooManyElementsAreRefused) {
  std::string body;
  for (int i = 0; i < 101; ++i) body += "<Get/>";
  EXPECT_EQ(DecodeBody(body, {.max_elements = 100}).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(XmlDecodeTest, LimitsOfZeroRefuseTheRoot) {
  EXPECT_EQ(Decode("<SyncML/>", Encoding::kXml, {.max_depth = 0}).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Decode("<SyncML/>", Encoding::kXml, {.max_elements = 0}).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(XmlDecodeTest, ManyTinyCommandsCannotFillTheMemory) {
  std::string commands;
  for (int i = 0; i < 10001; ++i) commands += "<Get/>";
  EXPECT_EQ(DecodeBody(commands).status().code(), absl::StatusCode::kResourceExhausted);
  std::string items;
  for (int i = 0; i < 10000; ++i) items += "<Item/>";
  EXPECT_EQ(DecodeBody("<Atomic><Get>" + items + "</Get></Atomic>").status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(DecodeBody("<Get>" + items.substr(7) + "</Get>").ok());
}

TEST(XmlEncodeTest, FollowsTheDtdInOrderAndNamespaces) {
  Message message = FullMessage();
  message.body.resize(1);
  const std::string meta =
      "<Meta><Format xmlns=\"syncml:metinf\">chr</Format>"
      "<Type xmlns=\"syncml:metinf\">text/plain</Type><Mark xmlns=\"syncml:metinf\">warning</Mark>"
      "<Size xmlns=\"syncml:metinf\">90000</Size>"
      "<NextNonce xmlns=\"syncml:metinf\">ERITFBUWFxgZGhscHR4fIA==</NextNonce>"
      "<MaxMsgSize xmlns=\"syncml:metinf\">65536</MaxMsgSize>"
      "<MaxObjSize xmlns=\"syncml:metinf\">1048576</MaxObjSize></Meta>";
  const std::string cred =
      "<Cred><Meta><Format xmlns=\"syncml:metinf\">b64</Format>"
      "<Type xmlns=\"syncml:metinf\">syncml:auth-md5</Type></Meta><Data>AAEC</Data></Cred>";
  EXPECT_EQ(
      Encode(message, Encoding::kXml),
      absl::StrCat(
          "<?xml version=\"1.0\" encoding=\"UTF-8\"?><SyncML xmlns=\"SYNCML:SYNCML1.2\"><SyncHdr>"
          "<VerDTD>1.2</VerDTD><VerProto>DM/1.3</VerProto><SessionID>1F</SessionID>"
          "<MsgID>2</MsgID><Target><LocURI>https://s/dm</LocURI></Target>"
          "<Source><LocURI>urn:x:d1</LocURI><LocName>dev</LocName></Source>"
          "<RespURI>https://s/dm?a=1&amp;b=2</RespURI><NoResp/>",
          cred, meta,
          "</SyncHdr><SyncBody><Status><CmdID>1</CmdID><MsgRef>2</MsgRef><CmdRef>0</CmdRef>"
          "<Cmd>SyncHdr</Cmd><TargetRef>https://s/dm</TargetRef><SourceRef>urn:x:d1</SourceRef>",
          cred, "<Chal>", meta, "</Chal><Data>401</Data><Item>",
          "<Target><LocURI>./A/B</LocURI></Target>"
          "<Source><LocURI>./C</LocURI><LocName>name</LocName></Source>"
          "<SourceParent><LocURI>./P</LocURI></SourceParent>"
          "<TargetParent><LocURI>./Q</LocURI></TargetParent>",
          meta,
          "<Data> white&#13;\n &lt;b&gt;&amp;amp;]]&gt; \xC3\xA9\t</Data><MoreData/></Item>"
          "</Status><Final/></SyncBody></SyncML>"));
}

TEST(XmlEncodeTest, ResultsAlertAndExecFollowTheDtd) {
  const std::string xml = Encode(FullMessage(), Encoding::kXml);
  EXPECT_THAT(xml,
              HasSubstr("<Results><CmdID>2</CmdID><MsgRef>1</MsgRef><CmdRef>1</CmdRef><Meta>"));
  EXPECT_THAT(xml, HasSubstr("</Meta><TargetRef>./A</TargetRef><SourceRef>./B</SourceRef><Item>"));
  EXPECT_THAT(xml, HasSubstr("<Alert><CmdID>3</CmdID><Data>1226</Data>"
                             "<Correlator>c7</Correlator><Item>"));
  EXPECT_THAT(xml, HasSubstr("</Meta><Correlator>c8</Correlator><Item>"));
}

TEST(XmlEncodeTest, EverythingSurvivesARoundTrip) {
  const Message message = FullMessage();
  const auto decoded = Decode(Encode(message, Encoding::kXml), Encoding::kXml);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(*decoded, message);
}

TEST(XmlEncodeTest, EveryTextOfXmlSurvivesInData) {
  std::string all = "]]> <![CDATA[ \r \r\n \xEF\xBF\xBD \xF4\x8F\xBF\xBF";
  for (char c = 0x20; c != 0x7F; ++c) all.push_back(c);
  Message message;
  message.body.emplace_back().kind = CommandKind::kReplace;
  message.body[0].items = {MakeTargetItem("./A", all)};
  const auto decoded = Decode(Encode(message, Encoding::kXml), Encoding::kXml);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->body.at(0).items.at(0).data, all);
}

TEST(XmlEncodeTest, CharactersThatXmlCannotHoldAreReplacedVisibly) {
  const std::string data(
      "a\0b\x1b"
      "c\xFF"
      "d\xED\xA0\x80"
      "e\xEF\xBF\xBE",
      14);
  EXPECT_FALSE(IsXmlText(data));
  Message message;
  message.body.emplace_back().kind = CommandKind::kReplace;
  message.body[0].items = {MakeTargetItem("./A", data)};
  const auto decoded = Decode(Encode(message, Encoding::kXml), Encoding::kXml);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(decoded->body.at(0).items.at(0).data,
            absl::StrCat("a", r, "b", r, "c", r, "d", r, r, r, "e", r, r, r));
}

TEST(XmlEncodeTest, OctetsOfFormatBinAreWrittenAsBase64) {
  Message message;
  message.body.emplace_back().kind = CommandKind::kReplace;
  message.body[0].items = {MakeTargetItem("./A", std::string("\0\x01\x02", 3))};
  message.body[0].items[0].meta.format = "bin";
  const auto decoded = Decode(Encode(message, Encoding::kXml), Encoding::kXml);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->body.at(0).items.at(0).meta.format, "b64");
  EXPECT_EQ(decoded->body.at(0).items.at(0).data, "AAEC");
}

TEST(XmlEncodeTest, UnknownCommandsAreNotSent) {
  Message message;
  message.body.emplace_back().unknown_name = "Frob><Exec/";
  EXPECT_THAT(Encode(message, Encoding::kXml), Not(HasSubstr("Frob")));
}

TEST(MessageTest, StatusBuildersReferToWhatTheyAnswer) {
  const Message message = FullMessage();
  const Command& results = message.body[1];
  const Command status =
      MakeItemStatus("9", message.header.msg_id, results, results.items[1], StatusCode::kNotFound);
  EXPECT_EQ(status.cmd, "Results");
  EXPECT_EQ(status.cmd_ref, "2");
  EXPECT_EQ(status.msg_ref, "2");
  EXPECT_EQ(status.data, "404");
  EXPECT_THAT(status.source_refs, ElementsAre("./E"));
  EXPECT_THAT(status.target_refs, IsEmpty());
}

TEST(MessageTest, MetaOfTheItemWinsOverTheCommandsAndTheDefault) {
  Command command;
  Item item;
  EXPECT_EQ(FormatOf(command, item), "chr");
  EXPECT_EQ(TypeOf(command, item), "text/plain");
  command.meta.format = "int";
  EXPECT_EQ(FormatOf(command, item), "int");
  item.meta.format = "bool";
  EXPECT_EQ(FormatOf(command, item), "bool");
}

TEST(ContentTypeTest, AreKnownBothWays) {
  for (const Encoding encoding : {Encoding::kXml, Encoding::kWbxml}) {
    EXPECT_EQ(EncodingOf(ContentType(encoding)), encoding);
  }
  EXPECT_EQ(EncodingOf(" Application/VND.syncml.dm+WBXML ; charset=utf-8"), Encoding::kWbxml);
  EXPECT_EQ(EncodingOf("application/vnd.syncml+xml"), Encoding::kXml);
  EXPECT_FALSE(EncodingOf("text/html").has_value());
  EXPECT_FALSE(EncodingOf("").has_value());
}

TEST(ContentTypeTest, SniffTellsTheEncodingsApart) {
  const Message message = FullMessage();
  EXPECT_EQ(Sniff(Encode(message, Encoding::kXml)), Encoding::kXml);
  EXPECT_EQ(Sniff(Encode(message, Encoding::kWbxml)), Encoding::kWbxml);
  EXPECT_EQ(Sniff("\xEF\xBB\xBF<SyncML/>"), Encoding::kXml);
  EXPECT_EQ(Sniff("\x02\xA4"), Encoding::kWbxml);
  EXPECT_EQ(Sniff(""), Encoding::kXml);
}

}  // namespace
}  // namespace virmo::syncml
