// SPDX-License-Identifier: Apache-2.0
// What the actions on settings become on the wire, and what confirms them.
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/server/testing/session_fixture.h"

namespace virmo::server {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using Operation = v1::Action::Tree::Operation;

class NewActionsTest : public SessionFixture {
 protected:
  NewActionsTest() {
    device_.AddVirtualMachine(kOtherVm, "db", 10);
    Session();
  }

  std::string Leaf(const std::string& path) { return absl::StrCat("./VirMO/VMs/", kVm, "/", path); }
  std::string Queue(const v1::Action& action) { return fleet_.Queue("edge-1", action); }
  std::string LastStep(const std::string& id) { return Get(id).timeline().rbegin()->detail(); }
  void Add(v1::Action& action, Operation::Verb verb, const std::string& uri,
           const std::string& value = "", const std::string& format = "") {
    auto& operation = *action.mutable_tree()->add_operations();
    operation.set_verb(verb);
    operation.set_uri(uri);
    operation.set_value(value);
    operation.set_format(format);
  }
};

TEST_F(NewActionsTest, EnablesAPeripheralAndConfirmsIt) {
  v1::Action action = On("web");
  action.mutable_set_peripheral()->set_peripheral_class(v1::PERIPHERAL_CLASS_USB_STORAGE);
  action.mutable_set_peripheral()->set_enabled(true);
  action.mutable_set_peripheral()->set_exclusive(true);
  const std::string id = Queue(action);
  device_.tree[Leaf("Peripherals/USBStorage/Enabled")] = "false";
  device_.tree[Leaf("Peripherals/USBStorage/Exclusive")] = "false";
  device_.on_exec = [&](const syncml::Command& exec) {
    EXPECT_EQ(exec.items[0].target->uri, Leaf("Peripherals/USBStorage/Operations/Enable"));
    EXPECT_EQ(device_.tree[Leaf("Peripherals/USBStorage/Exclusive")], "true");
    device_.tree[Leaf("Peripherals/USBStorage/Enabled")] = "true";
    return ScriptedDevice::Answer{200, ""};
  };
  Session();

  EXPECT_EQ(Get(id).state(), Command::STATE_CONFIRMED);
  EXPECT_THAT((*fleet_.inventory().Find("edge-1", kVm))->enabled_peripherals(),
              Contains("USBStorage"));
}

TEST_F(NewActionsTest, DoesNotConfirmAPeripheralThatStaysOff) {
  v1::Action action = On(kVm);
  action.mutable_set_peripheral()->set_peripheral_class(v1::PERIPHERAL_CLASS_GPS);
  action.mutable_set_peripheral()->set_enabled(true);
  const std::string id = Queue(action);
  device_.tree[Leaf("Peripherals/GPS/Enabled")] = "false";
  Session();

  EXPECT_EQ(Get(id).state(), Command::STATE_APPLIED);
  EXPECT_THAT(LastStep(id), HasSubstr("is false"));
}

TEST_F(NewActionsTest, WritesResourcesAndReadsEachBack) {
  v1::Action action = On(kVm);
  action.mutable_set_resources()->set_memory_mib(512);
  action.mutable_set_resources()->set_cpu_limit(150);
  const std::string id = Queue(action);
  device_.tree[Leaf("Resources/CPU/Limit")] = "0";
  Session();

  EXPECT_EQ(Get(id).state(), Command::STATE_CONFIRMED);
  EXPECT_EQ(device_.tree[Leaf("Resources/RAM/Size")], "512");
  EXPECT_EQ(device_.tree[Leaf("Resources/CPU/Limit")], "150");
}

TEST_F(NewActionsTest, SaysWhichResourceWasRefused) {
  v1::Action action = On(kVm);
  action.mutable_set_resources()->set_memory_mib(512);
  action.mutable_set_resources()->set_cpu_shares(10);  // A node that is not there.
  const std::string id = Queue(action);
  Session();

  EXPECT_EQ(Get(id).state(), Command::STATE_FAILED);
  EXPECT_EQ(Get(id).dm_status(), 404);
  EXPECT_THAT(Get(id).detail(), HasSubstr("Resources/CPU/Shares"));
}

TEST_F(NewActionsTest, MakesASharingRuleOnceAndChangesItThen) {
  v1::Action action = On(kVm);
  action.mutable_set_sharing()->set_peer("db");
  action.mutable_set_sharing()->set_channel(v1::SharingRule::CHANNEL_NETWORK);
  action.mutable_set_sharing()->set_direction(v1::SharingRule::DIRECTION_BOTH);
  action.mutable_set_sharing()->set_allow(true);
  const std::string first = Queue(action);
  Session();
  action.mutable_set_sharing()->set_allow(false);
  const std::string second = Queue(action);
  Session();

  const std::string rule = Leaf(absl::StrCat("DataSharing/Rules/", kOtherVm, "-network-both/"));
  EXPECT_EQ(Get(first).state(), Command::STATE_CONFIRMED);
  EXPECT_EQ(Get(second).state(), Command::STATE_CONFIRMED);
  EXPECT_EQ(device_.tree[rule + "Peer"], kOtherVm);
  EXPECT_EQ(device_.tree[rule + "Channel"], "network");
  EXPECT_EQ(device_.tree[rule + "Direction"], "both");
  EXPECT_EQ(device_.tree[rule + "Allow"], "false");
}

TEST_F(NewActionsTest, TransfersAndHearsOfItByAlert) {
  v1::Action action = On("web");
  action.mutable_transfer()->set_to("db");
  action.mutable_transfer()->mutable_amounts()->set_memory_mib(128);
  const std::string id = Queue(action);
  const std::string node = absl::StrCat("./VirMO/Transfers/", id, "/");
  device_.on_exec = [](const auto&) { return ScriptedDevice::Answer{202, ""}; };
  Session();
  EXPECT_EQ(device_.tree[node + "From"], kVm);
  EXPECT_EQ(device_.tree[node + "To"], kOtherVm);
  EXPECT_EQ(device_.tree[node + "RAM"], "128");
  EXPECT_EQ(device_.tree.count(node + "NetIn"), 0u);
  device_.tree[node + "Status"] = "30";
  device_.QueueAlert("Transfer", id, kVm, 1200, kAlertId);
  Session();

  EXPECT_EQ(Get(id).state(), Command::STATE_CONFIRMED);
}

TEST_F(NewActionsTest, GrantsUnlockWithoutLettingTheSecretBeSeen) {
  for (const char* leaf :
       {"Method", "Secret", "ValidUntil", "MaxAttempts", "OneTime", "WipeAfter"}) {
    device_.tree[Leaf(absl::StrCat("Lock/UserUnlock/", leaf))] = "";
  }
  device_.tree[Leaf("Lock/UserUnlock/Allowed")] = "false";
  v1::Action action = On(kVm);
  auto& grant = *action.mutable_grant_user_unlock();
  grant.mutable_grant()->set_allowed(true);
  grant.mutable_grant()->set_method(v1::UserUnlock::METHOD_SECRET);
  grant.mutable_grant()->set_max_attempts(3);
  grant.mutable_grant()->mutable_valid_until()->set_seconds(1767225600);
  grant.set_secret("geheim-4711");
  const std::string id = Queue(action);
  const auto rows = *fleet_.database().Query("SELECT resource, sealed FROM command");
  for (const auto& row : rows) {
    EXPECT_FALSE(absl::StrContains(row.Text(0), "geheim-4711"));
    EXPECT_FALSE(absl::StrContains(row.Text(1), "geheim-4711"));
  }
  fleet_.Restart();
  Session();

  EXPECT_EQ(device_.tree[Leaf("Lock/UserUnlock/Secret")], "geheim-4711");
  EXPECT_EQ(device_.tree[Leaf("Lock/UserUnlock/Method")], "20");
  EXPECT_EQ(device_.tree[Leaf("Lock/UserUnlock/MaxAttempts")], "3");
  EXPECT_EQ(device_.tree[Leaf("Lock/UserUnlock/ValidUntil")], "20260101T000000Z");
  EXPECT_EQ(Get(id).state(), Command::STATE_CONFIRMED);
  EXPECT_FALSE(absl::StrContains(Get(id).DebugString(), "geheim-4711"));
  EXPECT_EQ(fleet_.database()
                .Query("SELECT COUNT(*) FROM command WHERE length(sealed) > 0")
                ->at(0)
                .Int(0),
            0);
}

TEST_F(NewActionsTest, UpdatesFirmwareByFumo) {
  v1::Action action = On(kVm);
  action.mutable_update_firmware()->set_uri("http://127.0.0.1/fw.bin");
  action.mutable_update_firmware()->set_sha256(std::string(64, 'a'));
  action.mutable_update_firmware()->set_version("2.1");
  const std::string id = Queue(action);
  device_.tree[Leaf("Firmware/Ext/VirMO/Digest")] = "";
  device_.tree[Leaf("Firmware/DownloadAndUpdate/PkgURL")] = "";
  device_.on_exec = [](const auto&) { return ScriptedDevice::Answer{202, ""}; };
  Session();
  EXPECT_EQ(Execs().back().items[0].target->uri, Leaf("Firmware/DownloadAndUpdate"));
  EXPECT_EQ(device_.tree[Leaf("Firmware/DownloadAndUpdate/PkgURL")], "http://127.0.0.1/fw.bin");
  ASSERT_EQ(Get(id).state(), Command::STATE_ACCEPTED);  // Whether or not it has a PkgVersion.

  syncml::GenericAlert alert;
  alert.type = "org.openmobilealliance.dm.firmwareupdate.downloadandupdate";
  alert.source_uri = Leaf("Firmware");
  alert.format = "int";
  alert.data = "200";
  alert.correlator = id;
  device_.alerts = {alert};
  device_.tree[Leaf("Firmware/State")] = "100";
  Session();
  EXPECT_EQ(Get(id).state(), Command::STATE_CONFIRMED);
}

TEST_F(NewActionsTest, FailsWithTheResultOfFumo) {
  v1::Action action = On(kVm);
  action.mutable_update_firmware()->set_uri("http://127.0.0.1/fw.bin");
  action.mutable_update_firmware()->set_sha256(std::string(64, 'a'));
  const std::string id = Queue(action);
  device_.tree[Leaf("Firmware/Ext/VirMO/Digest")] = "";
  device_.tree[Leaf("Firmware/DownloadAndUpdate/PkgURL")] = "";
  device_.on_exec = [](const auto&) { return ScriptedDevice::Answer{202, ""}; };
  Session();
  syncml::GenericAlert alert;
  alert.type = "org.openmobilealliance.dm.firmwareupdate.downloadandupdate";
  alert.source_uri = Leaf("Firmware");
  alert.data = "410";
  alert.correlator = id;
  device_.alerts = {alert};
  Session();

  EXPECT_EQ(Get(id).state(), Command::STATE_FAILED);
  EXPECT_EQ(Get(id).result_code(), 410);
}

TEST_F(NewActionsTest, SendsATreeAsOneAtomicAndConfirmsIt) {
  v1::Action action;
  action.mutable_tree()->set_mode(v1::Action::Tree::MODE_ATOMIC);
  Add(action, Operation::VERB_ADD, " ./Ext/a ", "1", "int");
  Add(action, Operation::VERB_REPLACE, "./Ext/b", "true", "bool");
  device_.tree["./Ext/b"] = "false";
  const std::string id = Queue(action);
  Session();

  EXPECT_EQ(Get(id).state(), Command::STATE_CONFIRMED);
  EXPECT_EQ(device_.tree["./Ext/a"], "1");
  bool atomic = false;
  for (const auto& command : device_.commands) atomic |= command.kind == CommandKind::kAtomic;
  EXPECT_TRUE(atomic);
}

TEST_F(NewActionsTest, ReadsAndWritesInOneSequence) {
  v1::Action action;
  Add(action, Operation::VERB_GET, "./Ext/b");
  Add(action, Operation::VERB_REPLACE, "./Ext/b", "2");
  device_.tree["./Ext/b"] = "1";
  const std::string id = Queue(action);
  Session();

  const Command command = Get(id);
  EXPECT_EQ(command.state(), Command::STATE_CONFIRMED);
  ASSERT_EQ(command.node_results_size(), 1);
  EXPECT_EQ(command.node_results(0).value(), "1");
}

TEST_F(NewActionsTest, ProvisionsEncryptedOrNotAtAll) {
  v1::Action action;
  auto& provision = *action.mutable_provision();
  provision.set_uri("http://127.0.0.1/web.ova");
  provision.set_media_type("application/x-ova");
  provision.set_sha256(std::string(64, 'a'));
  provision.set_encrypted(true);
  provision.set_accept_eulas(true);
  provision.set_deployment_option("small");
  (*provision.mutable_properties())["host name"] = "web";
  const std::string id = Queue(action);
  const std::string ext = absl::StrCat("./VirMO/Provision/", id, "/Ext/VirMO/");
  bool knows_encryption = false;
  device_.override_status = [&](const syncml::Command& command) {
    const bool refused = !knows_encryption && !command.items.empty() && command.items[0].target &&
                         command.items[0].target->uri == ext + "Encrypted";
    return ScriptedDevice::Answer{refused ? 404 : 200, ""};
  };
  Session();

  EXPECT_EQ(device_.tree[ext + "DeploymentOption"], "small");
  EXPECT_EQ(device_.tree[ext + "AcceptEULAs"], "true");
  EXPECT_EQ(device_.tree[ext + "Properties/host%20name"], "web");
  EXPECT_EQ(Get(id).state(), Command::STATE_FAILED);
  EXPECT_THAT(Get(id).detail(), HasSubstr("Encrypted"));
  EXPECT_TRUE(Execs().empty());  // Nothing was made.

  knows_encryption = true;
  provision.set_virtual_machine_id("");
  const std::string again = Queue(action);
  device_.on_exec = [](const auto&) { return ScriptedDevice::Answer{202, ""}; };
  Session();
  EXPECT_EQ(Get(again).state(), Command::STATE_ACCEPTED);
  EXPECT_EQ(Execs().size(), 1u);
}

}  // namespace
}  // namespace virmo::server
