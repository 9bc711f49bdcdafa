// SPDX-License-Identifier: Apache-2.0
// The table of cases of OMA-TS-DM_TND §7.7.1.

#include "dm-bridge/tree/acl.h"

#include "dm-bridge/testing/test_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace virmo::dm_bridge {
namespace {

using ::testing::Contains;
using ::testing::Not;

class AclTest : public ::testing::Test {
 protected:
  void Acl(const std::string& path, const std::string& value) {
    ASSERT_TRUE(test_.acls().Set(path, value).ok());
  }
  static NodeRequest As(const std::string& server, const std::string& uri,
                        const std::string& data = "") {
    NodeRequest request = TestTree::Request(uri, data);
    request.server_id = server;
    return request;
  }
  static int Code(const absl::Status& status) { return Number(DmStatusOf(status)); }
  int Get(const std::string& server, const std::string& uri) {
    return Code(test_.tree().Get(As(server, uri)).status());
  }
  int Replace(const std::string& server, const std::string& uri, const std::string& data) {
    return Code(test_.tree().Replace(As(server, uri, data)));
  }
  int Add(const std::string& server, const std::string& uri) {
    return Code(test_.tree().Add(As(server, uri)));
  }
  int Delete(const std::string& server, const std::string& uri) {
    return Code(test_.tree().Delete(As(server, uri)));
  }
  int Exec(const std::string& server, const std::string& uri) {
    return Code(test_.tree().Exec(As(server, uri)).status());
  }
  TestTree test_;
};

TEST_F(AclTest, InheritanceIsOfTheWholeValueFromTheNearestAncestorThatHasOne) {
  struct Case {
    std::string root, object, items, item;  // ACLs; empty: none
    std::string command;
    bool allowed;  // to server `a`, on ./T/Items/x
  };
  const std::string all = "Add=*&Get=*&Replace=*&Delete=*&Exec=*";
  for (const Case& c : std::vector<Case>{
           {all, "", "", "", "Get", true},
           {"Add=*&Get=a", "", "", "", "Get", true},
           {"Add=*&Get=b", "", "", "", "Get", false},
           {"Add=*", "", "", "", "Get", false},
           {all, "Get=b", "", "", "Get", false},           // not merged with the root's
           {all, "Get=a", "", "", "Delete", false},        // nor command by command
           {"Add=*&Get=b", "Get=a", "", "", "Get", true},  // the nearer one wins
           {all, "Get=a", "Replace=a", "", "Get", false},  // as soon as there is any value
           {all, "Get=b", "Get=a", "", "Get", true},
           {all, "Get=a", "Get=a", "Delete=a", "Get", false},
           {all, "Get=a", "Get=a", "Delete=a", "Delete", true},
           {all, "Get=*", "", "", "Get", true},
           {all, "Get=aa+ba+ab", "", "", "Get", false},  // ids are compared whole
           {all, "Get=b+a+c", "", "", "Get", true},
           {all, "Get=A", "", "", "Get", false},  // and by case
           {all, "Get=b&Delete=a", "", "", "Delete", true}}) {
    Acl(".", c.root);
    Acl("./T", c.object);
    Acl("./T/Items", c.items);
    Acl("./T/Items/x", c.item);
    EXPECT_EQ(test_.acls().Allows("./T/Items/x", c.command, "a"), c.allowed)
        << c.root << " | " << c.object << " | " << c.items << " | " << c.item << " " << c.command;
  }
}

TEST_F(AclTest, AnAclBarsWhoIsNotNamedForEachCommand) {
  test_.values["./T/Items/i"] = "";
  Acl("./T", "Get=a&Replace=b&Add=c&Delete=d&Exec=e");
  EXPECT_EQ(Get("a", "./T/Number"), 200);
  EXPECT_EQ(Get("b", "./T/Number"), 425);
  EXPECT_EQ(Replace("b", "./T/Number", "2"), 200);
  EXPECT_EQ(Replace("a", "./T/Number", "2"), 425);
  EXPECT_EQ(Add("c", "./T/Items/j"), 200);
  EXPECT_EQ(Add("a", "./T/Items/k"), 425);
  EXPECT_EQ(Exec("e", "./T/Run"), 200);
  EXPECT_EQ(Exec("a", "./T/Run"), 425);
  EXPECT_EQ(Delete("a", "./T/Items/i"), 425);
  EXPECT_EQ(Delete("d", "./T/Items/i"), 200);
}

TEST_F(AclTest, ChecksComeInTheOrderThatTellsLeast) {
  Acl("./T", "Get=*");
  EXPECT_EQ(Replace("a", "./T//x", "1"), 400);  // the URI first,
  EXPECT_EQ(Replace("a", "./T/" + std::string(65, 'x'), "1"), 414);
  EXPECT_EQ(Replace("a", "./T/Missing", "1"), 425);  // then the ACL,
  Acl("./T", "Replace=*");
  EXPECT_EQ(Replace("a", "./T/Missing", "1"), 404);  // existence,
  EXPECT_EQ(Replace("a", "./T/Fixed", "1"), 405);    // access type,
  NodeRequest wrong = As("a", "./T/Number", "1");
  wrong.format = "chr";
  EXPECT_EQ(Code(test_.tree().Replace(wrong)), 415);  // format,
  EXPECT_EQ(Replace("a", "./T/Number", "one"), 400);  // and value last.
}

TEST_F(AclTest, WhoMayChangeAnAclDependsOnTheParentForLeaves) {
  Acl("./T", "Get=*");
  Acl("./T/Number", "Replace=a");
  Acl("./T/Items", "Replace=a");
  EXPECT_EQ(Replace("a", "./T/Number", "2"), 200);                  // covers the value,
  EXPECT_EQ(Replace("a", "./T/Number?prop=Title", "x"), 200);       // and other properties,
  EXPECT_EQ(Replace("a", "./T/Number?prop=ACL", "Get=*"), 425);     // not the leaf's ACL;
  EXPECT_EQ(Replace("a", "./T/Items?prop=ACL", "Replace=a"), 200);  // an interior node's it does,
  Acl("./T", "Replace=a");
  Acl("./T/Number", "Get=*");
  Acl("./T/Items", "Get=*");
  EXPECT_EQ(Replace("a", "./T/Number?prop=ACL", "Get=a"), 200);  // and the parent's both.
  EXPECT_EQ(Replace("a", "./T/Items?prop=ACL", "Get=a"), 200);
  EXPECT_EQ(Replace("a", "./T/Missing?prop=ACL", "Get=a"), 404);
}

TEST_F(AclTest, TheRootKeepsAValueWithAddForAll) {
  for (const char* acl : {"", "Get=*", "Add=a&Get=*", "Delete=*"}) {
    EXPECT_EQ(Replace("a", ".?prop=ACL", acl), 405) << acl;
  }
  EXPECT_EQ(Replace("a", ".?prop=ACL", "Add=*&Get=a&Replace=a"), 200);
  EXPECT_EQ(Get("b", "./T/Number"), 425);
}

TEST_F(AclTest, WrongAclsAreRefused) {
  for (const char* acl : {"Copy=*", "Get=", "Get=a&Get=b", "Get=a b", "Get=a*", "Get", "Get=a+",
                          "get=a", "Get=a=b", "&Get=a", "Get=*+a"}) {
    EXPECT_EQ(Replace("a", "./T?prop=ACL", acl), 400) << acl;
  }
}

TEST_F(AclTest, AnEmptyAclReadsEmptyNotTheInheritedOne) {
  Acl("./T", "Get=*&Replace=*");
  EXPECT_EQ(test_.Value("./T/Number?prop=ACL"), "");
  EXPECT_EQ(test_.Value("./T?prop=ACL"), "Get=*&Replace=*");
}

TEST_F(AclTest, WhoMakesAnInteriorNodeWithoutReplaceAboveItMayGoOnWithIt) {
  Acl("./T", "Add=a+b&Get=*&Exec=b");
  ASSERT_EQ(Add("a", "./T/Items/x"), 200);
  EXPECT_EQ(test_.acls().Get("./T/Items/x"), "Add=a&Delete=a&Exec=b&Get=*&Replace=a");
  EXPECT_EQ(Delete("b", "./T/Items/x"), 425);
  EXPECT_EQ(Add("b", "./T/Items/x/Name"), 425);
  EXPECT_EQ(Add("a", "./T/Items/x/Name"), 200);
  EXPECT_EQ(test_.acls().Get("./T/Items/x/Name"), "");
  EXPECT_EQ(Replace("a", "./T/Items/x/Name", "Anna"), 200);
  // With Replace above, and for parents that are only implied, it is empty.
  Acl("./T", "Add=a&Get=*&Replace=a");
  ASSERT_EQ(Add("a", "./T/Items/y"), 200);
  EXPECT_EQ(test_.acls().Get("./T/Items/y"), "");
}

TEST_F(AclTest, DeletingANodeForgetsItsAcls) {
  ASSERT_EQ(Add("a", "./T/Items/x/Name"), 200);
  Acl("./T/Items/x/Name", "Get=b");
  ASSERT_EQ(Delete("a", "./T/Items/x"), 200);
  ASSERT_EQ(Add("a", "./T/Items/x/Name"), 200);
  EXPECT_EQ(test_.acls().Get("./T/Items/x/Name"), "");
}

TEST_F(AclTest, AServerWithoutAnAccountIsTakenOutOfEveryAcl) {
  Acl(".", "Add=*&Get=*&Replace=a&Delete=a+b&Exec=aa");
  Acl("./T", "Get=a+b&Replace=a&Exec=aa");
  Acl("./T/Number", "Get=a");
  ASSERT_TRUE(test_.acls().Strip("a").ok());
  EXPECT_EQ(test_.acls().Get("."), "Add=*&Delete=b&Exec=aa&Get=*&Replace=*");
  EXPECT_EQ(test_.acls().Get("./T"), "Exec=aa&Get=b");
  EXPECT_EQ(test_.acls().Get("./T/Number"), "");
  test_.Restart();
  EXPECT_EQ(test_.acls().Get("./T"), "Exec=aa&Get=b");
}

TEST_F(AclTest, WhatMayNotBeReadIsLeftOutOfLists) {
  Acl("./T/Number", "Replace=a");
  Acl("./T/Items", "Replace=a");
  std::vector<std::string> uris;
  const auto values = test_.tree().Get(As("a", "./T?list=Struct"));
  ASSERT_TRUE(values.ok()) << values.status();
  for (const NodeValue& value : *values) uris.push_back(value.uri);
  EXPECT_THAT(uris, Not(Contains("./T/Number")));
  EXPECT_THAT(uris, Not(Contains("./T/Items")));
  EXPECT_THAT(uris, Contains("./T/Flag"));
}

}  // namespace
}  // namespace virmo::dm_bridge
