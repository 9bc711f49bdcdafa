// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/tree/tree.h"

#include "dm-bridge/testing/test_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace virmo::dm_bridge {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

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
  EXPECT_EQ(test_.Value("./T"), "Number/Flag/Octets/Secret/Fixed/Items/Run/Quick/Unbuilt");
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
  EXPECT_EQ(GetStatus("./T/Number?prop=VerNo"), 406);
  EXPECT_EQ(Replace("./T/Number?prop=Format", "chr"), 405);
}

TEST_F(TreeTest, ListsShowTheSubTreeWithOrWithoutData) {
  ASSERT_EQ(Add("./T/Items/a/Name", "Anna"), 200);
  EXPECT_THAT(List("./T/Items?list=Struct"),
              ElementsAre("./T/Items", "./T/Items/a", "./T/Items/a/Name"));
  EXPECT_THAT(List("./T/Items?list=StructData"),
              ElementsAre("./T/Items", "./T/Items/a", "./T/Items/a/Name=Anna"));
  EXPECT_EQ(GetStatus("./T?list=TNDS"), 406);
}

TEST_F(TreeTest, AnAclBarsWhoIsNotNamedAndIsInheritedAsAWhole) {
  ASSERT_EQ(Replace("./T?prop=ACL", "Get=srv+other&Replace=other"), 200);
  EXPECT_EQ(GetStatus("./T/Number"), 200);
  EXPECT_EQ(Replace("./T/Number", "2"), 425);
  EXPECT_EQ(Exec("./T/Run"), 425);
  EXPECT_EQ(GetStatus("./T/Missing"), 404);
  ASSERT_TRUE(test_.acls().Set("./T/Number", "Replace=sr").ok());
  EXPECT_EQ(GetStatus("./T/Number"), 425);     // Nothing is merged from above,
  EXPECT_EQ(Replace("./T/Number", "2"), 425);  // and part of an id is no id.
  EXPECT_THAT(List("./T?list=Struct"), ::testing::Not(::testing::Contains("./T/Number")));
}

TEST_F(TreeTest, WhoMayChangeAnAclDependsOnTheParentForLeaves) {
  ASSERT_TRUE(test_.acls().Set("./T", "Get=*").ok());
  ASSERT_TRUE(test_.acls().Set("./T/Number", "Replace=srv").ok());
  ASSERT_TRUE(test_.acls().Set("./T/Items", "Replace=srv").ok());
  EXPECT_EQ(Replace("./T/Number?prop=ACL", "Get=*"), 425);
  EXPECT_EQ(Replace("./T/Items?prop=ACL", "Get=*"), 200);
  EXPECT_EQ(Replace(".?prop=ACL", "Get=*"), 405);
}

TEST_F(TreeTest, WrongAclsAreRefused) {
  for (const char* acl : {"Copy=*", "Get=", "Get=a&Get=b", "Get=a b", "Get=a*", "Get", "Get=a+"}) {
    EXPECT_EQ(Replace("./T?prop=ACL", acl), 400) << acl;
  }
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
