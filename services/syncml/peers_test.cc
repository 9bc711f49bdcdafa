// SPDX-License-Identifier: Apache-2.0
// Messages as deployed clients and servers send them, with what they get wrong. Written from what
// is known of these peers; one test for each habit that a reader must live with.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "services/syncml/codec.h"
#include "services/syncml/credential.h"
#include "services/syncml/generic_alert.h"
#include "services/syncml/sample_messages.h"
#include "services/syncml/user_interaction.h"

namespace virmo::syncml {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Message ReadXml(absl::string_view xml) {
  auto message = Decode(xml, Encoding::kXml);
  EXPECT_TRUE(message.ok()) << message.status();
  return message.value_or(Message());
}

Message ReadHex(absl::string_view hex) {
  const std::string octets =
      absl::HexStringToBytes(absl::StrReplaceAll(hex, {{" ", ""}, {"\n", ""}}));
  EXPECT_EQ(Sniff(octets), Encoding::kWbxml);
  auto message = Decode(octets, Encoding::kWbxml);
  EXPECT_TRUE(message.ok()) << message.status();
  return message.value_or(Message());
}

// An inline string, as hex.
std::string Str(absl::string_view text) {
  return absl::StrCat("03", absl::BytesToHexString(text), "00");
}

TEST(WindowsClientTest, Package1WithAClientEventAndDevInfo) {
  const Message message = ReadXml(R"(<?xml version="1.0" encoding="utf-8"?>
<SyncML xmlns="SYNCML:SYNCML1.2"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto>
<SessionID>0</SessionID><MsgID>1</MsgID>
<Target><LocURI>https://mdm.example/ManagementServer/MDM.svc?mode=Maintenance&amp;Platform=WoA</LocURI></Target>
<Source><LocURI>urn:uuid:0D0A3A1C-0000-0000-0000-000000000001</LocURI><LocName>dummy</LocName></Source>
<Cred><Meta><Format xmlns="syncml:metinf">b64</Format><Type xmlns="syncml:metinf">syncml:auth-md5</Type></Meta>
<Data>Zz6EivR3yeaaENcRN6lpAQ==</Data></Cred></SyncHdr>
<SyncBody xmlns:msft="http://schemas.microsoft.com/MobileDevice/MDM">
<Alert><CmdID>2</CmdID><Data>1201</Data></Alert>
<Alert><CmdID>3</CmdID><Data>1224</Data><Item><Meta><Type xmlns="syncml:metinf">com.microsoft/MDM/LoginStatus</Type></Meta><Data>user</Data></Item></Alert>
<Replace><CmdID>4</CmdID><Item><Source><LocURI>./DevInfo/DevId</LocURI></Source><Data>urn:uuid:0D0A3A1C</Data></Item></Replace>
<Final/></SyncBody></SyncML>)");
  EXPECT_EQ(message.header.session_id, "0");
  EXPECT_EQ(message.header.target.uri,
            "https://mdm.example/ManagementServer/MDM.svc?mode=Maintenance&Platform=WoA");
  ASSERT_EQ(message.body.size(), 3U);
  EXPECT_EQ(message.body[1].items[0].meta.type, "com.microsoft/MDM/LoginStatus");
  EXPECT_TRUE(Proves(*message.header.cred, MakeIdentity("Bruce2", "OhBehave"), "Nonce"));
  EXPECT_TRUE(message.final);
}

TEST(FleetServerTest, GuidsAsCmdIdAndUnescapedXmlInData) {
  const Message message = ReadXml(XmlWithBody(
      "<Replace><CmdID>9b1c7f1e-8a51-4c51-9d3c-3c0a2f7d1e10</CmdID><Item><Target><LocURI> "
      "./Device/Vendor/MSFT/WiFi/Profile/a/WlanXml\n</LocURI></Target><Meta><Format "
      "xmlns=\"syncml:metinf\">xml</Format></Meta><Data><?x y?><a b=\"c\"><![CDATA[<&]]></a>"
      "</Data></Item></Replace><Final />"));
  EXPECT_EQ(message.body[0].cmd_id, "9b1c7f1e-8a51-4c51-9d3c-3c0a2f7d1e10");
  EXPECT_EQ(message.body[0].items[0].target->uri, "./Device/Vendor/MSFT/WiFi/Profile/a/WlanXml");
  EXPECT_EQ(message.body[0].items[0].data, "<a b=\"c\">&lt;&amp;</a>");
}

TEST(FleetServerTest, ChildrenOfAnAtomicMayHaveNoCmdId) {
  const Message message = ReadXml(
      XmlWithBody("<Atomic><CmdID>1</CmdID><Replace><Item><Target><LocURI>./a</LocURI></Target>"
                  "</Item></Replace><Add><CmdID>3</CmdID></Add></Atomic>"));
  ASSERT_EQ(message.body[0].children.size(), 2U);
  EXPECT_EQ(message.body[0].children[0].cmd_id, "");
  EXPECT_EQ(message.body[0].children[1].cmd_id, "3");
}

TEST(FleetServerTest, CdataAndEscapedTextAreOneValue) {
  EXPECT_EQ(ReadXml(XmlWithBody("<Add><Item><Data><![CDATA[<a>&]]></Data></Item></Add>")),
            ReadXml(XmlWithBody("<Add><Item><Data>&lt;a&gt;&amp;</Data></Item></Add>")));
}

TEST(FunambolServerTest, NoNamespaceOneElementALineAndARespUri) {
  const Message message = ReadXml(R"(<SyncML>
<SyncHdr>
<VerDTD>1.2</VerDTD>
<VerProto>DM/1.2</VerProto>
<SessionID>1F</SessionID>
<MsgID>1</MsgID>
<Target><LocURI>IMEI:1</LocURI></Target>
<Source><LocURI>http://s:8080/funambol/dm</LocURI></Source>
<RespURI>http://s:8080/funambol/dm?sid=AAAA&amp;x=1</RespURI>
</SyncHdr>
<SyncBody>
<Status>
<CmdID>1</CmdID>
<MsgRef>1</MsgRef>
<CmdRef>0</CmdRef>
<Cmd>SyncHdr</Cmd>
<TargetRef>http://s:8080/funambol/dm</TargetRef>
<SourceRef>IMEI:1</SourceRef>
<Data>400</Data>
<Item><Data>Unsupported protocol version DM/1.3</Data></Item>
</Status>
<Final/>
</SyncBody>
</SyncML>
)");
  EXPECT_EQ(message.header.resp_uri, "http://s:8080/funambol/dm?sid=AAAA&x=1");
  EXPECT_EQ(message.body[0].data, "400");
  EXPECT_EQ(message.body[0].items[0].data, "Unsupported protocol version DM/1.3");
}

// WBXML 1.2, the public id and more in the string table, some texts from there.
TEST(FunambolServerTest, WbxmlWithAStringTable) {
  const std::string table =
      absl::StrCat("-//SYNCML//DTD SyncML 1.2//EN", std::string(1, '\0'), "DM/1.2",
                   std::string(1, '\0'), "./DevInfo/Man", std::string(1, '\0'));
  const Message message = ReadHex(absl::StrCat(
      "02 00 00 6a ", absl::Hex(table.size(), absl::kZeroPad2), absl::BytesToHexString(table),
      "6d 6c 71", Str("1.2"), "01 72 83 1e 01 65", Str("1"), "01 5b", Str("1"), "01 01 6b 53 4b",
      Str("2"), "01 54 6e 57 83 25 01 01 01 01 12 01 01"));
  EXPECT_EQ(message.header.ver_proto, "DM/1.2");
  EXPECT_EQ(message.body[0].kind, CommandKind::kGet);
  EXPECT_EQ(message.body[0].items[0].target->uri, "./DevInfo/Man");
}

// The namespace as an attribute, named by index 0 of no string table.
TEST(NokiaClientTest, WbxmlWithAttributes) {
  const Message message = ReadHex(
      absl::StrCat("02 a4 01 6a 00 ed 04 00", Str("SYNCML:SYNCML1.2"), "01 6c 71", Str("1.2"),
                   "01 01 6b 46 4b", Str("1"), "01 4f", Str("1226"), "01 54 67 57", Str("./FUMO/x"),
                   "01 01 da 00 01 05", Str("syncml:metinf"), "01 00 01 47", Str("text/plain"),
                   "01 53", Str("org.openmobilealliance.dm.firmwareupdate.update"),
                   "01 00 00 01 4f", Str("200"), "01 01 01 01 01"));
  const auto alerts = GenericAlertsOf(message.body[0]);
  ASSERT_EQ(alerts.size(), 1U);
  EXPECT_EQ(alerts[0].format, "text/plain");
  EXPECT_EQ(alerts[0].type, "org.openmobilealliance.dm.firmwareupdate.update");
  EXPECT_EQ(alerts[0].source_uri, "./FUMO/x");
  EXPECT_EQ(ParseOperationResult(alerts[0].data)->result_code, 200);
}

TEST(SamsungClientTest, Wbxml12WithOpaqueTextAndNonce) {
  const Message message = ReadHex(absl::StrCat(
      "02 a4 01 6a 00 6d 6c 72 c3 06", absl::BytesToHexString("DM/1.2"), "01 67 57 c3 06",
      absl::BytesToHexString("IMEI:1"), "01 56 c3 03", absl::BytesToHexString("dev"),
      "01 01 01 6b 69 4b", Str("1"), "01 4c", Str("0"), "01 4a", Str("SyncHdr"),
      "01 49 5a 00 01 47", Str("b64"), "01 53", Str("syncml:auth-md5"),
      "01 50 c3 04 00ff0102 01 01 01 00 00 4f", Str("401"), "01 01 12 01 01"));
  EXPECT_EQ(message.header.ver_proto, "DM/1.2");
  EXPECT_EQ(message.header.source.name, "dev");
  EXPECT_EQ(NextNonceOf(message.body[0].chal), std::string("\0\xff\1\2", 4));
  EXPECT_EQ(message.body[0].data, "401");
}

TEST(LibdmclientTest, PostsUnderTheTypeOfSyncMl) {
  EXPECT_EQ(EncodingOf("application/vnd.syncml+xml; charset=UTF-8"), Encoding::kXml);
  EXPECT_EQ(EncodingOf("application/vnd.syncml+wbxml"), Encoding::kWbxml);
  EXPECT_EQ(EncodingOf("Application/vnd.syncml.dm+xml"), Encoding::kXml);
}

// The toolkit below it writes MetInf around what Meta holds, and prefixes for namespaces.
TEST(LibdmclientTest, MetInfAndPrefixes) {
  const Message message = ReadXml(
      "<s:SyncML xmlns:s='SYNCML:SYNCML1.2' xmlns:m='syncml:metinf'><s:SyncHdr><s:MsgID>1</s:MsgID>"
      "<s:Meta><m:MetInf><m:MaxMsgSize> 16384 </m:MaxMsgSize></m:MetInf></s:Meta></s:SyncHdr>"
      "<s:SyncBody><s:Final/></s:SyncBody></s:SyncML>");
  EXPECT_EQ(message.header.meta.max_msg_size, 16384);
}

TEST(WebOsServerTest, ACmdIdTwiceAndDataBeforeTargetRef) {
  const Message message = ReadXml(XmlWithBody(
      "<Status><Data>212</Data><Cmd>SyncHdr</Cmd><CmdRef>0</CmdRef><TargetRef>a</TargetRef>"
      "<CmdID>1</CmdID></Status><Get><CmdID>2</CmdID></Get><Get><CmdID>2</CmdID></Get>"));
  EXPECT_EQ(message.body[0].data, "212");
  EXPECT_THAT(message.body[0].target_refs, ElementsAre("a"));
  EXPECT_EQ(message.body[1].cmd_id, message.body[2].cmd_id);
}

TEST(OmaExampleTest, ReferencesMayBeMissing) {
  const Message message =
      ReadXml(XmlWithBody("<Status><CmdID>1</CmdID><Cmd>SyncHdr</Cmd><Data>200</Data></Status>"
                          "<Results><CmdID>2</CmdID><Item/></Results>"));
  EXPECT_EQ(message.body[0].cmd_ref, "");
  EXPECT_EQ(message.body[0].msg_ref, "");
  EXPECT_THAT(message.body[1].target_refs, IsEmpty());
}

TEST(AospTest, OptionsOfAlertsAreUrlEncoded) {
  const Message message = ReadXml(
      XmlWithBody("<Alert><CmdID>2</CmdID><Data>1102</Data><Item><Data>MAXDT=30&amp;DR=%2B390123"
                  "&amp;IT=P&amp;X=y</Data></Item><Item><Data>Some text</Data></Item></Alert>"));
  const auto interaction = ParseInteraction(message.body[0]);
  ASSERT_TRUE(interaction.ok()) << interaction.status();
  EXPECT_EQ(interaction->options.default_response, "+390123");
  EXPECT_EQ(interaction->options.input_type, InputType::kPhone);
}

// Its toolkit takes a bare & for itself; XML does not, and nor do we: what it means is a guess.
TEST(AospTest, ABareAmpersandIsRefusedWithItsPlace) {
  const auto message = Decode("<SyncML>\n<Data>MINDT=1&MAXDT=2</Data></SyncML>", Encoding::kXml);
  EXPECT_EQ(message.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(message.status().message()), HasSubstr("line 2, column "));
}

TEST(MicrosoftRuleTest, AnUnknownElementIsKeptToBeAnswered) {
  const Message message = ReadXml(XmlWithBody(
      "<Map><CmdID>1</CmdID></Map><Sequence><CmdID>2</CmdID><Foo><CmdID>3</CmdID></Foo></Sequence>"
      "<Get/>"));
  EXPECT_EQ(NameOf(message.body[0]), "Map");
  EXPECT_EQ(message.body[0].cmd_id, "1");
  EXPECT_EQ(NameOf(message.body[1].children[0]), "Foo");
  EXPECT_EQ(message.body[2].cmd_id, "");
}

TEST(MediatekClientTest, ABareUrnIsAnAlertsType) {
  EXPECT_EQ(AlertType(" urn:oma:at:lawmo:1.0:OperationComplete "),
            "urn:oma:at:lawmo:1.0:OperationComplete");
  EXPECT_EQ(AlertType("Reversed-Domain-Name: org.x"), "org.x");
}

}  // namespace
}  // namespace virmo::syncml
