// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/redact.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/syncml/codec.h"
#include "services/syncml/credential.h"

namespace virmo::syncml {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Command With(CommandKind kind, const std::string& uri, const std::string& data) {
  Command command;
  command.kind = kind;
  command.cmd_id = "7";
  command.items = {MakeTargetItem(uri, data)};
  return command;
}

TEST(RedactTest, HidesWhatProvesSomebodyAndWhatIsSecret) {
  Message message;
  message.header.cred = MakeBasicCred("me", "hush-cred");
  Command status = MakeHeaderStatus("1", message.header, StatusCode::kAuthenticationAccepted);
  status.chal = MakeChallenge("hush-nonce-octet");
  Command sequence;
  sequence.kind = CommandKind::kSequence;
  sequence.cmd_id = "2";
  sequence.children = {With(CommandKind::kReplace, "./DMAcc/x/AppAuth/cl/AAuthSecret", "hush-in"),
                       With(CommandKind::kReplace, "./VirMO/VMs/v/Name", "shown")};
  Command answer = MakeStatus("3", "1", With(CommandKind::kAlert, "", ""), StatusCode::kOk);
  answer.items = {Item{.data = "hush-pin"}};
  Command tnds = With(CommandKind::kAdd, "./Inbox", "<Node><NodeName>AAuthSecret</NodeName>hush-t");
  tnds.items[0].meta.type = "application/vnd.syncml.dmtnds+xml";
  message.body = {status, sequence, answer, tnds};

  const Message redacted = Redact(message);

  for (const Encoding encoding : {Encoding::kXml, Encoding::kWbxml}) {
    const std::string text = Encode(redacted, encoding);
    EXPECT_THAT(text, Not(HasSubstr("hush")));
    EXPECT_THAT(text, Not(HasSubstr(Base64Encode("me:hush-cred"))));
    EXPECT_THAT(text, Not(HasSubstr(Base64Encode("hush-nonce-octet"))));
    EXPECT_THAT(text, HasSubstr("shown"));
  }
  EXPECT_EQ(redacted.body[1].children[0].items[0].target->uri, "./DMAcc/x/AppAuth/cl/AAuthSecret");
}

TEST(RedactTest, LeavesTheRestAsItIs) {
  Message message;
  message.header.session_id = "1F";
  message.body = {With(CommandKind::kGet, "./DevInfo/Man", "x")};
  EXPECT_EQ(Redact(message), message);
}

}  // namespace
}  // namespace virmo::syncml
