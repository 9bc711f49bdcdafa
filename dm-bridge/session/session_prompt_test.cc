// SPDX-License-Identifier: Apache-2.0
// What servers ask the user.
#include "dm-bridge/session/session.h"
#include "dm-bridge/testing/session_fixture.h"
#include "services/syncml/codec.h"
#include "services/syncml/user_interaction.h"

namespace virmo::dm_bridge {
namespace {

using syncml::AlertCode;
using syncml::Command;
using syncml::CommandKind;
using syncml::Message;
using syncml::StatusCode;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class SessionPromptTest : public SessionTest {
 protected:
  static Command Question(AlertCode code, const std::string& options = "",
                          std::vector<std::string> choices = {}) {
    Command alert = syncml::MakeAlert("", code);
    std::vector<std::string> texts = {options, "Really?"};
    texts.insert(texts.end(), choices.begin(), choices.end());
    for (const std::string& text : texts) {
      syncml::Item item;
      item.data = text;
      alert.items.push_back(std::move(item));
    }
    return alert;
  }
  static Command With(CommandKind kind, std::vector<Command> children) {
    Command command;
    command.kind = kind;
    command.cmd_id = "50";
    int id = 51;
    for (Command& child : children) child.cmd_id = absl::StrCat(id++);
    command.children = std::move(children);
    return command;
  }
  Message Ask(const Command& command) {
    Message two = Good(Begin()).Add(command);
    for (const syncml::Encoding encoding : {syncml::Encoding::kXml, syncml::Encoding::kWbxml}) {
      two = *syncml::Decode(syncml::Encode(two, encoding), encoding);
    }
    return Answer(two);
  }
};

TEST_F(SessionPromptTest, TheUsersAnswerIsTheStatusAndItsItems) {
  host_.user_says = {.code = StatusCode::kOk, .items = {"1", "3"}};
  const Message three =
      Ask(Question(AlertCode::kMultipleChoice, "MAXDT=30&DR=2", {"one", "two", "three"}));
  EXPECT_THAT(StatusesOf(three), ElementsAre("SyncHdr 0 212", "Alert 4 200"));
  ASSERT_EQ(three.body[1].items.size(), 2u);
  EXPECT_EQ(three.body[1].items[0].data, "1");
  EXPECT_EQ(three.body[1].items[1].data, "3");
  ASSERT_EQ(host_.asked.size(), 1u);
  EXPECT_EQ(host_.asked[0].text, "Really?");
  EXPECT_THAT(host_.asked[0].choices, ElementsAre("one", "two", "three"));
  EXPECT_EQ(host_.asked[0].options.max_display_time, absl::Seconds(30));
}

TEST_F(SessionPromptTest, OnlyAClearYesLetsASequenceGoOn) {
  const Command sequence = With(
      CommandKind::kSequence,
      {ServerMessage::MakeCommand(CommandKind::kReplace, "./T/Number", "7", "int"),
       Question(AlertCode::kConfirm), ServerMessage::MakeCommand(CommandKind::kExec, "./T/Run"),
       ServerMessage::MakeCommand(CommandKind::kGet, "./T/Flag")});
  for (const StatusCode no :
       {StatusCode::kNotModified, StatusCode::kOperationCancelled, StatusCode::kRequestTimeout,
        StatusCode::kOptionalFeatureNotSupported}) {
    host_.user_says = {.code = no};
    const std::string code = syncml::ToText(no);
    EXPECT_THAT(StatusesOf(Ask(sequence)),
                ElementsAre("SyncHdr 0 212", "Sequence 50 200", "Replace 51 200",
                            "Alert 52 " + code, "Exec 53 215", "Get 54 215"));
    EXPECT_THAT(test_.execs, IsEmpty());
  }
  host_.user_says = {};
  EXPECT_THAT(StatusesOf(Ask(sequence)),
              ElementsAre("SyncHdr 0 212", "Sequence 50 200", "Replace 51 200", "Alert 52 200",
                          "Exec 53 202", "Get 54 200"));
}

TEST_F(SessionPromptTest, NoInAnAtomicFailsItAndTakesItBack) {
  const Command atomic =
      With(CommandKind::kAtomic,
           {ServerMessage::MakeCommand(CommandKind::kReplace, "./T/Number", "7", "int"),
            Question(AlertCode::kConfirm),
            ServerMessage::MakeCommand(CommandKind::kReplace, "./T/Flag", "false", "bool")});
  host_.user_says = {.code = StatusCode::kNotModified};
  const std::vector<std::string> statuses = StatusesOf(Ask(atomic));
  EXPECT_THAT(statuses,
              ::testing::UnorderedElementsAre("SyncHdr 0 212", "Atomic 50 507", "Replace 51 216",
                                              "Alert 52 304", "Replace 53 215"));
  EXPECT_EQ(test_.values["./T/Number"], "1");
  EXPECT_EQ(test_.values["./T/Flag"], "true");
}

TEST_F(SessionPromptTest, NoAtTopLevelChangesNothingForTheRest) {
  host_.user_says = {.code = StatusCode::kNotModified};
  ServerMessage two = Good(Begin());
  two.Add(Question(AlertCode::kConfirm)).Exec("./T/Run", "c");
  EXPECT_THAT(StatusesOf(Answer(two)), ElementsAre("SyncHdr 0 212", "Alert 4 304", "Exec 5 202"));
}

TEST_F(SessionPromptTest, AQuestionThatCannotBeReadIsRefused) {
  EXPECT_THAT(StatusesOf(Ask(Question(AlertCode::kSingleChoice))),
              ElementsAre("SyncHdr 0 212", "Alert 4 400"));
  Command bare = syncml::MakeAlert("", AlertCode::kConfirm);
  EXPECT_THAT(StatusesOf(Ask(bare)), ElementsAre("SyncHdr 0 212", "Alert 4 400"));
  EXPECT_THAT(host_.asked, IsEmpty());
}

}  // namespace
}  // namespace virmo::dm_bridge
