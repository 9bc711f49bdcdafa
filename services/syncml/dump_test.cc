// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/dump.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace virmo::syncml {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Message WithItem(CommandKind kind, const Item& item) {
  Message message;
  Command& command = message.body.emplace_back();
  command.kind = kind;
  command.cmd_id = "7";
  command.items = {item};
  return message;
}

TEST(DumpTest, ShowsOneLinePerElement) {
  Message message = WithItem(CommandKind::kReplace, MakeTargetItem("./A/RAM/Size", "1024"));
  message.header.session_id = "1F";
  message.header.msg_id = "2";
  message.header.source = {.uri = "urn:uuid:1", .name = "dev"};
  message.header.target.uri = "https://s/dm";
  message.final = true;

  EXPECT_EQ(Dump(message),
            "SyncHdr dtd=1.2 proto=DM/1.3 session=1F msg=2 target=https://s/dm "
            "source=urn:uuid:1 (dev)\n"
            "Replace id=7\n"
            "  Item target=./A/RAM/Size data=\"1024\"\n"
            "Final\n");
}

TEST(DumpTest, NeverShowsCredentialsAndNonces) {
  Message message;
  message.header.cred.emplace().data = "HIDDEN-1";
  Command& status = message.body.emplace_back(MakeHeaderStatus("1", {}, StatusCode::kOk));
  status.chal.emplace().meta.next_nonce = "HIDDEN-2";
  status.cred.emplace().data = "HIDDEN-3";

  EXPECT_THAT(Dump(message), Not(HasSubstr("HIDDEN")));
}

TEST(DumpTest, NeverShowsTheDataOfSecretNodes) {
  for (const char* uri :
       {"./DMAcc/virmo/AppAuth/cl/AAuthSecret", "./DMAcc/virmo/AppAuth/cl/AAuthData",
        "./VirMO/VMs/v1/Lock/UserUnlock/Secret", "./x/clientsecret"}) {
    EXPECT_THAT(Dump(WithItem(CommandKind::kReplace, MakeTargetItem(uri, "HIDDEN"))),
                Not(HasSubstr("HIDDEN")))
        << uri;
    EXPECT_THAT(Dump(WithItem(CommandKind::kResults, MakeSourceItem(uri, "HIDDEN"))),
                Not(HasSubstr("HIDDEN")))
        << uri;
  }
}

TEST(DumpTest, NeverShowsATndsThatSetsASecret) {
  Item item = MakeTargetItem("./Inbox", "<Node><NodeName>AAuthSecret</NodeName>HIDDEN</Node>");
  EXPECT_THAT(Dump(WithItem(CommandKind::kAdd, item)), Not(HasSubstr("HIDDEN")));
}

TEST(DumpTest, NeverShowsWhatTheUserTyped) {
  Item item;
  item.data = "HIDDEN";
  Message message = WithItem(CommandKind::kStatus, item);
  message.body[0].cmd = "Alert";
  EXPECT_THAT(Dump(message), Not(HasSubstr("HIDDEN")));
}

TEST(DumpTest, EscapesControlCharactersSoThatOneElementStaysOneLine) {
  const std::string text =
      Dump(WithItem(CommandKind::kReplace, MakeTargetItem("./A", "a\nExec id=9\x1b[2J")));
  EXPECT_THAT(text, HasSubstr("a\\nExec id=9\\x1b[2J"));
}

TEST(DumpTest, CutsLongDataAndTellsItsSize) {
  const Message message =
      WithItem(CommandKind::kReplace, MakeTargetItem("./A", std::string(1000, 'x')));
  EXPECT_THAT(Dump(message, {.max_data = 10}), HasSubstr("\"xxxxxxxxxx\"... (1000 octets)"));
  EXPECT_THAT(Dump(message, {.max_data = 0}), HasSubstr(std::string(1000, 'x')));
}

TEST(DumpTest, IndentsCommandsWithinAtomicAndNamesUnknownOnes) {
  Message message;
  Command& atomic = message.body.emplace_back();
  atomic.kind = CommandKind::kAtomic;
  atomic.cmd_id = "1";
  Command& child = atomic.children.emplace_back();
  child.unknown_name = "Put";
  child.cmd_id = "2";
  EXPECT_THAT(Dump(message), HasSubstr("Atomic id=1\n  Put id=2\n"));
}

}  // namespace
}  // namespace virmo::syncml
