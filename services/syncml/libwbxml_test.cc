// SPDX-License-Identifier: Apache-2.0
// libwbxml's tools and our codec read each other alike, where the tools are right. They run as
// programs of their own: libwbxml is used in no process of ours. Where they are wrong: they strip
// blanks around Data and make CRLF of LF in it, take "]]>" into a CDATA section, write octets raw
// into XML, and put a DOCTYPE.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "services/syncml/codec.h"
#include "services/syncml/sample_messages.h"
#include "services/syncml/tnds.h"

namespace virmo::syncml {
namespace {

class LibwbxmlTest : public ::testing::Test {
 protected:
  LibwbxmlTest()
      : folder_(std::filesystem::temp_directory_path() /
                absl::StrCat("virmo-libwbxml-test-", getpid())) {
    std::filesystem::create_directories(folder_);
  }
  ~LibwbxmlTest() override { std::filesystem::remove_all(folder_); }

  // What `tool OPTIONS` makes of the octets.
  std::string Run(const std::string& tool, const std::string& octets) {
    std::ofstream(folder_ / "in", std::ios::binary) << octets;
    const std::string command =
        absl::StrCat(tool, " -o ", (folder_ / "out").string(), " ", (folder_ / "in").string(),
                     " > ", (folder_ / "log").string(), " 2>&1");
    const int code = std::system(command.c_str());
    std::ifstream log(folder_ / "log");
    EXPECT_EQ(code, 0) << command << ": " << std::string(std::istreambuf_iterator<char>(log), {})
                       << " (is libwbxml2-utils installed?)";
    std::ifstream out(folder_ / "out", std::ios::binary);
    return {std::istreambuf_iterator<char>(out), {}};
  }

  std::string ToXml(const std::string& wbxml) {
    std::string xml = Run("wbxml2xml -m 0 -k", wbxml);
    const size_t doctype = xml.find("<!DOCTYPE");
    if (doctype != std::string::npos) xml.erase(doctype, xml.find('>', doctype) + 1 - doctype);
    return xml;
  }
  std::string ToWbxml(const std::string& xml) { return Run("xml2wbxml -k", xml); }

 private:
  const std::filesystem::path folder_;
};

// The messages of the corpus, but for what the tools are known to change.
std::vector<Message> Corpus() {
  std::vector<Message> messages;
  messages.push_back(*Decode(kPackage1, Encoding::kXml));
  messages.push_back(FullMessage());
  // White space around Data, other than blanks within it, and what ends a CDATA section.
  const std::string plain = "white <b>&amp; \xC3\xA9";
  for (Command& command : messages.back().body) {
    for (Item& item : command.items) {
      if (item.data && !item.data->empty()) item.data = plain;
    }
    for (Command& atomic : command.children) {
      for (Command& child : atomic.children) {
        for (Item& item : child.items) {
          if (item.data && !item.data->empty()) item.data = plain;
        }
      }
    }
  }
  return messages;
}

TEST_F(LibwbxmlTest, ItReadsWhatWeWrite) {
  for (const Message& message : Corpus()) {
    const auto read = Decode(ToXml(Encode(message, Encoding::kWbxml)), Encoding::kXml);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(Encode(*read, Encoding::kXml), Encode(message, Encoding::kXml));
  }
}

TEST_F(LibwbxmlTest, WeReadWhatItWrites) {
  for (const Message& message : Corpus()) {
    const auto read = Decode(ToWbxml(Encode(message, Encoding::kXml)), Encoding::kWbxml);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(Encode(*read, Encoding::kXml), Encode(message, Encoding::kXml));
  }
}

TEST_F(LibwbxmlTest, ItReadsOurStringTable) {
  Message message;
  for (int i = 0; i < 20; ++i) {
    Command& command = message.body.emplace_back();
    command.kind = CommandKind::kGet;
    command.cmd_id = absl::StrCat(i + 1);
    command.items = {MakeTargetItem("./A")};
    command.items[0].meta = {.format = "chr", .type = "text/plain"};
  }
  const std::string wbxml = Encode(message, Encoding::kWbxml);
  ASSERT_NE(wbxml[4], 0);
  const auto read = Decode(ToXml(wbxml), Encoding::kXml);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, message);
}

TEST_F(LibwbxmlTest, TreesGoBothWays) {
  const TndsDocument tree = {
      .nodes = {
          {.name = "virmo",
           .format = "node",
           .type = "urn:oma:mo:oma-dm-dmacc:1.0",
           .children = {{.name = "AppID", .format = "chr", .type = "text/plain", .value = "w7"},
                        {.name = "K", .format = "b64", .value = std::string("\0\xff", 2)}}}}};
  EXPECT_EQ(ReadTnds(ToXml(WriteTnds(tree, Encoding::kWbxml))).value_or(TndsDocument()), tree);
  EXPECT_EQ(ReadTnds(ToWbxml(WriteTnds(tree, Encoding::kXml))).value_or(TndsDocument()), tree);
}

}  // namespace
}  // namespace virmo::syncml
