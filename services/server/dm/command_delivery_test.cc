// SPDX-License-Identifier: Apache-2.0
// How a queued command reaches its device, and what becomes of it.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/server/dm/delivery_policy.h"
#include "services/server/testing/session_fixture.h"

namespace virmo::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CommandDeliveryTest : public SessionFixture {};

TEST_F(CommandDeliveryTest, PassesEveryStateOfAnAsynchronousCommand) {
  const std::string id = QueueStart();
  device_.on_exec = [](const auto&) { return ScriptedDevice::Answer{202, ""}; };
  Session();
  ASSERT_EQ(Get(id).state(), Command::STATE_ACCEPTED);

  SetState(30);
  device_.QueueAlert("Start", id, kVm, 1200, kAlertId);
  Session();

  EXPECT_THAT(Way(id),
              ElementsAre(Command::STATE_QUEUED, Command::STATE_FETCHED, Command::STATE_ACCEPTED,
                          Command::STATE_APPLIED, Command::STATE_CONFIRMED));
  EXPECT_EQ(Get(id).result_code(), 1200);
  EXPECT_EQ(Get(id).dm_status(), 202);
  EXPECT_TRUE(Get(id).has_end_time());
  ASSERT_EQ(Execs().size(), 1u);
  EXPECT_EQ(Execs()[0].correlator, id);
  EXPECT_EQ(Execs()[0].items[0].target->uri,
            absl::StrCat("./VirMO/VMs/", kVm, "/Operations/Start"));
}

TEST_F(CommandDeliveryTest, StoresAnAlertOnceAndCountsItsRepeats) {
  const std::string id = QueueStart();
  device_.on_exec = [](const auto&) { return ScriptedDevice::Answer{202, ""}; };
  Session();
  for (int i = 0; i < 3; ++i) {
    device_.QueueAlert("Start", id, kVm, 1200, kAlertId);
    Session();
  }

  const auto alerts = fleet_.Alerts("edge-1");
  ASSERT_EQ(alerts.size(), 1u);
  EXPECT_EQ(alerts[0].deliveries(), 3);
  EXPECT_EQ(alerts[0].command(), absl::StrCat("devices/edge-1/commands/", id));
  EXPECT_EQ(alerts[0].name(), absl::StrCat("devices/edge-1/alerts/", kAlertId));
  EXPECT_EQ(alerts[0].detail(), "so it went");
}

TEST_F(CommandDeliveryTest, FailsWithTheResultOfTheAlert) {
  const std::string id = QueueStart();
  device_.on_exec = [](const auto&) { return ScriptedDevice::Answer{202, ""}; };
  Session();
  device_.QueueAlert("Start", id, kVm, 1409, kAlertId);
  Session();

  EXPECT_EQ(Get(id).state(), Command::STATE_FAILED);
  EXPECT_EQ(Get(id).result_code(), 1409);
  EXPECT_EQ(Get(id).detail(), "so it went");
}

TEST_F(CommandDeliveryTest, FailsWithTheResultCodeOfARefusal) {
  const std::string id = QueueStart();
  device_.on_exec = [](const auto&) {
    return ScriptedDevice::Answer{403, "1419 cannot start a suspended VM"};
  };
  Session();

  EXPECT_EQ(Get(id).state(), Command::STATE_FAILED);
  EXPECT_EQ(Get(id).dm_status(), 403);
  EXPECT_EQ(Get(id).result_code(), 1419);
  EXPECT_EQ(Get(id).detail(), "cannot start a suspended VM");
}

TEST_F(CommandDeliveryTest, SendsALostCommandAgainWithTheSameCorrelatorUpToACap) {
  const std::string id = QueueStart();
  device_.override_status = [](const auto& command) {
    return ScriptedDevice::Answer{command.kind == CommandKind::kExec ? 0 : 200, ""};
  };
  for (int i = 0; i < kMaxAttempts + 2; ++i) Session();

  EXPECT_EQ(Execs().size(), static_cast<size_t>(kMaxAttempts));
  for (const auto& exec : Execs()) EXPECT_EQ(exec.correlator, id);
  EXPECT_EQ(Get(id).state(), Command::STATE_FAILED);
  EXPECT_THAT(Get(id).detail(), HasSubstr("without an answer"));
}

TEST_F(CommandDeliveryTest, WaitsForADeviceWhosePartsAreAway) {
  const std::string id = QueueStart();
  device_.on_exec = [](const auto&) { return ScriptedDevice::Answer{503, "1412 not reachable"}; };
  for (int i = 0; i < kMaxAttempts + 2; ++i) Session();
  ASSERT_EQ(Get(id).state(), Command::STATE_FETCHED);
  device_.on_exec = [](const auto&) { return ScriptedDevice::Answer{202, ""}; };
  Session();

  EXPECT_EQ(Get(id).state(), Command::STATE_ACCEPTED);
  for (const auto& exec : Execs()) EXPECT_EQ(exec.correlator, id);
}

TEST_F(CommandDeliveryTest, DoesNotWaitForEver) {
  const std::string id = QueueStart();
  device_.on_exec = [](const auto&) { return ScriptedDevice::Answer{503, "1412 not reachable"}; };
  for (int i = 0; i + 1 < kMaxAttempts; ++i) Session();
  ASSERT_EQ(Get(id).state(), Command::STATE_FETCHED);
  EXPECT_THAT(fleet_.deferred, ::testing::Contains("edge-1"));  // Asked to come again.
  fleet_.now += kPatience;
  Session();

  EXPECT_EQ(Get(id).state(), Command::STATE_FAILED);
  EXPECT_EQ(Get(id).attempts(), kMaxAttempts);
  EXPECT_EQ(Get(id).dm_status(), 503);
  EXPECT_THAT(Get(id).detail(), HasSubstr("not reachable"));
}

TEST_F(CommandDeliveryTest, BelievesALateAlertAfterGivingUp) {
  const std::string id = QueueStart();
  device_.override_status = [](const auto& command) {
    return ScriptedDevice::Answer{command.kind == CommandKind::kExec ? 0 : 200, ""};
  };
  for (int i = 0; i < kMaxAttempts; ++i) Session();
  ASSERT_EQ(Get(id).state(), Command::STATE_FAILED);
  SetState(30);
  device_.QueueAlert("Start", id, kVm, 1200, kAlertId);
  Session();

  EXPECT_EQ(Get(id).state(), Command::STATE_CONFIRMED);
}

TEST_F(CommandDeliveryTest, SendsACommandAgainWhenTheSessionBreaksOff) {
  const std::string id = QueueStart();
  device_.Begin("broken");
  ASSERT_TRUE(device_.Send(device_.Package1()).ok());  // Fetched; then the device is gone.
  ASSERT_EQ(Get(id).state(), Command::STATE_FETCHED);
  fleet_.Restart();
  SetState(30);
  Session();

  EXPECT_EQ(Get(id).state(), Command::STATE_CONFIRMED);
  EXPECT_EQ(Get(id).attempts(), 2);
}

TEST_F(CommandDeliveryTest, LetsOthersPassAPoisonousCommand) {
  Session();
  v1::Action poison;
  poison.mutable_get()->add_uris("./Poison");
  const std::string bad = fleet_.Queue("edge-1", poison);
  const std::string good = QueueStart();
  SetState(30);
  // The device dies of it: no answer to any message that holds the poison.
  const auto dies = [&] {
    device_.Begin(absl::StrCat(++session_));
    auto message = *device_.Send(device_.Package1());
    for (int i = 0; i < 10 && message.body.size() > 1; ++i) {
      for (const auto& command : message.body) {
        const bool is_poison =
            command.kind == CommandKind::kGet && command.items[0].target->uri == "./Poison";
        if (is_poison) return;
      }
      message = *device_.Send(device_.Reply(message));
    }
  };
  for (int i = 0; i < 7; ++i) dies();

  EXPECT_EQ(Get(bad).state(), Command::STATE_FAILED);
  EXPECT_EQ(Get(good).state(), Command::STATE_CONFIRMED);
}

TEST_F(CommandDeliveryTest, TakesStatusesInAnyOrderAndIgnoresStrangeOnes) {
  v1::Action get;
  get.mutable_get()->add_uris("./DevDetail/FwV");
  const std::string read = fleet_.Queue("edge-1", get);
  const std::string start = QueueStart();
  device_.tree["./DevDetail/FwV"] = "7.1";
  SetState(30);
  device_.Begin("1");
  auto message = device_.Reply(*device_.Send(device_.Package1()));
  std::reverse(message.body.begin() + 1, message.body.end());
  syncml::Command strange = message.body[1];
  strange.data = "500";
  strange.cmd_ref = "777";
  message.body.push_back(strange);
  for (int i = 0; i < 10; ++i) {
    const auto answer = *device_.Send(message);
    if (answer.body.size() == 1) break;
    message = device_.Reply(answer);
  }

  EXPECT_EQ(Get(read).state(), Command::STATE_CONFIRMED);
  EXPECT_EQ(Get(read).detail(), "./DevDetail/FwV = 7.1");
  EXPECT_EQ(Get(start).state(), Command::STATE_CONFIRMED);
}

TEST_F(CommandDeliveryTest, HoldsACommandWhileAnEarlierOneForTheMachineIsUnderWay) {
  const std::string start = QueueStart();
  v1::Action stop = On(kVm);
  stop.mutable_stop();
  const std::string second = fleet_.Queue("edge-1", stop);
  v1::Action lock = On(kVm);
  lock.mutable_lock()->set_reason("lost");
  const std::string third = fleet_.Queue("edge-1", lock);
  device_.on_exec = [](const auto&) { return ScriptedDevice::Answer{202, ""}; };
  Session();

  EXPECT_EQ(Get(start).state(), Command::STATE_ACCEPTED);
  EXPECT_EQ(Get(second).state(), Command::STATE_QUEUED);
  EXPECT_EQ(Get(third).state(), Command::STATE_ACCEPTED);  // Locking never waits.

  device_.QueueAlert("Start", start, kVm, 1200, kAlertId);
  Session();
  EXPECT_EQ(Get(second).state(), Command::STATE_ACCEPTED);
}

TEST_F(CommandDeliveryTest, DeliversInTheOrderOfTheQueue) {
  std::vector<std::string> uris;
  for (int i = 0; i < 60; ++i) {
    uris.push_back(absl::StrCat("./Ext/n", i));
    device_.tree[uris.back()] = absl::StrCat(i);
    v1::Action action;
    action.mutable_get()->add_uris(uris.back());
    fleet_.Queue("edge-1", action);
  }
  Session();

  std::vector<std::string> sent;
  for (const auto& command : device_.commands) {
    const std::string& uri = command.items[0].target->uri;
    if (absl::StartsWith(uri, "./Ext/")) sent.push_back(uri);
  }
  EXPECT_EQ(sent, uris);
}

TEST_F(CommandDeliveryTest, DeliversAThousandOfOneSecondInTheOrderOfTheQueue) {
  std::vector<std::string> uris;
  for (int i = 0; i < 1000; ++i) {  // The clock stands still.
    uris.push_back(absl::StrCat("./Ext/n", i));
    v1::Action action;
    auto& operation = *action.mutable_tree()->add_operations();
    operation.set_verb(v1::Action::Tree::Operation::VERB_EXEC);
    operation.set_uri(uris.back());
    fleet_.Queue("edge-1", action);
  }
  Session();

  std::vector<std::string> sent;
  for (const auto& exec : Execs()) sent.push_back(exec.items[0].target->uri);
  EXPECT_EQ(sent, uris);
}

TEST_F(CommandDeliveryTest, RefusesMoreThanADeviceCanEverCatchUpWith) {
  Events events;
  for (int i = 0; i < 10000; ++i) {
    ASSERT_TRUE(fleet_.database()
                    .Execute("INSERT INTO command (id, device, sequence, state, virtual_machine, "
                             "awaits_read, end_time, session, resource) VALUES (?1, 'edge-1', ?2, "
                             "1, '', 0, 0, '', '')",
                             {absl::StrCat("c", i), int64_t{1000000 + i}})
                    .ok());
  }
  QueuedCommand command;
  command.id = NewUuid();
  command.device = "edge-1";

  EXPECT_TRUE(absl::IsResourceExhausted(fleet_.queue().Insert(command, events)));
}

TEST_F(CommandDeliveryTest, SaysWhichChildOfAnAtomicFailed) {
  v1::Action action;
  action.mutable_tree()->set_mode(v1::Action::Tree::MODE_ATOMIC);
  for (const char* uri : {"./Ext/a", "./Ext/b", "./Ext/c"}) {
    auto& operation = *action.mutable_tree()->add_operations();
    operation.set_verb(v1::Action::Tree::Operation::VERB_REPLACE);
    operation.set_uri(uri);
    operation.set_value("1");
  }
  const std::string id = fleet_.Queue("edge-1", action);
  device_.override_status = [](const syncml::Command& command) {
    if (command.kind == CommandKind::kAtomic) return ScriptedDevice::Answer{507, ""};
    if (command.items.empty()) return ScriptedDevice::Answer{200, ""};
    const std::string& uri = command.items[0].target->uri;
    if (uri == "./Ext/a") return ScriptedDevice::Answer{216, ""};
    if (uri == "./Ext/b") return ScriptedDevice::Answer{404, ""};
    return ScriptedDevice::Answer{uri == "./Ext/c" ? 215 : 200, ""};
  };
  Session();

  EXPECT_EQ(Get(id).state(), Command::STATE_FAILED);
  EXPECT_EQ(Get(id).dm_status(), 507);
  EXPECT_THAT(Get(id).detail(), HasSubstr("./Ext/b"));
  EXPECT_THAT(Get(id).detail(), HasSubstr("404"));
}

TEST_F(CommandDeliveryTest, KeepsToTheMessageSizeOfTheDevice) {
  device_.max_message_size = 3000;
  for (int i = 0; i < 20; ++i) {
    v1::Action action;
    action.mutable_get()->add_uris(absl::StrCat("./Ext/", std::string(100, 'n')));
    fleet_.Queue("edge-1", action);
  }
  v1::Action big;  // Within a Sequence it cannot be split.
  for (const char* uri : {"./Ext/x", "./Ext/y"}) {
    auto& operation = *big.mutable_tree()->add_operations();
    operation.set_verb(v1::Action::Tree::Operation::VERB_REPLACE);
    operation.set_uri(uri);
    operation.set_value(std::string(5000, 'v'));
  }
  const std::string too_big = fleet_.Queue("edge-1", big);
  Session();

  for (const auto& message : device_.received) {
    EXPECT_LE(syncml::Encode(message, syncml::Encoding::kXml).size(), 3000u);
  }
  EXPECT_EQ(Get(too_big).state(), Command::STATE_FAILED);
  EXPECT_THAT(Get(too_big).detail(), HasSubstr("3000"));
}

TEST_F(CommandDeliveryTest, KeepsWhatWasSaidWithoutSecrets) {
  v1::Action action;
  action.mutable_replace()->set_uri(absl::StrCat("./VirMO/VMs/", kVm, "/Lock/UserUnlock/Secret"));
  action.mutable_replace()->set_value("1234-5678");
  const std::string id = fleet_.Queue("edge-1", action);
  Session();

  const Command command = Get(id);
  ASSERT_GE(command.exchanges_size(), 2);
  EXPECT_TRUE(command.exchanges(0).sent());
  EXPECT_THAT(command.exchanges(0).syncml(), HasSubstr("<Replace>"));
  EXPECT_THAT(command.exchanges(1).syncml(), HasSubstr("<Status>"));
  EXPECT_FALSE(absl::StrContains(command.DebugString(), "1234-5678"));
}

TEST_F(CommandDeliveryTest, TakesAlertsOfOtherKindsLeniently) {
  syncml::GenericAlert bare;
  bare.source_uri = absl::StrCat("./VirMO/VMs/", kVm);
  bare.type = "Reversed-Domain-Name: org.example.event";
  bare.format = "int";
  bare.data = "1200";
  syncml::GenericAlert strange = bare;
  strange.data = "<<not xml";
  device_.alerts = {bare, strange};
  Session();

  const auto alerts = fleet_.Alerts("edge-1");
  ASSERT_EQ(alerts.size(), 2u);
  EXPECT_EQ(alerts[0].result_code(), 1200);
  EXPECT_EQ(alerts[0].type(), "org.example.event");
  EXPECT_EQ(alerts[0].identifier(), kVm);
  EXPECT_EQ(alerts[1].detail(), "<<not xml");
}

TEST_F(CommandDeliveryTest, ForgetsNothingWhenTheDeviceAborts) {
  const std::string id = QueueStart();
  device_.Begin("1");
  ASSERT_TRUE(device_.Send(device_.Package1()).ok());
  syncml::Message abort;
  abort.body = {syncml::MakeAlert("1", syncml::AlertCode::kSessionAbort)};
  abort.final = true;
  const auto answer = *device_.Send(abort);

  EXPECT_EQ(answer.body.size(), 2u);
  EXPECT_THAT(fleet_.devices().Get("edge-1")->last_session_error(), HasSubstr("broke"));
  SetState(30);
  Session();
  EXPECT_EQ(Get(id).state(), Command::STATE_CONFIRMED);
}

}  // namespace
}  // namespace virmo::server
