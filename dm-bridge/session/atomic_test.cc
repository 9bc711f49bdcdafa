// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/testing/session_fixture.h"

namespace virmo::dm_bridge {
namespace {

using syncml::Command;
using syncml::CommandKind;
using syncml::Message;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Kind = CommandKind;

Command Child(Kind kind, const std::string& uri, std::optional<std::string> data = std::nullopt) {
  return data ? ServerMessage::MakeCommand(kind, uri, *data)
              : ServerMessage::MakeCommand(kind, uri);
}

Command Of(Kind kind, std::vector<Command> children) {
  Command command;
  command.kind = kind;
  command.cmd_id = "20";
  int id = 20;
  for (Command& child : children) child.cmd_id = absl::StrCat(++id);
  command.children = std::move(children);
  return command;
}
Command Atomic(std::vector<Command> children) { return Of(Kind::kAtomic, std::move(children)); }

class AtomicTest : public SessionTest {
 protected:
  std::vector<std::string> Run(const Command& command) {
    ServerMessage two = Good(Begin());
    if (room_ > 0) two.MaxMsgSize(room_);
    two.message().body.push_back(command);
    last_ = Answer(two);
    std::vector<std::string> statuses = StatusesOf(last_);
    statuses.erase(statuses.begin());
    return statuses;
  }
  int room_ = 0;
  Message last_;
};

TEST_F(AtomicTest, AllChildrenAreDoneInOrder) {
  EXPECT_THAT(Run(Atomic({Child(Kind::kAdd, "./T/Items/a/Name", "Anna"),
                          Child(Kind::kReplace, "./T/Items/a/Name", "Ada"),
                          Child(Kind::kReplace, "./T/Number", "7"),
                          Child(Kind::kReplace, "./T/Number?prop=Title", "seven")})),
              ElementsAre("Atomic 20 200", "Add 21 200", "Replace 22 200", "Replace 23 200",
                          "Replace 24 200"));
  EXPECT_EQ(test_.Value("./T/Items/a/Name"), "Ada");
  EXPECT_EQ(test_.Value("./T/Number?prop=Title"), "seven");
}

TEST_F(AtomicTest, AFailureTakesBackWhatWasDoneAndTheRestIsNotDone) {
  const auto before = test_.values;
  EXPECT_THAT(
      Run(Atomic(
          {Child(Kind::kReplace, "./T/Number", "7"), Child(Kind::kAdd, "./T/Items/a/Name", "Anna"),
           Child(Kind::kReplace, "./T/Missing", "x"), Child(Kind::kReplace, "./T/Flag", "false")})),
      ElementsAre("Atomic 20 507", "Replace 21 216", "Add 22 216", "Replace 23 404",
                  "Replace 24 215"));
  EXPECT_EQ(test_.values, before);
}

TEST_F(AtomicTest, EveryItemOfACommandIsAStep) {
  Command two = Child(Kind::kReplace, "./T/Number", "7");
  two.items.push_back(syncml::MakeTargetItem("./T/Flag", "maybe"));
  EXPECT_THAT(Run(Atomic({two})), ElementsAre("Atomic 20 507", "Replace 21 216", "Replace 21 400"));
  EXPECT_EQ(test_.values["./T/Number"], "1");
}

TEST_F(AtomicTest, WhatCannotBeTakenBackIsRefusedBeforeAnyAct) {
  int writes = 0;
  test_.on_write = [&](const Call&) {
    ++writes;
    return absl::OkStatus();
  };
  EXPECT_THAT(Run(Atomic({Child(Kind::kReplace, "./T/Number", "7"),
                          Child(Kind::kReplace, "./T/OneWay", "7")})),
              ElementsAre("Atomic 20 406", "Replace 21 215", "Replace 22 406"));
  EXPECT_EQ(writes, 0);
}

TEST_F(AtomicTest, WhatHasNoPlaceInAnAtomicFailsIt) {
  Command unknown;
  unknown.unknown_name = "Frobnicate";
  const Command write = Child(Kind::kReplace, "./T/Number", "7");
  EXPECT_THAT(Run(Atomic({write, Child(Kind::kGet, "./T/Number")})),
              ElementsAre("Atomic 20 507", "Replace 21 215", "Get 22 500"));
  EXPECT_THAT(Run(Atomic({write, Atomic({})})),
              ElementsAre("Atomic 20 507", "Replace 21 215", "Atomic 22 500"));
  EXPECT_THAT(Run(Atomic({write, Child(Kind::kExec, "./T/Run")})),
              ElementsAre("Atomic 20 507", "Replace 21 215", "Exec 22 405"));
  EXPECT_THAT(Run(Atomic({unknown, write})),
              ElementsAre("Atomic 20 507", "Frobnicate 21 400", "Replace 22 215"));
  Command without_id = Atomic({write, write});
  without_id.children[1].cmd_id = "";
  EXPECT_THAT(Run(without_id), ElementsAre("Atomic 20 507", "Replace 21 215", "Replace  400"));
  EXPECT_THAT(test_.execs, IsEmpty());
  EXPECT_EQ(test_.values["./T/Number"], "1");
}

TEST_F(AtomicTest, WhatAnotherChangedMeanwhileIsNotOverwrittenAndSaid) {
  test_.on_write = [&](const Call& call) -> absl::Status {
    if (call.uri != "./T/Flag") return absl::OkStatus();
    test_.values["./T/Number"] = "99";
    return DmError(syncml::StatusCode::kForbidden, "no");
  };
  EXPECT_THAT(Run(Atomic({Child(Kind::kReplace, "./T/Number", "7"),
                          Child(Kind::kReplace, "./T/Flag", "false")})),
              ElementsAre("Atomic 20 507", "Replace 21 516", "Replace 22 403"));
  EXPECT_EQ(test_.values["./T/Number"], "99");
}

TEST_F(AtomicTest, AnswersThatFitIntoNoMessageAreKnownBeforehand) {
  std::vector<Command> children(60, Child(Kind::kReplace, "./T/Number", "7"));
  room_ = 4000;
  const std::vector<std::string> statuses = Run(Atomic(children));
  EXPECT_EQ(statuses[0], "Atomic 20 517");
  EXPECT_EQ(statuses[1], "Replace 21 215");
  EXPECT_EQ(test_.values["./T/Number"], "1");
}

TEST_F(AtomicTest, OneAtomicThatFailedHarmsNoLaterCommand) {
  ServerMessage two = Good(Begin());
  two.message().body.push_back(Atomic({Child(Kind::kReplace, "./T/Missing", "x")}));
  two.Do(Kind::kGet, "./T/Number");
  EXPECT_THAT(StatusesOf(Answer(two)), ElementsAre("SyncHdr 0 212", "Atomic 20 507",
                                                   "Replace 21 404", ::testing::StartsWith("Get")));
}

TEST_F(AtomicTest, ASequenceMayHoldAnAtomic) {
  Command inner = Atomic({Child(Kind::kReplace, "./T/Number", "7")});
  inner.children[0].cmd_id = "31";
  EXPECT_THAT(Run(Of(Kind::kSequence, {inner, Child(Kind::kExec, "./T/Run")})),
              ElementsAre("Sequence 20 200", "Atomic 21 200", "Replace 31 200", "Exec 22 202"));
}

TEST_F(AtomicTest, CopyGoesFromLeafToLeaf) {
  const auto copy = [](const std::string& from, const std::string& to) {
    Command command = Child(Kind::kCopy, to);
    command.items[0].source = syncml::Location{.uri = from};
    return command;
  };
  test_.values["./T/Items/a"] = "";
  test_.values["./T/Items/a/Name"] = "Anna";
  test_.values["./T/Items/b"] = "";
  ASSERT_TRUE(test_.acls().Set("./T/Fixed", "Replace=*").ok());
  EXPECT_THAT(
      Run(Of(Kind::kSequence, {copy("./T/Items/a/Name", "./T/Items/b/Name"),  // Made.
                               copy("./T/Items/a/Name", "./T/Items/c/Name"),  // With its parent.
                               copy("./T/Number", "./T/Items/b/Name"),        // int to chr
                               copy("./T/Items", "./T/Items/d"), copy("./T/Missing", "./T/Number"),
                               copy("./T/Secret", "./T/Items/b/Name"),
                               copy("./T/Fixed", "./T/Number"), copy("./T/Octets", "./T/Octets")})),
      ElementsAre("Sequence 20 200", "Copy 21 200", "Copy 22 200", "Copy 23 415", "Copy 24 405",
                  "Copy 25 404", "Copy 26 405", "Copy 27 425", "Copy 28 200"));
  EXPECT_EQ(test_.Value("./T/Items/b/Name"), "Anna");
  EXPECT_EQ(test_.Value("./T/Items/c/Name"), "Anna");
  EXPECT_EQ(test_.values["./T/Octets"], std::string("a\0b", 3));
  EXPECT_THAT(Run(Atomic({copy("./T/Items/a/Name", "./T/Items/z/Name"),
                          Child(Kind::kReplace, "./T/Number", "x")})),
              ElementsAre("Atomic 20 507", "Copy 21 216", "Replace 22 400"));
  EXPECT_EQ(test_.Value("./T/Items/z/Name"), "!404");
}

TEST_F(AtomicTest, A404NamesTheDeepestAncestorThatExists) {
  Run(Child(Kind::kGet, "./T/Items/gone/Name"));
  Command get = Child(Kind::kGet, "./T/Items/gone/Name");
  get.cmd_id = "20";
  EXPECT_THAT(Run(get), ElementsAre("Get 20 404"));
  ASSERT_EQ(last_.body[1].items.size(), 1u);
  EXPECT_EQ(last_.body[1].items[0].target->uri, "./T/Items");
  EXPECT_THAT(*last_.body[1].items[0].data, HasSubstr("deepest"));
}

}  // namespace
}  // namespace virmo::dm_bridge
