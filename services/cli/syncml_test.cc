// SPDX-License-Identifier: Apache-2.0
// virmo syncml …, the real program.
#include <chrono>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/server_builder.h"
#include "nlohmann/json.hpp"

#include "services/cli/program_fixture.h"
#include "services/syncml/codec.h"
#include "services/syncml/notification.h"
#include "services/syncml/sample_messages.h"
#include "services/syncml/tnds.h"
#include "virmo/v1/dm_bridge_service.grpc.pb.h"

namespace virmo::cli {
namespace {

using syncml::Encoding;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class SyncmlTest : public ProgramTest {
 protected:
  std::string GivenFile(const std::string& name, const std::string& octets) {
    const std::string path = PathOf(name);
    WriteAll(path, octets);
    return path;
  }

  // What is refused: exit code 1, nothing shown, one line that says where.
  void ExpectRefused(const std::string& octets, const std::string& why) {
    const std::string path = GivenFile("bad", octets);
    const Result result = Virmo({"syncml", "decode", path});
    EXPECT_EQ(result.exit_code, 1) << why;
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, AllOf(StartsWith("virmo: " + path + ": "), HasSubstr(why)));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }

  static std::string Xml() { return syncml::Encode(syncml::FullMessage(), Encoding::kXml); }
  static std::string Wbxml() { return syncml::Encode(syncml::FullMessage(), Encoding::kWbxml); }
};

TEST_F(SyncmlTest, DecodeShowsBothEncodingsAlike) {
  const Result from_xml = Virmo({"syncml", "decode", GivenFile("m.xml", Xml())});
  const Result from_wbxml = Virmo({"syncml", "decode", GivenFile("m.wbxml", Wbxml())});

  EXPECT_EQ(from_xml.exit_code, 0) << from_xml.err;
  EXPECT_EQ(from_xml.err, "");
  EXPECT_EQ(from_xml.out, from_wbxml.out);
  EXPECT_THAT(from_xml.out, HasSubstr("\n  <SyncHdr>\n    <VerDTD>1.2</VerDTD>\n"));
  const auto read = syncml::Decode(from_xml.out, Encoding::kXml);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, syncml::FullMessage());
}

TEST_F(SyncmlTest, StandardInputIsReadWithAndWithoutADash) {
  const std::string path = GivenFile("m.wbxml", Wbxml());
  const Result plain = Bash("virmo syncml decode < " + path);
  EXPECT_EQ(plain.exit_code, 0) << plain.err;
  EXPECT_THAT(plain.out, HasSubstr("<SyncHdr>"));
  EXPECT_EQ(Bash("cat " + path + " | virmo syncml decode -").out, plain.out);
}

TEST_F(SyncmlTest, EncodeIsTheOtherWayToTheLastOctet) {
  const std::string shown = Virmo({"syncml", "decode", GivenFile("m", Wbxml())}).out;
  const Result wbxml = Virmo({"syncml", "encode", GivenFile("m.xml", shown), "--to", "wbxml"});
  EXPECT_EQ(wbxml.exit_code, 0) << wbxml.err;
  EXPECT_EQ(wbxml.out, Wbxml());
  EXPECT_EQ(Virmo({"syncml", "encode", "--to", "xml", GivenFile("m", Wbxml())}).out, Xml());
}

TEST_F(SyncmlTest, TreesAndNotificationsGoBothWaysToo) {
  const syncml::TndsDocument tree = {
      .nodes = {{.name = "n", .format = "bin", .value = std::string("\0\xff", 2)}}};
  const std::string notification =
      *syncml::Encode(syncml::Notification{.session_id = 0x1F, .server_id = "s"}, "secret", "n");
  for (const std::string& octets : {syncml::WriteTnds(tree, Encoding::kWbxml), notification}) {
    const Result shown = Virmo({"syncml", "decode", GivenFile("d", octets)});
    EXPECT_EQ(shown.exit_code, 0) << shown.err;
    EXPECT_THAT(shown.out, StartsWith("<?xml"));
    EXPECT_EQ(Virmo({"syncml", "encode", GivenFile("x", shown.out), "--to", "wbxml"}).out, octets);
  }
}

TEST_F(SyncmlTest, WhatIsMalformedOrHostileIsRefusedWithItsPlace) {
  ExpectRefused("", "line 1, column ");
  ExpectRefused("<SyncML>\n<", "line 2, column 1: ");
  ExpectRefused("hello", "line 1, column 1: ");
  ExpectRefused("<!DOCTYPE a [<!ENTITY b \"c\">]><SyncML/>", "a DOCTYPE is not allowed");
  ExpectRefused("<html/>", "line 1, column 1: the outermost element is html");
  ExpectRefused(std::string(100, '\0'), "line 1, column ");
  ExpectRefused(absl::HexStringToBytes("03a4016a006d"), "octet 6: the document ends too early");
  ExpectRefused(absl::HexStringToBytes("03a4016a8fffffff7f00"), "octet 9: ");
  ExpectRefused(absl::HexStringToBytes("03ffffffffff7f"), "does not fit 32 bits");
  ExpectRefused(absl::HexStringToBytes("03a4016a006d6c5783ffffff7f"), "outside the string table");
  ExpectRefused(absl::HexStringToBytes("03a4016a006d6c57c38fffffff7f"), "octets wanted");
  std::string deep = "<SyncML>";
  for (int i = 0; i < 100000; ++i) deep += "<a>";
  ExpectRefused(deep, "nested deeper than 32");
  ExpectRefused(absl::HexStringToBytes("03a4016a00") + std::string(100000, '\x6d'),
                "nested deeper than 32");
}

TEST_F(SyncmlTest, HugeInputIsRefusedWithLittleMemoryAndAtOnce) {
  const std::string sparse = PathOf("huge");
  ASSERT_EQ(Bash("truncate -s 1G " + sparse).exit_code, 0);
  const auto begin = std::chrono::steady_clock::now();
  for (const std::string& input : {sparse, std::string("/dev/zero")}) {
    const Result result = Bash("ulimit -v 400000; virmo syncml decode " + input);
    EXPECT_EQ(result.exit_code, 1) << result.err;
    EXPECT_THAT(result.err, HasSubstr("octet 4194304: longer than the limit"));
  }
  const Result endless = Bash("ulimit -v 400000; yes '<a>' | virmo syncml decode");
  EXPECT_EQ(endless.exit_code, 1) << endless.err;
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
}

// The most that is read at all, of the most costly kind, in memory that holds.
TEST_F(SyncmlTest, TheLargestHostileMessagesFitTheMemory) {
  std::string empties = "<SyncML><SyncHdr/><SyncBody>";
  while (empties.size() < (size_t{4} << 20) - 16) empties += "<Add/>";
  std::string table = absl::HexStringToBytes("03a4016a83ffff7f");  // of 65535 octets
  table = absl::HexStringToBytes("03a4016a83ff7f") + std::string(65407, 'x');
  table += absl::HexStringToBytes("6d6c7b");
  while (table.size() < (size_t{4} << 20) - 16) table += absl::HexStringToBytes("578300 01");
  for (const std::string& octets : {empties, table}) {
    const std::string path = GivenFile("m", octets);
    const Result result = Bash("ulimit -v 600000; virmo syncml decode " + path);
    EXPECT_EQ(result.exit_code, 1) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
}

// What names it has is not told at length.
TEST_F(SyncmlTest, TheLineOfAnErrorIsOneThatPeopleRead) {
  const std::string path = GivenFile("long", "<" + std::string(size_t{1} << 20, 'a') + "/>");
  const Result result = Virmo({"syncml", "decode", path});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_LT(result.err.size(), 600u);
  EXPECT_THAT(result.err, AllOf(HasSubstr("line 1, column 1: the outermost element is aaaa"),
                                HasSubstr("neither SyncML nor MgmtTree nor Notification")));
  ExpectRefused("<MgmtTree><VerDTD>a\nb</VerDTD></MgmtTree>", "VerDTD a\\x0ab is not 1.2");
}

// Names and strings that are repeated for each of many nodes or documents.
TEST_F(SyncmlTest, HostileTreesFitTheMemory) {
  std::string names = "<MgmtTree><VerDTD>1.2</VerDTD><Node><NodeName>";
  names += std::string(size_t{2} << 20, 'a') + "</NodeName>";
  for (int i = 0; i < 40000; ++i) {
    absl::StrAppend(&names, "<Node><NodeName>", i, "</NodeName></Node>");
  }
  names += "</Node></MgmtTree>";
  const std::string path = GivenFile("names", names);
  const Result result = Bash("ulimit -v 600000; virmo syncml decode " + path);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("a node URI of more than 2048 octets"));
}

TEST_F(SyncmlTest, AFileThatIsNotThereIsNotFound) {
  const Result result = Virmo({"syncml", "decode", PathOf("none")});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.err, HasSubstr("cannot read " + PathOf("none") + ": No such file"));
  EXPECT_EQ(Virmo({"syncml", "decode", folder()}).exit_code, 9);
}

TEST_F(SyncmlTest, EncodeNeedsToKnowTheEncodingAndLosesNothingSilently) {
  EXPECT_EQ(Virmo({"syncml", "encode", GivenFile("m", Xml())}).exit_code, 2);
  EXPECT_EQ(Virmo({"syncml", "encode", GivenFile("m", Xml()), "--to", "json"}).exit_code, 2);
  const Result lost = Virmo({"syncml", "encode", "--to", "wbxml",
                             GivenFile("u", syncml::XmlWithBody("<Foo><CmdID>1</CmdID></Foo>"))});
  EXPECT_EQ(lost.exit_code, 1);
  EXPECT_EQ(lost.out, "");
  EXPECT_THAT(lost.err, HasSubstr("command Foo"));
}

TEST_F(SyncmlTest, HelpAndCompletionKnowTheGroup) {
  EXPECT_THAT(Virmo({"syncml", "--help"}).out,
              AllOf(HasSubstr("decode"), HasSubstr("encode"), HasSubstr("trace")));
  EXPECT_EQ(Bash("virmo __complete syncml ''").out, "decode\nencode\ntrace\n");
  EXPECT_EQ(Bash("virmo __complete syncml decode ''").out, ":files\n");
  EXPECT_EQ(Bash("virmo __complete syncml encode f --to ''").out, "wbxml\nxml\n");
}

// A session with secrets in every place that has them.
std::string Session() {
  const std::string request = syncml::Encode(syncml::FullMessage(), Encoding::kWbxml);
  const std::string answer = syncml::XmlWithBody(
      "<Replace><CmdID>1</CmdID><Item><Target><LocURI>./DMAcc/x/AppAuth/1/AAuthSecret</LocURI>"
      "</Target><Data>hush-secret</Data></Item></Replace><Final/>");
  return absl::StrCat("POST /dm HTTP/1.1\r\nContent-Length: ", request.size(),
                      "\r\nx-syncml-hmac: username=\"d\", mac=hush-mac\r\n\r\n", request,
                      "HTTP/1.1 200 OK\r\n\r\n", answer);
}

TEST_F(SyncmlTest, TraceShowsARecordingWithoutItsSecrets) {
  const std::string path = GivenFile("session", Session());
  for (const std::vector<std::string>& options :
       {std::vector<std::string>{}, {"--xml"}, {"-o", "json"}}) {
    std::vector<std::string> words = {"syncml", "trace", path};
    words.insert(words.end(), options.begin(), options.end());
    const Result result = Virmo(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr("AAuthSecret"));
    EXPECT_THAT(result.out, HasSubstr("***"));
    for (const char* secret : {"hush", "AAEC", "ERITFBUWFxgZGhscHR4fIA=="}) {
      EXPECT_THAT(result.out, Not(HasSubstr(secret)));
    }
  }
  EXPECT_THAT(
      Virmo({"syncml", "trace", path}).out,
      AllOf(HasSubstr("-- message 1 (device -> server, wbxml, "),
            HasSubstr("x-syncml-hmac: algorithm=MD5, username=\"d\", mac=***"),
            HasSubstr("-- message 2 (server -> device, xml, "), HasSubstr("\n  Replace id=1\n")));
}

TEST_F(SyncmlTest, TraceReadsFoldersByNameAndStandardInput) {
  ASSERT_EQ(Bash("mkdir " + PathOf("rec")).exit_code, 0);
  GivenFile("rec/2.xml", syncml::XmlWithBody("<Final/>"));
  GivenFile("rec/1.bin", Wbxml());
  GivenFile(
      "rec/0.nia",
      *syncml::Encode(syncml::Notification{.session_id = 0x1F, .server_id = "srv"}, "s", "n"));
  const Result result = Virmo({"syncml", "trace", PathOf("rec")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const size_t zero = result.out.find("/0.nia\n-- package #0");
  const size_t one = result.out.find("/1.bin\n-- message 1 (wbxml");
  const size_t two = result.out.find("/2.xml\n-- message 1 (xml");
  EXPECT_LT(zero, one);
  EXPECT_LT(one, two);
  EXPECT_NE(two, std::string::npos) << result.out;
  EXPECT_THAT(
      Bash("cat " + PathOf("rec/1.bin") + " " + PathOf("rec/2.xml") + " | virmo syncml trace -")
          .out,
      AllOf(HasSubstr("-- message 1 (wbxml"), HasSubstr("-- message 2 (xml")));
}

TEST_F(SyncmlTest, TraceTellsWhatItCannotReadAndShowsTheRest) {
  const std::string bad = GivenFile("bad", Wbxml() + "junk");
  const std::string good = GivenFile("good", Xml());
  const Result result = Virmo({"syncml", "trace", bad, good});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.out, HasSubstr("good\n-- message 1"));
  EXPECT_THAT(result.err, HasSubstr(absl::StrCat("bad: octet ", Wbxml().size(), ": no message")));
}

// dm-bridge, as far as a trace needs it.
class FakeBridge : public v1::DmBridgeService::Service {
 public:
  grpc::Status WatchTrace(grpc::ServerContext*, const v1::WatchTraceRequest*,
                          grpc::ServerWriter<v1::WatchTraceResponse>* writer) override {
    writer->Write(v1::WatchTraceResponse());  // a sign of life
    v1::WatchTraceResponse response;
    response.mutable_time()->set_seconds(1767225600);
    response.set_server_id("virmo-server");
    response.set_sent(true);
    response.set_syncml(Session().substr(Session().find("<SyncML")));
    writer->Write(response);
    return {grpc::StatusCode::PERMISSION_DENIED, "no more"};
  }
};

TEST_F(SyncmlTest, TraceWithoutAFileFollowsDmBridge) {
  FakeBridge bridge;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + PathOf("dm-bridge.sock"), grpc::InsecureServerCredentials());
  builder.RegisterService(&bridge);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();

  const Result result = Virmo({"syncml", "trace", "--socket", folder()});

  EXPECT_EQ(result.exit_code, 8) << result.err;  // the fake's way to end it
  EXPECT_THAT(result.out, AllOf(HasSubstr("device -> virmo-server\n"), HasSubstr("Replace id=1"),
                                HasSubstr("***"), Not(HasSubstr("hush"))));
}

}  // namespace
}  // namespace virmo::cli
