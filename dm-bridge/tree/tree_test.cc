// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/tree/tree.h"

#include "dm-bridge/testing/test_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/syncml/tnds.h"

namespace virmo::dm_bridge {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class TreeTest : public ::testing::Test {
 protected:
  static NodeRequest Request(const std::string& uri) { return TestTree::Request(uri); }
  int GetStatus(const std::string& uri) { return Code(test_.tree().Get(Request(uri)).status()); }
  int Replace(const std::string& uri, const std::string& data,
              std::optional<std::string> format = std::nullopt) {
    return Code(test_.tree().Replace(TestTree::Request(uri, data, std::move(format))));
  }
  int Add(const std::string& uri, const std::string& data,
          std::optional<std::string> format = std::nullopt) {
    return Code(test_.tree().Add(TestTree::Request(uri, data, std::move(format))));
  }
  int Delete(const std::string& uri) { return Code(test_.tree().Delete(Request(uri))); }
  int Exec(const std::string& uri) { return Code(test_.tree().Exec(Request(uri)).status()); }
  std::vector<std::string> List(const std::string& uri) {
    std::vector<std::string> uris;
    const auto values = test_.tree().Get(Request(uri));
    if (!values.ok()) return {std::string(values.status().message())};
    for (const NodeValue& value : *values) {
      uris.push_back(value.uri + (value.value ? "=" + *value.value : ""));
    }
    return uris;
  }

  TestTree test_;

 private:
  static int Code(const absl::Status& status) { return Number(DmStatusOf(status)); }
};

TEST_F(TreeTest, GetOfALeafGivesItsValueHoweverTheUriIsWritten) {
  EXPECT_EQ(test_.Value("./T/Number"), "1");
  EXPECT_EQ(test_.Value("T/Number"), "1");
  EXPECT_EQ(test_.Value("  ./T/Number\n"), "1");
  EXPECT_EQ(test_.Value("./T/Octets"), std::string("a\0b", 3));
}

TEST_F(TreeTest, GetOfAnInteriorNodeGivesTheNamesThatAreThereNow) {
  EXPECT_EQ(test_.Value("./T"), "Number/Flag/Octets/Secret/OneWay/Fixed/Items/Run/Quick/Unbuilt");
  test_.sometimes = true;
  EXPECT_THAT(test_.Value("./T"), HasSubstr("/Sometimes/"));
  EXPECT_EQ(test_.Value("./T/Items"), "");
  EXPECT_EQ(test_.Value("."), "T");
}

TEST_F(TreeTest, WrongUrisAnswer400And414AndUnknownOnes404NamingTheDeepestAncestor) {
  EXPECT_EQ(GetStatus(""), 400);
  EXPECT_EQ(GetStatus("/T/Number"), 400);
  EXPECT_EQ(GetStatus("./T//Number"), 400);
  EXPECT_EQ(GetStatus("./T/../T"), 400);
  EXPECT_EQ(GetStatus("./T/" + std::string(65, 'x')), 414);
  EXPECT_EQ(GetStatus("./T/Sometimes"), 404);
  EXPECT_EQ(GetStatus("./t/Number"), 404);
  const absl::Status missing = test_.tree().Get(Request("./T/Items/a/Name")).status();
  EXPECT_EQ(DmStatusOf(missing), syncml::StatusCode::kNotFound);
  EXPECT_THAT(missing.message(), HasSubstr("./T/Items"));
}

TEST_F(TreeTest, AccessTypesAnswer405) {
  EXPECT_EQ(GetStatus("./T/Secret"), 405);
  EXPECT_EQ(GetStatus("./T/Run"), 405);
  EXPECT_EQ(Replace("./T/Fixed", "x"), 405);
  EXPECT_EQ(Replace("./T/Items", "x"), 405);
  EXPECT_EQ(Delete("./T"), 405);
  EXPECT_EQ(Delete("."), 405);
  EXPECT_EQ(Exec("./T/Number"), 405);
  EXPECT_EQ(Exec("./T/Run?prop=Name"), 405);
  EXPECT_EQ(Exec("./T/Unbuilt"), 406);
}

TEST_F(TreeTest, ReplaceChecksFormatAndValueAndNeverCreates) {
  EXPECT_EQ(Replace("./T/Number", "7", "int"), 200);
  EXPECT_EQ(test_.values["./T/Number"], "7");
  EXPECT_EQ(Replace("./T/Number", " 8 "), 200);
  EXPECT_EQ(test_.values["./T/Number"], "8");
  EXPECT_EQ(Replace("./T/Number", "7", "chr"), 415);
  EXPECT_EQ(Replace("./T/Number", "seven", "int"), 400);
  EXPECT_EQ(Replace("./T/Number", "4294967296", "int"), 400);
  EXPECT_EQ(Replace("./T/Flag", "yes", "bool"), 400);
  EXPECT_EQ(Replace("./T/Flag", "false", "bool"), 200);
  EXPECT_EQ(Replace("./T/Sometimes", "x"), 404);
  EXPECT_EQ(test_.values["./T/Number"], "8");
  NodeRequest without_data = Request("./T/Number");
  EXPECT_EQ(DmStatusOf(test_.tree().Replace(without_data)), syncml::StatusCode::kIncompleteCommand);
}

TEST_F(TreeTest, OctetsComeAsBase64) {
  EXPECT_EQ(Replace("./T/Octets", "AP8=", "b64"), 200);
  EXPECT_EQ(test_.values["./T/Octets"], std::string("\0\xff", 2));
  EXPECT_EQ(Replace("./T/Octets", "%%%", "b64"), 400);
  EXPECT_EQ(Replace("./T/Octets", "x", "chr"), 415);
}

TEST_F(TreeTest, AddMakesMissingParentsAndRefusesWhatExists) {
  EXPECT_EQ(Add("./T/Items/a/Name", "Anna", "chr"), 200);
  EXPECT_EQ(test_.Value("./T/Items"), "a");
  EXPECT_EQ(test_.Value("./T/Items/a/Name"), "Anna");
  EXPECT_EQ(Add("./T/Items/a", "", "node"), 418);
  EXPECT_EQ(Add("./T/Items/a/Name", "Bob"), 418);
  EXPECT_EQ(Add("./T/Number/x", "1"), 405);
  EXPECT_EQ(Add("./T/New", "1"), 405);
  EXPECT_EQ(Add("./T/Items/a/Unknown", "1"), 404);
  EXPECT_EQ(Add("./T/Items/b", "data", "chr"), 415);
  EXPECT_EQ(Add("./T/Items/b?prop=Name", "x"), 405);
  EXPECT_EQ(test_.Value("./T/Items/a/Name"), "Anna");
}

TEST_F(TreeTest, NamesAreEscapedInUrisAndLists) {
  EXPECT_EQ(Add("./T/Items/a b/Name", "x"), 400);
  EXPECT_EQ(Add("./T/Items/a%20b/Name", "x"), 200);
  EXPECT_EQ(test_.Value("./T/Items"), "a%20b");
}

TEST_F(TreeTest, DeleteTakesTheSubTree) {
  ASSERT_EQ(Add("./T/Items/a/Name", "Anna"), 200);
  EXPECT_EQ(Delete("./T/Items/a/Name"), 405);
  EXPECT_EQ(Delete("./T/Items/a"), 200);
  EXPECT_EQ(GetStatus("./T/Items/a/Name"), 404);
  EXPECT_EQ(Delete("./T/Items/a"), 404);
}

TEST_F(TreeTest, PropertiesAreRead) {
  EXPECT_EQ(test_.Value("./T/Number?prop=Format"), "int");
  EXPECT_EQ(test_.Value("./T/Number?prop=Name"), "Number");
  EXPECT_EQ(test_.Value("./T?prop=Type"), "urn:test:1.0");
  EXPECT_EQ(test_.Value("./T/Octets?prop=Size"), "3");
  EXPECT_EQ(test_.Value("./T?prop=ACL"), "");
  EXPECT_EQ(test_.Value(".?prop=ACL"), std::string(kRootAcl));
  EXPECT_EQ(GetStatus("./T?prop=Size"), 406);
  EXPECT_EQ(GetStatus("./T/Number?prop=Colour"), 406);
  EXPECT_EQ(Replace("./T/Number?prop=Format", "chr"), 405);
}

TEST_F(TreeTest, ListsShowTheSubTreeWithOrWithoutData) {
  ASSERT_EQ(Add("./T/Items/a/Name", "Anna"), 200);
  EXPECT_THAT(List("./T/Items?list=Struct"),
              ElementsAre("./T/Items", "./T/Items/a", "./T/Items/a/Name"));
  EXPECT_THAT(List("./T/Items?list=StructData"),
              ElementsAre("./T/Items", "./T/Items/a", "./T/Items/a/Name=Anna"));
  EXPECT_EQ(GetStatus("./T?list=Picture"), 406);
}

TEST_F(TreeTest, TitleTStampAndVerNoAreKept) {
  EXPECT_EQ(test_.Value("./T/Number?prop=TStamp"), "");
  EXPECT_EQ(test_.Value("./T/Number?prop=VerNo"), "0");
  ASSERT_EQ(Replace("./T/Number", "2"), 200);
  ASSERT_EQ(Replace("./T/Number", "3"), 200);
  EXPECT_EQ(Replace("./T/Number?prop=Title", "three"), 200);
  EXPECT_EQ(Replace("./T/Number?prop=Title", std::string(256, 'x')), 413);
  EXPECT_EQ(Replace("./T/Number?prop=VerNo", "9"), 405);
  EXPECT_EQ(Replace("./T/Number?prop=Colour", "red"), 406);
  test_.Restart();
  EXPECT_EQ(test_.Value("./T/Number?prop=VerNo"), "2");
  EXPECT_EQ(test_.Value("./T/Number?prop=Title"), "three");
  EXPECT_THAT(test_.Value("./T/Number?prop=TStamp"), ::testing::MatchesRegex("2.......T......Z"));
  PropertyStore properties(test_.acls().database());
  ASSERT_TRUE(properties.Set("./T/Number", {.ver_no = 0xFFFF}).ok());
  ASSERT_EQ(Replace("./T/Number", "4"), 200);
  EXPECT_EQ(test_.Value("./T/Number?prop=VerNo"), "0");
}

constexpr char kTnds[] = "application/vnd.syncml.dmtnds+xml";

TEST_F(TreeTest, ASubTreeIsReadAsTndsWithThePropertiesAskedFor) {
  ASSERT_EQ(Add("./T/Items/a/Name", "Anna"), 200);
  ASSERT_EQ(Replace("./T/Items/a?prop=ACL", "Get=*&Delete=srv&Replace=srv"), 200);
  const auto values = test_.tree().Get(Request("./T/Items?list=TNDS"));
  ASSERT_TRUE(values.ok()) << values.status();
  ASSERT_EQ(values->size(), 1u);
  EXPECT_EQ(values->front().type, kTnds);
  const auto document = syncml::ReadTnds(*values->front().value);
  ASSERT_TRUE(document.ok()) << document.status();
  const syncml::TndsNode& items = document->nodes.at(0);
  EXPECT_EQ(items.name, "Items");
  EXPECT_EQ(items.format, "node");
  EXPECT_EQ(items.children.at(0).acl, "Get=*&Delete=srv&Replace=srv");
  EXPECT_EQ(items.children.at(0).children.at(0).value, "Anna");
  EXPECT_EQ(items.children.at(0).children.at(0).ver_no, "1");
  const std::string less = test_.Value("./T/Items?list=TNDS+Type+Value");
  EXPECT_THAT(less, HasSubstr("<Value>Anna</Value>"));
  EXPECT_THAT(less, Not(HasSubstr("<ACL>")));
  EXPECT_THAT(test_.Value("./T/Items?list=TNDS-Value"), Not(HasSubstr("Anna")));
  EXPECT_EQ(GetStatus("./T/Items?list=TNDS+ACL-Value"), 400);
  EXPECT_EQ(GetStatus("./T/Items?list=TNDS+Colour"), 406);
  EXPECT_THAT(test_.Value(".?list=TNDS"), HasSubstr("<NodeName>T</NodeName>"));
  EXPECT_THAT(test_.Value("./T?list=TNDS"), Not(HasSubstr("Secret")));
}

TEST_F(TreeTest, ASubTreeIsAddedAndReplacedAsTnds) {
  ASSERT_EQ(Add("./T/Items/a/Name", "Anna"), 200);
  ASSERT_EQ(Replace("./T/Items/a?prop=Title", "first"), 200);
  std::string saved = test_.Value("./T/Items/a?list=TNDS");
  ASSERT_EQ(Delete("./T/Items/a"), 200);
  NodeRequest request = TestTree::Request("./T/Items", saved, "xml");
  request.type = kTnds;
  ASSERT_TRUE(test_.tree().Add(request).ok());
  EXPECT_EQ(test_.Value("./T/Items/a/Name"), "Anna");
  EXPECT_EQ(test_.Value("./T/Items/a?prop=Title"), "first");
  EXPECT_EQ(DmStatusOf(test_.tree().Add(request)), syncml::StatusCode::kAlreadyExists);

  ASSERT_EQ(Add("./T/Items/b/Name", "Bob"), 200);
  ASSERT_EQ(Replace("./T/Items/a/Name", "Ada"), 200);
  request.uri = "./T/Items";  // What is not in the document goes.
  request.data =
      "<MgmtTree xmlns='syncml:dmddf1.2'><VerDTD>1.2</VerDTD><Node><NodeName>Items"
      "</NodeName><Node><NodeName>c</NodeName><RTProperties><Format><node/></Format>"
      "</RTProperties><Node><NodeName>Name</NodeName><Value>Cid</Value></Node></Node>"
      "</Node></MgmtTree>";
  const absl::Status replaced = test_.tree().Replace(request);
  ASSERT_TRUE(replaced.ok()) << replaced;
  EXPECT_EQ(test_.Value("./T/Items"), "c");
  EXPECT_EQ(test_.Value("./T/Items/c/Name"), "Cid");
}

TEST_F(TreeTest, ASubTreeIsAddedWholeOrNotAtAll) {
  const auto before = test_.values;
  NodeRequest request = TestTree::Request(
      "./T/Items",
      "<MgmtTree><VerDTD>1.2</VerDTD><Node><NodeName>x</NodeName><Node><NodeName>Name</NodeName>"
      "<Value>Xaver</Value></Node><Node><NodeName>Unknown</NodeName><Value>1</Value></Node></Node>"
      "</MgmtTree>");
  request.type = kTnds;
  const absl::Status added = test_.tree().Add(request);
  EXPECT_EQ(DmStatusOf(added), syncml::StatusCode::kNotFound) << added;
  EXPECT_EQ(NodeOf(added), "./T/Items/x");
  EXPECT_EQ(test_.values, before);
  request.data = "<MgmtTree><Node>";
  EXPECT_EQ(DmStatusOf(test_.tree().Add(request)), syncml::StatusCode::kBadRequest);
}

TEST_F(TreeTest, RenameTakesAclAndPropertiesAlong) {
  ASSERT_EQ(Add("./T/Items/a/Name", "Anna"), 200);
  ASSERT_EQ(Add("./T/Items/b", "", "node"), 200);
  ASSERT_EQ(Replace("./T/Items/a?prop=ACL", "Get=*&Replace=*"), 200);
  EXPECT_EQ(Replace("./T/Items/a?prop=Name", "b"), 418);
  EXPECT_EQ(Replace("./T/Items/a?prop=Name", ""), 400);
  EXPECT_EQ(Replace("./T/Items/a?prop=Name", "x/y"), 400);
  EXPECT_EQ(Replace("./T/Items/a?prop=Name", std::string(65, 'x')), 414);
  EXPECT_EQ(Replace("./T?prop=Name", "U"), 405);
  EXPECT_EQ(Replace("./T/Number?prop=Name", "U"), 405);
  EXPECT_EQ(Replace("./T/Items/none?prop=Name", "U"), 404);
  EXPECT_EQ(Replace("./T/Items/a?prop=Name", "new name"), 200);
  EXPECT_EQ(test_.Value("./T/Items"), "b/new%20name");
  EXPECT_EQ(test_.Value("./T/Items/new%20name/Name"), "Anna");
  EXPECT_EQ(test_.Value("./T/Items/new%20name?prop=ACL"), "Get=*&Replace=*");
}

TEST_F(TreeTest, AFailedAddLeavesNoParentBehind) {
  test_.on_write = [](const Call&) { return DmError(syncml::StatusCode::kForbidden, "no"); };
  EXPECT_EQ(Add("./T/Items/a/Name", "Anna"), 403);
  EXPECT_EQ(test_.Value("./T/Items"), "");
}

TEST_F(TreeTest, ExecHandsOverCorrelatorAndArgument) {
  NodeRequest request = TestTree::Request("./T/Run", "now");
  request.correlator = "c1";
  request.command_key = "k";
  const auto outcome = test_.tree().Exec(request);
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(*outcome, ExecOutcome::kAccepted);
  ASSERT_EQ(test_.execs.size(), 1u);
  EXPECT_EQ(test_.execs[0].uri, "./T/Run");
  EXPECT_EQ(test_.execs[0].correlator, "c1");
  EXPECT_EQ(test_.execs[0].value, "now");
  EXPECT_EQ(test_.execs[0].server_id, "srv");
}

TEST(AclStoreTest, KeepsAclsAcrossARestartAndForgetsThoseOfDeletedNodes) {
  TempFolder folder;
  {
    const auto database = OpenTestDatabase(folder);
    const auto acls = *AclStore::Open(*database);
    ASSERT_TRUE(acls->Set("./A", "Get=x").ok());
    ASSERT_TRUE(acls->Set("./B/C", "Get=x").ok());
    ASSERT_TRUE(acls->Forget("./B").ok());
  }
  const auto database = OpenTestDatabase(folder);
  const auto acls = *AclStore::Open(*database);
  EXPECT_EQ(acls->Get("./A"), "Get=x");
  EXPECT_EQ(acls->Get("./B/C"), "");
  EXPECT_FALSE(acls->Allows("./A/deep/down", "Get", "y"));
  EXPECT_TRUE(acls->Allows("./A/deep/down", "Get", "x"));
}

}  // namespace
}  // namespace virmo::dm_bridge
