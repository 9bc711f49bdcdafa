// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/ddf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "services/syncml/inspect.h"
#include "services/syncml/tnds.h"

namespace virmo::syncml {
namespace {

using ::testing::HasSubstr;

// The description of appendix A.5 and every other thing that can be said.
DdfDocument Sample() {
  const DdfNode state = {
      .name = "State", .access = {.get = true}, .format = "int", .mime_types = {"text/plain"}};
  const DdfNode secret = {
      .name = "Secret",
      .access =
          {.add = true, .copy = true, .remove = true, .exec = true, .get = true, .replace = true},
      .default_value = "",
      .description = "a <b> & c",
      .format = "bin",
      .occurrence = DdfOccurrence::kZeroOrN,
      .max_occurrence = 3,
      .title = "T",
      .mime_types = {"text/plain", "application/octet-stream"}};
  const DdfNode vm = {.access = {.get = true},
                      .occurrence = DdfOccurrence::kZeroOrMore,
                      .children = {state, secret}};
  const DdfNode root = {.name = "VirMO",
                        .path = ".",
                        .access = {.get = true},
                        .scope = DdfScope::kPermanent,
                        .ddf_name = "urn:oma:mo:oma-virmo:1.0",
                        .children = {vm}};
  return {.man = "Example", .mod = "box", .nodes = {root}};
}

// What xmllint says of a document against the DTD; empty if it is valid.
std::string Invalid(const std::string& xml) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / absl::StrCat("virmo-ddf-test-", getpid());
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "ddf.xml") << xml;
  const std::string command =
      absl::StrCat("xmllint --noout --nonet --dtdvalid ", VIRMO_DDF_DTD, " ",
                   (folder / "ddf.xml").string(), " 2> ", (folder / "errors").string());
  const int code = std::system(command.c_str());
  std::ifstream errors(folder / "errors");
  std::string text(std::istreambuf_iterator<char>(errors), {});
  std::filesystem::remove_all(folder);
  return code == 0 ? "" : absl::StrCat(code, ": ", text);
}

TEST(DdfTest, WritesElementsInTheOrderOfTheDtd) {
  DdfDocument document = Sample();
  document.nodes = {document.nodes[0].children[0].children[1]};
  EXPECT_EQ(WriteDdf(document, 0),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><MgmtTree xmlns=\"syncml:dmddf1.2\">"
            "<VerDTD>1.2</VerDTD><Man>Example</Man><Mod>box</Mod><Node><NodeName>Secret</NodeName>"
            "<DFProperties><AccessType><Add/><Copy/><Delete/><Exec/><Get/><Replace/></AccessType>"
            "<DefaultValue/><Description>a &lt;b&gt; &amp; c</Description>"
            "<DFFormat><bin/></DFFormat><Occurrence><ZeroOrN>3</ZeroOrN></Occurrence>"
            "<Scope><Dynamic/></Scope><DFTitle>T</DFTitle><DFType><MIME>text/plain</MIME>"
            "<MIME>application/octet-stream</MIME></DFType></DFProperties></Node></MgmtTree>");
}

TEST(DdfTest, IsValid) {
  EXPECT_EQ(Invalid(WriteDdf(Sample())), "");
  EXPECT_EQ(Invalid(WriteDdf(Sample(), 0)), "");
}

TEST(DdfTest, TheCheckFindsWhatIsNotValid) {
  std::string xml = WriteDdf(Sample());
  xml.replace(xml.find("<DFFormat>"), 10, "<DFFOrmat>");
  EXPECT_NE(Invalid(xml), "");
  xml = WriteDdf(Sample(), 0);
  xml.replace(xml.find("<Occurrence><One/></Occurrence>"), 31, "");
  xml.replace(xml.find("<AccessType>"), 0, "<Occurrence><One/></Occurrence>");
  EXPECT_THAT(Invalid(xml), HasSubstr("DFProperties content does not follow the DTD"));
}

TEST(DdfTest, ATreeOfValuesIsValidToo) {
  const TndsNode leaf = {.name = "a",
                         .format = "bin",
                         .type = "text/plain",
                         .acl = "Get=*",
                         .title = "t",
                         .tstamp = "20250101T120000Z",
                         .ver_no = "7",
                         .size = "3",
                         .value = "abc"};
  const TndsDocument tree = {
      .man = "m",
      .nodes = {{.name = "n", .type = "urn:x", .children = {leaf}},
                {.name = "i", .is_implied = true, .children = {{.name = "j"}}}}};
  EXPECT_EQ(Invalid(WriteTnds(tree, Encoding::kXml)), "");
}

TEST(DdfTest, IsToldFromATreeOfValues) {
  const auto document = Inspect(WriteDdf(Sample()));
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_EQ(document->kind, DocumentKind::kDdf);
}

}  // namespace
}  // namespace virmo::syncml
