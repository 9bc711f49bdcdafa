// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "services/syncml/codec.h"
#include "services/syncml/sample_messages.h"
#include "services/syncml/wbxml_token.h"

namespace virmo::syncml {
namespace {

using ::testing::HasSubstr;

std::string Hex(absl::string_view hex) {
  return absl::HexStringToBytes(absl::StrReplaceAll(hex, {{" ", ""}, {"\n", ""}}));
}

// An inline string.
std::string Str(absl::string_view text) { return absl::StrCat("\x03", text, Hex("00")); }

const std::string kPreamble = Hex("03 a401 6a 00");

// SyncHdr (DM/1.2, session 1, message 1) and the opening of SyncBody; `body` ends with END END.
std::string WithBody(absl::string_view body, const std::string& preamble = kPreamble) {
  return absl::StrCat(preamble,
                      Hex("6d 6c 71 03312e3200 01 72 03444d2f312e3200 01 65 033100 01 5b"
                          "033100 01 6e 57 0375726e3a783a643100 01 01 67 57"
                          "03687474703a2f2f732f646d00 01 01 01 6b"),
                      body, Hex("01 01"));
}

// A Replace with one Item that holds `item`.
std::string WithItem(absl::string_view item) {
  return WithBody(absl::StrCat(Hex("60 4b 033100 01 54"), item, Hex("01 01")));
}

absl::StatusOr<Message> Read(absl::string_view octets, const Limits& limits = {}) {
  return Decode(octets, Encoding::kWbxml, limits);
}

std::string DataOf(absl::string_view octets) {
  const auto message = Read(octets);
  if (!message.ok()) return message.status().ToString();
  return message->body.at(0).items.at(0).data.value_or("(none)");
}

absl::StatusCode CodeOf(absl::string_view octets) { return Read(octets).status().code(); }

TEST(WbxmlDecodeTest, ReadsTheWorkedVector) {
  const auto message = Read(WithBody(Hex("12")));
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(message->header.ver_dtd, "1.2");
  EXPECT_EQ(message->header.ver_proto, "DM/1.2");
  EXPECT_EQ(message->header.session_id, "1");
  EXPECT_EQ(message->header.msg_id, "1");
  EXPECT_EQ(message->header.target.uri, "urn:x:d1");
  EXPECT_EQ(message->header.source.uri, "http://s/dm");
  EXPECT_TRUE(message->final);
  EXPECT_TRUE(message->body.empty());
}

TEST(WbxmlEncodeTest, WritesTheWorkedVector) {
  Message message;
  message.header = {.ver_dtd = "1.2", .ver_proto = "DM/1.2", .session_id = "1", .msg_id = "1"};
  message.header.target.uri = "urn:x:d1";
  message.header.source.uri = "http://s/dm";
  message.final = true;
  EXPECT_EQ(absl::BytesToHexString(Encode(message, Encoding::kWbxml)),
            absl::BytesToHexString(WithBody(Hex("12"))));
}

TEST(WbxmlDecodeTest, BothFormsOfThePublicIdAndEveryMinorVersionAreRead) {
  const std::string name = "-//SYNCML//DTD SyncML 1.2//EN";
  const std::string in_table = absl::StrCat(Hex("02 00 00 6a 1e"), name, Hex("00"));
  EXPECT_TRUE(Read(WithBody(Hex("12"), in_table)).ok());
  for (const char* preamble : {"01 a401 6a 00", "02 9f53 6a 00", "00 9f51 00 00", "03 01 03 00"}) {
    EXPECT_TRUE(Read(WithBody(Hex("12"), Hex(preamble))).ok()) << preamble;
  }
}

TEST(WbxmlDecodeTest, ForeignDocumentsAreRefused) {
  const std::string ddf =
      absl::StrCat(Hex("03 00 00 6a 1b"), "-//OMA//DTD-DM-DDF 1.2//EN", Hex("00"));
  EXPECT_EQ(CodeOf(WithBody(Hex("12"), ddf)), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(WithBody(Hex("12"), Hex("13 a401 6a 00"))), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(WithBody(Hex("12"), Hex("03 a401 04 00"))), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(WithBody(Hex("12"), Hex("03 00 05 6a 00"))), absl::StatusCode::kInvalidArgument);
}

TEST(WbxmlDecodeTest, TextMayComeInEveryForm) {
  EXPECT_EQ(DataOf(WithItem(absl::StrCat(Hex("4f"), Str("abc"), Hex("01")))), "abc");
  EXPECT_EQ(DataOf(WithItem(Hex("4f c3 03 610062 01"))), std::string("a\0b", 3));
  EXPECT_EQ(DataOf(WithItem(Hex("4f 02 81 69 01"))), "\xC3\xA9");
  EXPECT_EQ(DataOf(WithItem(Hex("4f 02 87a600 01"))), "\xF0\x9D\x8C\x80");
  EXPECT_EQ(DataOf(WithItem(
                absl::StrCat(Hex("4f"), Str("a"), Hex("c301 62 02 63"), Str("d"), Hex("01")))),
            "abcd");
  EXPECT_EQ(DataOf(WithItem(Hex("0f"))), "");
  EXPECT_EQ(DataOf(WithItem(Hex("4f 01"))), "");
}

TEST(WbxmlDecodeTest, StringTableIsReadFromAnyOffset) {
  const std::string preamble = absl::StrCat(Hex("03 a401 6a 08"), "hello", Hex("00"), "yo");
  const auto body = [](absl::string_view index) {
    return absl::StrCat(Hex("60 4b 033100 01 54 4f 83"), Hex(index), Hex("01 01 01"));
  };
  EXPECT_EQ(DataOf(WithBody(body("00"), preamble)), "hello");
  EXPECT_EQ(DataOf(WithBody(body("02"), preamble)), "llo");
  EXPECT_EQ(DataOf(WithBody(body("05"), preamble)), "");
  EXPECT_EQ(DataOf(WithBody(body("06"), preamble)), "yo");
  EXPECT_EQ(CodeOf(WithBody(body("08"), preamble)), absl::StatusCode::kInvalidArgument);
}

// Written by Debian's xml2wbxml 0.11.8: WBXML 1.2, header URIs in the string table.
TEST(WbxmlDecodeTest, ReadsWhatLibwbxmlWrites) {
  const auto message =
      Read(Hex("02a4016a1d75726e3a783a6465766963652d6f6e6500687474703a2f2f73"
               "2f646d006d6c7103312e3200017203444d2f312e32000165033100015b03"
               "3100016e5783000101675783110101016b694b033100015c033100014c03"
               "3000014a0353796e6348647200016f83110168830001495a000147036236"
               "340001530373796e636d6c3a617574682d6d643500015003455249544642"
               "55574678675a476873634852346649413d3d0001010100004f0334303100"
               "0101534b03320001546e57032e2f446576496e666f2f4d616e0001010101"
               "120101"));
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(message->header.target.uri, "urn:x:device-one");
  EXPECT_EQ(message->header.source.uri, "http://s/dm");
  ASSERT_EQ(message->body.size(), 2U);
  EXPECT_EQ(message->body[0].target_refs, std::vector<std::string>{"http://s/dm"});
  EXPECT_EQ(message->body[0].chal->meta.next_nonce, "ERITFBUWFxgZGhscHR4fIA==");
  EXPECT_EQ(message->body[0].data, "401");
  EXPECT_EQ(message->body[1].items.at(0).target->uri, "./DevInfo/Man");
}

TEST(WbxmlDecodeTest, PagesSwitchAndStay) {
  // Meta on page 1, then a switch back for Data.
  const std::string item = absl::StrCat(Hex("5a 0001 47"), Str("int"), Hex("01 52"), Str("7"),
                                        Hex("01 01 0000 4f"), Str("42"), Hex("01"));
  const auto message = Read(WithItem(item));
  ASSERT_TRUE(message.ok()) << message.status();
  const Item& read = message->body.at(0).items.at(0);
  EXPECT_EQ(read.meta.format, "int");
  EXPECT_EQ(read.meta.size, 7);
  EXPECT_EQ(read.data, "42");
}

TEST(WbxmlDecodeTest, UnknownTagsPagesAndExtensionsAreSkipped) {
  const std::string unknown_tag = absl::StrCat(Hex("7e 4b"), Str("9"), Hex("01 7f 01 3e 01"));
  const std::string unknown_page = absl::StrCat(Hex("0009 45"), Str("x"), Hex("01 0000"));
  const std::string extensions =
      absl::StrCat(Hex("40"), "x", Hex("00 42"), Hex("00 80 8101 82 05 c0 c1 c2"));
  EXPECT_EQ(DataOf(WithItem(absl::StrCat(unknown_tag, unknown_page, extensions, Hex("4f"), Str("v"),
                                         Hex("01")))),
            "v");
}

TEST(WbxmlDecodeTest, AttributesAreSkipped) {
  // As Nokia writes it: xmlns as a literal attribute with an inline value.
  const std::string attributes = absl::StrCat(Hex("04 00"), Str("SYNCML:SYNCML1.2"),
                                              Hex("0005 05 85 02 41 83 00 c3 02 0101 80 07 01"));
  EXPECT_EQ(DataOf(WithItem(absl::StrCat(Hex("cf"), attributes, Str("v"), Hex("01")))), "v");
  EXPECT_EQ(DataOf(WithItem(absl::StrCat(Hex("8f"), attributes))), "");
}

TEST(WbxmlDecodeTest, ProcessingInstructionsAreSkipped) {
  EXPECT_EQ(
      DataOf(WithItem(absl::StrCat(Hex("43 04 00"), Str("x"), Hex("01 4f"), Str("v"), Hex("01")))),
      "v");
}

TEST(WbxmlDecodeTest, LiteralsAreCommandsByNameOrUnknown) {
  const std::string preamble =
      absl::StrCat(Hex("03 a401 6a 0a"), "Exec", Hex("00"), "Frob", Hex("00"));
  const auto message = Read(WithBody(Hex("44 00 4b 033100 01 01 44 05 4b 033200 01 01"), preamble));
  ASSERT_TRUE(message.ok()) << message.status();
  ASSERT_EQ(message->body.size(), 2U);
  EXPECT_EQ(message->body[0].kind, CommandKind::kExec);
  EXPECT_EQ(message->body[1].kind, CommandKind::kUnknown);
  EXPECT_EQ(message->body[1].unknown_name, "Frob");
  EXPECT_EQ(message->body[1].cmd_id, "2");
}

TEST(WbxmlDecodeTest, UnknownCommandsAreKept) {
  const auto message = Read(WithBody(Hex("7e 4b 033700 01 01 5f 4b 033800 01 01")));
  ASSERT_TRUE(message.ok()) << message.status();
  ASSERT_EQ(message->body.size(), 2U);
  EXPECT_EQ(message->body[0].unknown_name, "wbxml-tag-00-3e");
  EXPECT_EQ(message->body[0].cmd_id, "7");
  EXPECT_EQ(message->body[1].unknown_name, "Put");
}

TEST(WbxmlDecodeTest, OctetsOfANonceComeOutAsBase64) {
  const std::string chal = absl::StrCat(Hex("69 4b"), Str("1"), Hex("01 49 5a 0001 50"));
  const std::string rest = Hex("01 01 0000 01 01");
  const auto opaque = Read(WithBody(absl::StrCat(chal, Hex("c3 03 000102"), rest)));
  ASSERT_TRUE(opaque.ok()) << opaque.status();
  EXPECT_EQ(opaque->body.at(0).chal->meta.next_nonce, "AAEC");
  const auto text = Read(WithBody(absl::StrCat(chal, Str("AAEC"), rest)));
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(text->body.at(0).chal->meta.next_nonce, "AAEC");
}

TEST(WbxmlDecodeTest, OctetsWhereANameBelongsAreRefused) {
  EXPECT_EQ(CodeOf(WithItem(Hex("6e 57 c3 02 2e00 01 01"))), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(WithItem(Hex("6e 57 03 ff00 01 01"))), absl::StatusCode::kInvalidArgument);
}

TEST(WbxmlDecodeTest, MarkupInDataComesAsText) {
  const std::string tnds = absl::StrCat(Hex("0002 60 77"), Str("1.2"), Hex("01 64 66"), Str("a<b"),
                                        Hex("01 6f 5c 0a 01 01 76 c3 02 00ff 01 01 01 0000"));
  EXPECT_EQ(DataOf(WithItem(absl::StrCat(Hex("4f"), tnds, Hex("01")))),
            "<MgmtTree xmlns=\"syncml:dmddf1.2\"><VerDTD>1.2</VerDTD><Node><NodeName>a&lt;b"
            "</NodeName><RTProperties><Format><bool/></Format></RTProperties><Value>AP8=</Value>"
            "</Node></MgmtTree>");
}

TEST(WbxmlDecodeTest, HostileLengthsAreRefused) {
  struct Case {
    const char* data;
    const char* error;
  };
  for (const Case& hostile :
       {Case{"c3 8fffffff7f", "4294967295 octets wanted"},
        Case{"c3 ffffffff7f", "does not fit 32 bits"},
        Case{"c3 8080808080 01", "does not fit 32 bits"}, Case{"c3 64 00", "100 octets wanted"},
        Case{"83 8fffffff7f", "outside the string table"},
        Case{"83 00", "outside the string table"}, Case{"44 05", "outside the string table"},
        Case{"02 8fffffff7f", "is no character"}, Case{"02 00", "is no character"},
        Case{"02 83b000", "is no character"}, Case{"02 c48000", "is no character"}}) {
    const auto message = Read(WithItem(absl::StrCat(Hex("4f"), Hex(hostile.data), Hex("01"))));
    EXPECT_EQ(message.status().code(), absl::StatusCode::kInvalidArgument) << hostile.data;
    EXPECT_THAT(std::string(message.status().message()), HasSubstr(hostile.error));
  }
  EXPECT_EQ(CodeOf(Hex("03 a401 6a 8fffffff7f")), absl::StatusCode::kInvalidArgument);
}

TEST(WbxmlDecodeTest, ContentOutsideTheRootIsRefused) {
  EXPECT_EQ(CodeOf(kPreamble + Hex("01")), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(kPreamble + Str("text")), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(WithBody(Hex("12")) + Hex("2d")), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(kPreamble + Hex("2d")), absl::StatusCode::kInvalidArgument);
}

TEST(WbxmlDecodeTest, EveryTruncationIsRefused) {
  const std::string whole = Encode(FullMessage(), Encoding::kWbxml);
  ASSERT_TRUE(Read(whole).ok());
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(CodeOf(whole.substr(0, size)), absl::StatusCode::kInvalidArgument) << size;
  }
}

TEST(WbxmlDecodeTest, ErrorsNameTheOctet) {
  const auto message = Read(kPreamble + Hex("01"));
  EXPECT_THAT(std::string(message.status().message()), HasSubstr("octet 6"));
}

TEST(WbxmlDecodeTest, DeepNestingIsRefused) {
  EXPECT_EQ(CodeOf(WithBody(std::string(100000, '\x64'))), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(CodeOf(kPreamble + std::string(100000, '\x7f')), absl::StatusCode::kResourceExhausted);
}

TEST(WbxmlDecodeTest, AStringTableCannotBlowAMessageUp) {
  std::string commands;
  for (int i = 0; i < 1000; ++i) commands += Hex("60 54 4f 83 00 01 01 01");
  const std::string preamble = absl::StrCat(Hex("03 a401 6a 80 90 00"), std::string(2048, 'x'));
  EXPECT_EQ(CodeOf(WithBody(commands, preamble)), absl::StatusCode::kResourceExhausted);
}

TEST(WbxmlDecodeTest, SizeLimitHolds) {
  const std::string whole = Encode(FullMessage(), Encoding::kWbxml);
  EXPECT_EQ(Read(whole, {.max_bytes = whole.size() - 1}).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(Read(whole, {.max_bytes = whole.size()}).ok());
}

TEST(WbxmlEncodeTest, EverythingSurvivesARoundTrip) {
  const Message message = FullMessage();
  const auto decoded = Read(Encode(message, Encoding::kWbxml));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(*decoded, message);
}

TEST(WbxmlEncodeTest, XmlAndWbxmlCarryTheSameMessage) {
  const auto from_xml = Decode(kPackage1, Encoding::kXml);
  ASSERT_TRUE(from_xml.ok()) << from_xml.status();
  const auto from_wbxml = Read(Encode(*from_xml, Encoding::kWbxml));
  ASSERT_TRUE(from_wbxml.ok()) << from_wbxml.status();
  EXPECT_EQ(*from_wbxml, *from_xml);
  EXPECT_EQ(Encode(*from_wbxml, Encoding::kXml), Encode(*from_xml, Encoding::kXml));
}

TEST(WbxmlEncodeTest, DataSurvivesToTheLastOctet) {
  std::string octets = " \n\r\n leading and trailing ";
  for (int i = 0; i < 256; ++i) octets.push_back(static_cast<char>(i));
  for (const char* format : {"bin", "chr"}) {
    Message message;
    message.body.emplace_back().kind = CommandKind::kAdd;
    message.body[0].items = {MakeTargetItem("./A", octets)};
    message.body[0].items[0].meta.format = format;
    const auto decoded = Read(Encode(message, Encoding::kWbxml));
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(decoded->body.at(0).items.at(0).data, octets);
  }
}

TEST(WbxmlEncodeTest, BinaryIsOpaqueAndTextIsInline) {
  Message message;
  message.body.emplace_back().kind = CommandKind::kAdd;
  message.body[0].items = {MakeTargetItem("./A", "AB")};
  EXPECT_THAT(Encode(message, Encoding::kWbxml), HasSubstr(absl::StrCat("\x4f", Str("AB"))));
  message.body[0].items[0].meta.format = "bin";
  EXPECT_THAT(Encode(message, Encoding::kWbxml), HasSubstr(Hex("4f c3 02 4142 01")));
}

// A string of the table is a WBXML reader's duty; a small message still does without.
TEST(WbxmlEncodeTest, NamesThatComeOftenAreShared) {
  Message message;
  for (int i = 0; i < 300; ++i) {
    Command& command = message.body.emplace_back();
    command.kind = CommandKind::kReplace;
    command.cmd_id = absl::StrCat(i);
    command.items = {MakeTargetItem("./A", absl::StrCat(i))};
    command.items[0].meta = {.format = "int", .type = absl::StrCat("text/", i % 20)};
  }
  const std::string shared = Encode(message, Encoding::kWbxml);
  EXPECT_EQ(Read(shared).value_or(Message()), message);
  EXPECT_NE(shared[4], 0);
  message.body.resize(2);
  EXPECT_EQ(Encode(message, Encoding::kWbxml)[4], 0);
}

TEST(WbxmlEncodeTest, IsLessThanHalfOfTheXml) {
  const auto message = Decode(kPackage1, Encoding::kXml);
  ASSERT_TRUE(message.ok());
  const std::string xml = Encode(*message, Encoding::kXml);
  EXPECT_LT(Encode(*message, Encoding::kWbxml).size() * 2, xml.size());
}

}  // namespace
}  // namespace virmo::syncml
