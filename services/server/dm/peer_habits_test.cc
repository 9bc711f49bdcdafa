// SPDX-License-Identifier: Apache-2.0
// What real peers get wrong, or do their own way, and what must come of it. Each test names the
// observation: OMA's examples, Fleet, Windows, Nokia, Funambol, KGM, AOSP.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/server/testing/session_fixture.h"

namespace virmo::server {
namespace {

using syncml::Message;
using ::testing::HasSubstr;
using testing::HeaderStatus;
using ::testing::Values;

class PeerHabitsTest : public SessionFixture,
                       public ::testing::WithParamInterface<syncml::Encoding> {
 protected:
  PeerHabitsTest() {
    device_.encoding = GetParam();
    SetState(30);
    device_.tree["./DevDetail/FwV"] = "7.1";
  }

  std::string QueueGet(const std::string& uri) {
    v1::Action action;
    action.mutable_get()->add_uris(uri);
    return fleet_.Queue("edge-1", action);
  }
  // A session whose replies are changed before they are sent.
  template <typename Change>
  void SessionWith(const Change& change) {
    device_.Begin(absl::StrCat("h", ++session_));
    Message server = *device_.Send(device_.Package1());
    for (int i = 0; i < 40 && server.body.size() > 1; ++i) {
      Message reply = device_.Reply(server);
      change(reply);
      server = *device_.Send(reply);
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Encodings, PeerHabitsTest,
                         Values(syncml::Encoding::kXml, syncml::Encoding::kWbxml));

// OMA's own examples have wrong MsgRefs.
TEST_P(PeerHabitsTest, FindsItsCommandBehindAWrongMsgRef) {
  const std::string get = QueueGet("./DevDetail/FwV");
  const std::string start = QueueStart();
  SessionWith([](Message& reply) {
    for (auto& command : reply.body) command.msg_ref = "99";
  });

  EXPECT_EQ(Get(get).state(), Command::STATE_CONFIRMED);
  EXPECT_EQ(Get(start).state(), Command::STATE_CONFIRMED);
}

// Some leave out CmdRef, or MsgRef in Results.
TEST_P(PeerHabitsTest, FindsItsCommandWithoutReferences) {
  const std::string get = QueueGet("./DevDetail/FwV");
  SessionWith([](Message& reply) {
    for (auto& command : reply.body) {
      if (command.kind == CommandKind::kResults) {
        command.cmd_ref.clear();
        command.msg_ref.clear();
      } else if (command.cmd == "SyncHdr") {
        command.cmd_ref.clear();
      }
    }
  });

  EXPECT_EQ(Get(get).state(), Command::STATE_CONFIRMED);
  EXPECT_EQ(Get(get).node_results(0).value(), "7.1");
}

// A late or repeated Status of an earlier message must not pass for one of this message.
TEST_P(PeerHabitsTest, DoesNotTakeTheStatusOfAnEarlierMessageForThisOne) {
  const std::string start = QueueStart();
  int replies = 0;
  SessionWith([&](Message& reply) {
    if (++replies != 2) return;
    for (const auto& command : device_.commands) {
      if (command.kind != CommandKind::kExec) continue;
      syncml::Command again = syncml::MakeStatus("88", "1", command, syncml::StatusCode::kNotFound);
      reply.body.insert(reply.body.begin() + 1, again);
    }
  });

  EXPECT_EQ(Get(start).state(), Command::STATE_CONFIRMED);
}

// ms-iot #84: the first Status (SyncHdr 200) was taken for the command's.
TEST_P(PeerHabitsTest, TellsTheCommandsStatusFromTheHeaders) {
  const std::string start = QueueStart();
  device_.on_exec = [](const auto&) { return ScriptedDevice::Answer{405, ""}; };
  Session();

  EXPECT_EQ(Get(start).state(), Command::STATE_FAILED);
  EXPECT_EQ(Get(start).dm_status(), 405);
}

// Several Items in a command: one Status for each, told apart by TargetRef.
TEST_P(PeerHabitsTest, TakesAStatusForEachItemByItsTargetRef) {
  const std::string get = QueueGet("./DevDetail/FwV");
  SessionWith([](Message& reply) {
    for (auto& command : reply.body) {
      if (command.kind == CommandKind::kStatus && command.cmd == "Get") {
        command.target_refs = {"./DevDetail/FwV"};
      }
    }
  });

  EXPECT_EQ(Get(get).state(), Command::STATE_CONFIRMED);
}

// A device may spread one command's Results over several Results and messages.
TEST_P(PeerHabitsTest, GathersResultsThatComeInSeveralMessages) {
  v1::Action action;
  action.mutable_get()->add_uris("./Ext?list=StructData");
  const std::string get = fleet_.Queue("edge-1", action);
  for (int i = 0; i < 30; ++i) device_.tree[absl::StrCat("./Ext/n", i)] = absl::StrCat(i);
  device_.Begin("m");
  Message server = *device_.Send(device_.Package1());
  Message reply = device_.Reply(server);
  std::vector<syncml::Command> spread;
  for (const auto& command : reply.body) {
    if (command.kind != CommandKind::kResults) continue;
    for (const auto& item : command.items) {
      spread.push_back(command);
      spread.back().items = {item};
    }
  }
  std::erase_if(reply.body, [](const auto& one) { return one.kind == CommandKind::kResults; });
  reply.final = false;
  server = *device_.Send(reply);
  for (size_t i = 0; i < spread.size(); ++i) {
    EXPECT_EQ(server.body.back().data, "1222");
    EXPECT_FALSE(server.final);
    Message more;
    more.body = {spread[i]};
    more.final = i + 1 == spread.size();
    server = *device_.Send(more);
  }

  ASSERT_EQ(Get(get).state(), Command::STATE_CONFIRMED);
  EXPECT_EQ(Get(get).node_results_size(), 31);
}

// Meta at command level holds for Items without one (Windows), and wins over nothing.
TEST_P(PeerHabitsTest, TakesMetaFromTheCommand) {
  const std::string get = QueueGet("./VirMO/VMs");
  SessionWith([](Message& reply) {
    for (auto& command : reply.body) {
      if (command.kind != CommandKind::kResults || command.items.size() != 1) continue;
      command.meta = command.items[0].meta;
      command.items[0].meta = {};
    }
  });

  EXPECT_EQ(Get(get).node_results(0).format(), "node");
}

// Fleet #25581: `0` is a legal SessionID. Fleet sends GUIDs as CmdIDs; so may a device.
TEST_P(PeerHabitsTest, TakesAnySessionIdAndCmdId) {
  device_.Begin("0");
  Message message = device_.Package1();
  for (auto& command : message.body) command.cmd_id = NewUuid();
  const Message answer = *device_.Send(message);

  EXPECT_EQ(HeaderStatus(answer), 212);
  EXPECT_EQ(answer.header.session_id, "0");
  EXPECT_EQ(answer.body[1].cmd_ref, message.body[0].cmd_id);
}

// Windows: a command without CmdID, or one nobody knows, is answered 400 and harms itself alone.
TEST_P(PeerHabitsTest, AnswersACommandWithoutCmdIdBy400) {
  Message message = device_.Package1();
  message.body[0].cmd_id.clear();
  const Message answer = *device_.Send(message);

  EXPECT_EQ(HeaderStatus(answer), 212);
  EXPECT_EQ(answer.body[1].data, "400");
  EXPECT_EQ(answer.body[2].data, "200");
}

// Every form of a Generic Alert is stored: with prefixes, without Type, with odd Formats, several
// Items in one Alert, without Data.
TEST_P(PeerHabitsTest, StoresEveryFormOfAGenericAlertOnce) {
  const char* const types[] = {
      "urn:oma:at:lawmo:1.0:OperationComplete",
      "Reversed-Domain-Name: org.openmobilealliance.dm.firmwareupdate.update",
      " Content-Type: application/x-thing ", ""};
  Message message = device_.Package1();
  syncml::Command alert = syncml::MakeAlert("20", syncml::AlertCode::kGeneric);
  for (const char* type : types) {
    syncml::Item item = syncml::MakeSourceItem(absl::StrCat("./VirMO/VMs/", kVm), "1200");
    item.meta.type = type;
    item.meta.format = "text/plain";
    if (*type == '\0') item.meta = {};
    alert.items.push_back(item);
  }
  alert.items.push_back(syncml::MakeSourceItem("./Ext"));
  message.body.push_back(alert);
  ASSERT_EQ(HeaderStatus(*device_.Send(message)), 212);

  const auto alerts = fleet_.Alerts("edge-1");
  ASSERT_EQ(alerts.size(), 5u);
  EXPECT_EQ(alerts[0].type(), "urn:oma:at:lawmo:1.0:OperationComplete");
  EXPECT_EQ(alerts[1].type(), "org.openmobilealliance.dm.firmwareupdate.update");
  EXPECT_EQ(alerts[2].type(), "application/x-thing");
  EXPECT_EQ(alerts[3].type(), "");
  for (int i = 0; i < 4; ++i) EXPECT_EQ(alerts[i].result_code(), 1200);
  EXPECT_EQ(device_.received.back().body[3].data, "200");
}

// KGM: nonces are octets, not text; none of them may break the digest.
TEST_P(PeerHabitsTest, TakesNoncesOfAnyOctets) {
  for (int i = 0; i < 20; ++i) {
    device_.server_nonce = std::string(16, static_cast<char>(i * 13));
    ASSERT_TRUE(fleet_.devices().SetServerNonce("edge-1", device_.server_nonce).ok());
    device_.Begin(absl::StrCat("n", i));
    const Message answer = *device_.Send(device_.Package1());
    EXPECT_EQ(
        answer.header.cred->data,
        syncml::Md5Digest("virmo-server", device_.account.server_secret(), device_.server_nonce));
  }
}

// Fleet #47683: commands of one second came in random order. (CommandDelivery has the thousand.)
// MediaTek: of several operations under way only the last was known.
TEST_P(PeerHabitsTest, KnowsEveryOperationUnderWay) {
  device_.AddVirtualMachine(kOtherVm, "db", 10);
  Session();
  const std::string first = QueueStart();
  v1::Action other = On("db");
  other.mutable_start();
  const std::string second = fleet_.Queue("edge-1", other);
  device_.on_exec = [](const auto&) { return ScriptedDevice::Answer{202, ""}; };
  Session();
  device_.tree[absl::StrCat("./VirMO/VMs/", kOtherVm, "/State")] = "30";
  device_.QueueAlert("Start", second, kOtherVm, 1200, NewUuid());
  device_.QueueAlert("Start", first, kVm, 1409, NewUuid());
  Session();

  EXPECT_EQ(Get(first).state(), Command::STATE_FAILED);
  EXPECT_EQ(Get(second).state(), Command::STATE_CONFIRMED);
}

// Verizon, Redbend: codes of their own.
TEST_P(PeerHabitsTest, ShowsCodesNobodyKnows) {
  const std::string start = QueueStart();
  device_.on_exec = [](const auto&) { return ScriptedDevice::Answer{499, "1477 vendor says no"}; };
  Session();

  EXPECT_EQ(Get(start).dm_status(), 499);
  EXPECT_EQ(Get(start).result_code(), 1477);
  EXPECT_EQ(Get(start).detail(), "vendor says no");
}

// Fleet #15678: an acknowledgement that got lost left a command pending for ever.
TEST_P(PeerHabitsTest, AsksAgainForACommandWhoseAnswerGotLost) {
  const std::string start = QueueStart();
  bool lost = false;
  device_.override_status = [&](const syncml::Command& command) {
    if (command.kind != CommandKind::kExec || lost) return ScriptedDevice::Answer{200, ""};
    lost = true;
    return ScriptedDevice::Answer{0, ""};
  };
  Session();
  ASSERT_EQ(Get(start).state(), Command::STATE_FETCHED);
  Session();

  EXPECT_EQ(Get(start).state(), Command::STATE_CONFIRMED);
}

// Octets come as they are in WBXML, and as base64 in XML. What is kept of both is the same text.
TEST_P(PeerHabitsTest, TakesOctetsInEitherEncoding) {
  const std::string get = QueueGet("./DevDetail/FwV");
  SessionWith([](Message& reply) {
    for (auto& command : reply.body) {
      if (command.kind != CommandKind::kResults) continue;
      command.items[0].meta.format = "bin";
      command.items[0].data = std::string("\0\xFF\xC3(", 4);
    }
  });

  EXPECT_EQ(Get(get).state(), Command::STATE_CONFIRMED);
  EXPECT_EQ(Get(get).node_results(0).value(), "AP/DKA==");
  EXPECT_EQ(Get(get).node_results(0).format(), "b64");
}

// Data that is no text, or longer than what is kept of it, harms nobody.
TEST_P(PeerHabitsTest, KeepsWhatIsTextOfAnAlertAndOfAStatus) {
  const std::string start = QueueStart();
  device_.override_status = [](const syncml::Command& command) {
    return ScriptedDevice::Answer{command.kind == CommandKind::kExec ? 500 : 200, "o\xFFn"};
  };
  std::string wide;
  for (int i = 0; i < 3000; ++i) absl::StrAppend(&wide, "a\xE2\x82\xAC");
  for (const std::string& data : {std::string("o\x98n"), wide}) {
    device_.alerts.push_back({.source_uri = "./Ext", .type = "x", .data = data});
  }
  Session();

  const auto alerts = fleet_.Alerts("edge-1");
  ASSERT_EQ(alerts.size(), 2u);
  EXPECT_THAT(alerts[0].detail(), ::testing::AnyOf("o\xEF\xBF\xBDn", HasSubstr("a\xE2\x82\xAC")));
  EXPECT_TRUE(syncml::IsXmlText(alerts[0].detail()) && syncml::IsXmlText(alerts[1].detail()));
  EXPECT_EQ(Get(start).detail(), "o\xEF\xBF\xBDn");
}

// AOSP: a bare `&` is no XML. It is refused with a place, and nothing of it is kept.
TEST_P(PeerHabitsTest, RefusesMalformedXmlWithItsPlace) {
  const auto refused = fleet_.Post("/dm", "<SyncML><SyncHdr>a & b</SyncHdr></SyncML>");

  EXPECT_TRUE(absl::IsInvalidArgument(refused.status()));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("line 1"));
}

// A device that echoes DM/1.2 gets DM/1.2, one that speaks DM/1.3 gets that.
TEST_P(PeerHabitsTest, EchoesTheVersion) {
  for (const char* version : {"DM/1.2", "DM/1.3"}) {
    device_.Begin(version);
    Message message = device_.Package1();
    message.header.ver_proto = version;
    EXPECT_EQ(device_.Send(message)->header.ver_proto, version);
  }
}

// Windows ignores Meta in SyncHdr, so our own cap must hold.
TEST_P(PeerHabitsTest, RefusesAMessageBeyondItsOwnCap) {
  fleet_.options.max_message_bytes = 8192;
  fleet_.Restart();
  Message message = device_.Package1();
  message.body[0].items = {syncml::MakeSourceItem("./x", std::string(10000, 'x'))};

  EXPECT_TRUE(absl::IsResourceExhausted(device_.Send(message).status()));
}

}  // namespace
}  // namespace virmo::server
