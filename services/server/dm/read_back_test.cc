// SPDX-License-Identifier: Apache-2.0
// What is read back from a device, and what that says of commands.
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/server/testing/session_fixture.h"

namespace virmo::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ReadBackTest : public SessionFixture {};

TEST_F(ReadBackTest, ConfirmsACommandThatWasDoneAtOnce) {
  const std::string id = QueueStart();
  SetState(30);
  Session();

  EXPECT_THAT(Way(id), ElementsAre(Command::STATE_QUEUED, Command::STATE_FETCHED,
                                   Command::STATE_APPLIED, Command::STATE_CONFIRMED));
}

TEST_F(ReadBackTest, DoesNotConfirmWhatTheDeviceDoesNotShow) {
  const std::string id = QueueStart();  // Answered 200, but State stays 10.
  Session();

  EXPECT_EQ(Get(id).state(), Command::STATE_APPLIED);
  EXPECT_THAT(Get(id).timeline().rbegin()->detail(), HasSubstr("State 10"));
}

TEST_F(ReadBackTest, TellsWhatAGetReadNodeByNode) {
  v1::Action action;
  action.mutable_get()->add_uris("./DevDetail/FwV");
  action.mutable_get()->add_uris("./DevDetail/None");
  device_.tree["./DevDetail/FwV"] = "7.1";
  const std::string id = fleet_.Queue("edge-1", action);
  Session();

  const Command command = Get(id);
  EXPECT_EQ(command.state(), Command::STATE_FAILED);
  EXPECT_EQ(command.dm_status(), 404);
  EXPECT_THAT(command.detail(), HasSubstr("./DevDetail/None"));
  ASSERT_EQ(command.node_results_size(), 2);
  EXPECT_EQ(command.node_results(0).value(), "7.1");
  EXPECT_EQ(command.node_results(0).dm_status(), 200);
  EXPECT_EQ(command.node_results(1).uri(), "./DevDetail/None");
  EXPECT_EQ(command.node_results(1).dm_status(), 404);
}

TEST_F(ReadBackTest, ProvisionsByASequenceAndShowsProgress) {
  v1::Action action;
  action.mutable_provision()->set_uri("http://127.0.0.1/web.qcow2");
  action.mutable_provision()->set_media_type("application/x-qcow2");
  action.mutable_provision()->set_sha256(std::string(64, 'a'));
  action.mutable_provision()->set_display_name("db");
  action.mutable_provision()->set_virtual_machine_id(kOtherVm);
  action.mutable_provision()->set_memory_mib(128);
  action.mutable_provision()->set_cpu_count(1);
  const std::string id = fleet_.Queue("edge-1", action);
  const std::string node = absl::StrCat("./VirMO/Provision/", id);
  device_.on_exec = [&](const auto&) {
    device_.tree[node + "/Progress"] = "40";
    return ScriptedDevice::Answer{202, ""};
  };
  Session();

  EXPECT_EQ(device_.tree[node + "/VMID"], kOtherVm);
  EXPECT_EQ(device_.tree[node + "/Digest"], "sha-256:" + std::string(64, 'a'));
  EXPECT_EQ(device_.tree[node + "/Resources/RAM/Size"], "128");
  EXPECT_EQ(device_.tree[node + "/AutoStart"], "false");
  EXPECT_EQ(Execs()[0].items[0].target->uri, node + "/Operations/DownloadProvision");
  EXPECT_EQ(Get(id).state(), Command::STATE_ACCEPTED);
  EXPECT_EQ(Get(id).progress_percent(), 40);
  // Its machine can be named already.
  v1::Action start;
  start.set_virtual_machine("db");
  start.mutable_start();
  EXPECT_EQ(*fleet_.validator().Check("edge-1", start), kOtherVm);

  device_.AddVirtualMachine(kOtherVm, "db", 10);
  device_.QueueAlert("DownloadProvision", id, kOtherVm, 1200, kAlertId);
  Session();
  EXPECT_EQ(Get(id).state(), Command::STATE_CONFIRMED);
  EXPECT_EQ((*fleet_.inventory().Find("edge-1", kOtherVm))->display_name(), "db");
}

TEST_F(ReadBackTest, ConfirmsDeleteWhenTheMachineIsGone) {
  Session();
  v1::Action action = On("web");
  action.mutable_delete_();
  const std::string id = fleet_.Queue("edge-1", action);
  device_.on_exec = [&](const auto&) {
    device_.tree.clear();
    return ScriptedDevice::Answer{200, ""};
  };
  Session();

  EXPECT_EQ(Get(id).state(), Command::STATE_CONFIRMED);
  EXPECT_FALSE((*fleet_.inventory().Find("edge-1", kVm)).has_value());
}

TEST_F(ReadBackTest, SetsTheLockModeFirst) {
  v1::Action action = On(kVm);
  action.mutable_lock()->set_reason("lost");
  action.mutable_lock()->set_mode(v1::Lock::MODE_SUSPEND);
  const std::string id = fleet_.Queue("edge-1", action);
  const std::string vm = absl::StrCat("./VirMO/VMs/", kVm);
  device_.tree[vm + "/Lock/Mode"] = "20";
  device_.on_exec = [&](const syncml::Command& exec) {
    EXPECT_EQ(device_.tree[vm + "/Lock/Mode"], "30");
    EXPECT_EQ(exec.items[0].data, "lost");
    device_.tree[vm + "/Lock/State"] = "10";
    return ScriptedDevice::Answer{200, ""};
  };
  Session();

  EXPECT_EQ(Get(id).state(), Command::STATE_CONFIRMED);
}

TEST_F(ReadBackTest, ReadsAWrittenValueBackAndComparesItAsAValue) {
  v1::Action action;
  action.mutable_replace()->set_uri(absl::StrCat("./VirMO/VMs/", kVm, "/Resources/RAM/Size"));
  action.mutable_replace()->set_value("0512");
  action.mutable_replace()->set_format("int");
  const std::string id = fleet_.Queue("edge-1", action);
  device_.override_status = [&](const syncml::Command& command) {
    if (command.kind == CommandKind::kReplace) {
      device_.tree[command.items[0].target->uri] = "512";
      return ScriptedDevice::Answer{201, ""};
    }
    return ScriptedDevice::Answer{200, ""};
  };
  Session();

  EXPECT_EQ(Get(id).state(), Command::STATE_CONFIRMED);
}

TEST_F(ReadBackTest, FallsBackToSingleNodesWithoutStructData) {
  device_.override_status = [](const syncml::Command& command) {
    const bool is_list = command.kind == CommandKind::kGet &&
                         absl::StrContains(command.items[0].target->uri, "?list=");
    return ScriptedDevice::Answer{is_list ? 406 : 200, ""};
  };
  const std::string id = QueueStart();
  SetState(30);
  Session();

  const auto vm = *fleet_.inventory().Find("edge-1", kVm);
  ASSERT_TRUE(vm.has_value());
  EXPECT_EQ(vm->display_name(), "web");
  EXPECT_EQ(vm->memory_mib(), 256);
  EXPECT_EQ(Get(id).state(), Command::STATE_CONFIRMED);
}

TEST_F(ReadBackTest, MarksWhatIsOldAsStale) {
  Session();
  const auto list = [&] {
    return *fleet_.inventory().List(
        "edge-1", FromTimestamp(fleet_.devices().Get("edge-1")->last_session_time()), 0, "");
  };
  EXPECT_FALSE(list().virtual_machines(0).stale());

  fleet_.now += absl::Hours(1);

  EXPECT_TRUE(list().virtual_machines(0).stale());
  EXPECT_THAT(list().virtual_machines(0).stale_reason(), HasSubstr("silent"));
}

}  // namespace
}  // namespace virmo::server
