// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/tree/transaction.h"

#include <sys/wait.h>
#include <unistd.h>

#include "dm-bridge/testing/test_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace virmo::dm_bridge {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Change Replace(const std::string& uri, const std::string& data) {
  return {.kind = Change::Kind::kReplace, .request = TestTree::Request(uri, data)};
}
Change Add(const std::string& uri, const std::string& data) {
  return {.kind = Change::Kind::kAdd, .request = TestTree::Request(uri, data)};
}
Change Delete(const std::string& uri) {
  return {.kind = Change::Kind::kDelete, .request = TestTree::Request(uri)};
}
int Code(const absl::Status& status) { return Number(DmStatusOf(status)); }

class TransactionTest : public ::testing::Test {
 protected:
  void GivenItem(const std::string& name) {
    const std::string uri = "./T/Items/" + name;
    ASSERT_TRUE(test_.tree().Add(TestTree::Request(uri + "/Name", "Anna")).ok());
    ASSERT_TRUE(test_.tree().Replace(TestTree::Request(uri + "?prop=Title", "hers")).ok());
    ASSERT_TRUE(test_.acls().Set(uri, "Get=*&Replace=*&Delete=*&Add=*").ok());
  }
  std::string AllOf(const std::string& item) {
    return absl::StrCat(test_.Value("./T/Items/" + item + "/Name"), "|",
                        test_.Value("./T/Items/" + item + "?prop=Title"), "|",
                        test_.Value("./T/Items/" + item + "?prop=ACL"), "|",
                        test_.Value("./T/Items/" + item + "/Name?prop=VerNo"));
  }
  TestTree test_;
};

TEST_F(TransactionTest, WhatIsCommittedStays) {
  {
    Transaction transaction(test_.tree());
    ASSERT_TRUE(transaction.Apply(Replace("./T/Number", "7")).ok());
    ASSERT_TRUE(transaction.Apply(Add("./T/Items/a/Name", "Anna")).ok());
    ASSERT_TRUE(transaction.Commit().ok());
  }
  test_.Restart();
  EXPECT_EQ(test_.Value("./T/Number"), "7");
  EXPECT_EQ(test_.Value("./T/Items/a/Name"), "Anna");
}

TEST_F(TransactionTest, RollBackTakesEverythingBackLastFirst) {
  GivenItem("a");
  const std::map<std::string, std::string> before = test_.values;
  const std::string notes = AllOf("a");
  {
    Transaction transaction(test_.tree());
    for (const Change& change :
         {Replace("./T/Number", "7"), Replace("./T/Number", "8"), Add("./T/Items/b/Name", "Bob"),
          Replace("./T/Items/b/Name", "Ben"), Replace("./T/Items/a/Name", "Ada"),
          Replace("./T/Items/a?prop=Title", "nobody's"), Replace("./T/Items/a?prop=ACL", ""),
          Replace("./T/Items/a?prop=Name", "z"), Delete("./T/Items/z"),
          Add("./T/Items/z/Name", "Zoe")}) {
      ASSERT_TRUE(transaction.Apply(change).ok()) << change.request.uri;
    }
    for (const absl::Status& undone : transaction.RollBack()) EXPECT_TRUE(undone.ok()) << undone;
  }
  EXPECT_EQ(test_.values, before);
  EXPECT_EQ(AllOf("a"), notes);
  EXPECT_EQ(test_.Value("./T/Number?prop=VerNo"), "0");
}

TEST_F(TransactionTest, OneThatIsLeftAloneIsRolledBack) {
  {
    Transaction transaction(test_.tree());
    ASSERT_TRUE(transaction.Apply(Replace("./T/Number", "7")).ok());
  }
  EXPECT_EQ(test_.Value("./T/Number"), "1");
}

TEST_F(TransactionTest, WhatCannotBeTakenBackIsKnownBeforehand) {
  GivenItem("a");
  Transaction transaction(test_.tree());
  EXPECT_EQ(Code(transaction.Check(Replace("./T/OneWay", "7"))), 406);
  for (const Change& change :
       {Replace("./T/Number", "7"), Replace("./T/Secret", "x"), Replace("./T/Nothing", "7"),
        Replace("./T?prop=ACL", "Get=*"), Add("./T/Items/b", ""), Add("./T/Items/b/Name", "x"),
        Delete("./T/Items/a"), Delete("./T")}) {
    EXPECT_TRUE(transaction.Check(change).ok()) << change.request.uri;
  }
}

TEST_F(TransactionTest, ALaterChangeOfSomebodyElseIsNotOverwritten) {
  Transaction transaction(test_.tree());
  ASSERT_TRUE(transaction.Apply(Replace("./T/Flag", "false")).ok());
  ASSERT_TRUE(transaction.Apply(Replace("./T/Number", "7")).ok());
  test_.values["./T/Number"] = "99";
  const std::vector<absl::Status> undone = transaction.RollBack();
  ASSERT_EQ(undone.size(), 2u);
  EXPECT_TRUE(undone[0].ok());
  EXPECT_FALSE(undone[1].ok());
  EXPECT_EQ(test_.values["./T/Number"], "99");
  EXPECT_EQ(test_.values["./T/Flag"], "true");
}

TEST_F(TransactionTest, AValueThatTheServiceMadeSomethingElseOfIsTakenBackTheSame) {
  Transaction transaction(test_.tree());
  ASSERT_TRUE(transaction.Apply(Replace("./T/Number", "007")).ok());
  EXPECT_EQ(test_.values["./T/Number"], "7");
  EXPECT_TRUE(transaction.RollBack()[0].ok());
  EXPECT_EQ(test_.values["./T/Number"], "1");
}

TEST_F(TransactionTest, AServiceThatIsAwayHoldsEverythingUntilTheRestIsTakenBack) {
  {
    Transaction transaction(test_.tree());
    ASSERT_TRUE(transaction.Apply(Replace("./T/Number", "7")).ok());
    test_.on_write = [](const Call&) {
      return DmError(syncml::StatusCode::kServiceUnavailable, "gone");
    };
    EXPECT_TRUE(absl::IsUnavailable(transaction.RollBack()[0]));
  }
  EXPECT_EQ(test_.Value("./T/Flag"), "!503");
  EXPECT_EQ(Code(test_.tree().Exec(TestTree::Request("./T/Run")).status()), 503);
  EXPECT_THAT(test_.execs, IsEmpty());
  test_.on_write = nullptr;
  EXPECT_EQ(test_.Value("./T/Number"), "1");
  EXPECT_EQ(test_.Value("./T/Flag"), "true");
}

// Ends the process at each point in turn that the roll-back or the roll-forward passes, as kill -9
// would, and looks at what is left.
TEST_F(TransactionTest, KilledAtAnyPointItIsTakenBackBeforeAnythingElse) {
  GivenItem("a");
  const std::map<std::string, std::string> before = test_.values;
  const std::string notes = AllOf("a");
  const std::vector<Change> changes = {Replace("./T/Number", "7"), Delete("./T/Items/a"),
                                       Add("./T/Items/b/Name", "Bob")};
  for (size_t count = 1; count <= changes.size(); ++count) {
    for (const bool also_undone : {false, true}) {
      auto transaction = std::make_unique<Transaction>(test_.tree());
      for (size_t i = 0; i < count; ++i) ASSERT_TRUE(transaction->Apply(changes[i]).ok());
      const auto values = test_.values;
      transaction->Abandon();
      transaction.reset();
      if (also_undone) test_.values["./T/Number"] = "1";  // Its log entry is there still.
      test_.Restart();
      EXPECT_EQ(test_.Value("./T/Flag"), "true");
      EXPECT_EQ(test_.values, before) << count;
      EXPECT_EQ(AllOf("a"), notes);
    }
  }
}

}  // namespace
}  // namespace virmo::dm_bridge
