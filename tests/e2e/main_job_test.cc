// SPDX-License-Identifier: Apache-2.0
// The main job, with a real guest: a server manages a virtual machine on a device from provision
// to delete, and believes only what it has read back. One test per requirement, in the order of a
// virtual machine's life; they share one stack, so run the whole file.

#include <signal.h>

#include <map>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "services/runtime/channel.h"
#include "tests/support/stack.h"

namespace virmo {
namespace {

using testing_support::Await;
using testing_support::ConsoleLog;
using testing_support::LastTick;
using testing_support::Stack;
using v1::VirtualMachine;

class MainJobTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    stack_ = new Stack({});
    stack_->StartAll();
    stack_->Upload(testing_support::GuestImage(), "guest");
  }

  static void TearDownTestSuite() {
    delete stack_;
    stack_ = nullptr;
  }

  static v1::Action On(const std::string& vm) {
    v1::Action action;
    action.set_virtual_machine(vm);
    return action;
  }

  static v1::Command Start() {
    v1::Action action = On(id_);
    action.mutable_start();
    return stack_->AwaitEnd(stack_->Queue(action));
  }

  static bool ProcessLives(int64_t pid) { return kill(static_cast<pid_t>(pid), 0) == 0; }

  // Waits until the guest has counted beyond `tick`.
  static bool TicksBeyond(int tick) {
    return Await([&] { return LastTick(ConsoleLog(*stack_, id_)) > tick; });
  }

  // As the server last read it.
  static v1::DeviceVirtualMachine AtServer(const std::string& id) {
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(10));
    v1::ListDeviceVirtualMachinesRequest request;
    request.set_parent(Stack::kDevice);
    v1::ListDeviceVirtualMachinesResponse response;
    EXPECT_TRUE(stack_->fleet().ListDeviceVirtualMachines(&context, request, &response).ok());
    for (const auto& vm : response.virtual_machines()) {
      if (absl::EndsWith(vm.name(), id)) return vm;
    }
    return {};
  }

  static Stack* stack_;
  static std::string id_;
  static std::string clone_;
};

Stack* MainJobTest::stack_ = nullptr;
std::string MainJobTest::id_;
std::string MainJobTest::clone_;

TEST_F(MainJobTest, VirMO_HLF_01_ProvisionMakesAVirtualMachineOfAnImage) {
  v1::Action action;
  action.mutable_provision()->set_image("images/guest");
  action.mutable_provision()->set_display_name("work");
  action.mutable_provision()->set_memory_mib(128);

  const v1::Command command = stack_->Do(action);

  id_ = command.virtual_machine_id();
  EXPECT_EQ(stack_->Vm(id_).state(), VirtualMachine::STATE_STOPPED);
  EXPECT_EQ(stack_->Vm(id_).owner(), "virmo-server");
  EXPECT_EQ(AtServer(id_).display_name(), "work");
  EXPECT_EQ(AtServer(id_).memory_mib(), 128);
}

TEST_F(MainJobTest, VirMO_HLF_03_StartBootsTheGuest) {
  EXPECT_EQ(Start().state(), v1::Command::STATE_CONFIRMED);
  EXPECT_EQ(stack_->Vm(id_).state(), VirtualMachine::STATE_RUNNING);
  EXPECT_TRUE(TicksBeyond(2)) << ConsoleLog(*stack_, id_);
  EXPECT_TRUE(ProcessLives(stack_->Vm(id_).host_pid()));
}

TEST_F(MainJobTest, VirMO_HLF_12_SuspendSavesTheStateAndReleasesTheRam) {
  const int64_t pid = stack_->Vm(id_).host_pid();
  v1::Action action = On(id_);
  action.mutable_suspend();

  stack_->Do(action);

  EXPECT_EQ(stack_->Vm(id_).state(), VirtualMachine::STATE_SUSPENDED);
  EXPECT_FALSE(ProcessLives(pid));
  EXPECT_EQ(AtServer(id_).memory_used_mib(), 0);
}

TEST_F(MainJobTest, VirMO_HLF_13_ResumeGoesOnWhereTheGuestStopped) {
  v1::Action action = On(id_);
  action.mutable_resume();

  stack_->Do(action);

  const std::string console = ConsoleLog(*stack_, id_);
  EXPECT_GT(LastTick(console), 2) << "the counter began anew:\n" << console;
  EXPECT_TRUE(TicksBeyond(LastTick(console)));
  EXPECT_EQ(console.find("boot 2"), std::string::npos) << "the guest booted again";
}

TEST_F(MainJobTest, PauseStopsTheGuestAndUnpauseLetsItGoOn) {
  v1::Action action = On(id_);
  action.mutable_pause();
  stack_->Do(action);
  EXPECT_TRUE(stack_->Vm(id_).paused());
  EXPECT_TRUE(AtServer(id_).paused());

  action.mutable_unpause();
  stack_->Do(action);
  EXPECT_FALSE(stack_->Vm(id_).paused());
}

TEST_F(MainJobTest, VirMO_HLF_14_LockClosesEveryChannel) {
  v1::Action action = On(id_);
  action.mutable_lock()->set_mode(v1::Lock::MODE_ISOLATE);
  action.mutable_lock()->set_reason("lost");

  stack_->Do(action);

  const VirtualMachine vm = stack_->Vm(id_);
  EXPECT_TRUE(vm.locked());
  ASSERT_EQ(vm.network_interfaces_size(), 1);
  EXPECT_FALSE(vm.network_interfaces(0).link_up());
  EXPECT_EQ(ConsoleLog(*stack_, id_), "") << "the console is open";
  EXPECT_TRUE(AtServer(id_).locked());
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(5));
  v1::GetPolicyRequest request;
  request.set_virtual_machine(vm.name());
  v1::PolicyStatus policy;
  ASSERT_TRUE(stack_->policy().GetPolicy(&context, request, &policy).ok());
  EXPECT_EQ(policy.applied_version(), policy.policy().version());
  for (const v1::AppliedItem& item : policy.applied_items()) {
    EXPECT_NE(item.outcome(), v1::AppliedItem::OUTCOME_FAILED) << item.ShortDebugString();
  }
}

TEST_F(MainJobTest, VirMO_HLF_14_ALockedVirtualMachineDoesNotStart) {
  v1::Action stop = On(id_);
  stop.mutable_stop()->set_force(true);
  stack_->Do(stop);

  const v1::Command start = Start();

  EXPECT_EQ(start.state(), v1::Command::STATE_FAILED);
  EXPECT_EQ(start.dm_status(), 403) << start.ShortDebugString();
  EXPECT_EQ(start.result_code(), 1420);
  EXPECT_EQ(stack_->Vm(id_).state(), VirtualMachine::STATE_STOPPED);
}

TEST_F(MainJobTest, VirMO_HLF_15_UnlockOpensItAgain) {
  v1::Action action = On(id_);
  action.mutable_unlock();
  stack_->Do(action);
  EXPECT_FALSE(stack_->Vm(id_).locked());

  EXPECT_EQ(Start().state(), v1::Command::STATE_CONFIRMED);
  EXPECT_TRUE(TicksBeyond(0));
  EXPECT_TRUE(stack_->Vm(id_).network_interfaces(0).link_up());
}

TEST_F(MainJobTest, VirMO_HLF_04_StopAsksTheGuestToPowerOff) {
  v1::Action action = On(id_);
  action.mutable_stop();

  stack_->Do(action);

  EXPECT_EQ(stack_->Vm(id_).state(), VirtualMachine::STATE_STOPPED);
}

TEST_F(MainJobTest, CloneMakesAnIndependentCopy) {
  v1::Action action = On(id_);
  action.mutable_clone()->set_display_name("copy");

  const v1::Command command = stack_->Do(action);

  clone_ = command.virtual_machine_id();
  EXPECT_NE(clone_, id_);
  EXPECT_EQ(stack_->Vm(clone_).display_name(), "copy");
  EXPECT_NE(stack_->Vm(clone_).network_interfaces(0).mac_address(),
            stack_->Vm(id_).network_interfaces(0).mac_address());
}

TEST_F(MainJobTest, VirMO_HLF_02_DeleteLeavesTheCloneAlone) {
  v1::Action action = On(id_);
  action.mutable_delete_();
  stack_->Do(action);
  EXPECT_EQ(stack_->Vm(id_).name(), "");
  EXPECT_EQ(AtServer(id_).name(), "");

  id_ = clone_;
  EXPECT_EQ(Start().state(), v1::Command::STATE_CONFIRMED);
  EXPECT_TRUE(TicksBeyond(0)) << "the clone does not boot";
}

TEST_F(MainJobTest, EveryOperationSentItsAlertOnce) {
  std::map<std::string, int> by_correlator;
  for (const v1::DeviceAlert& alert : stack_->Alerts()) {
    if (!alert.correlator().empty()) ++by_correlator[alert.correlator()];
  }
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(10));
  v1::ListCommandsRequest request;
  request.set_parent(Stack::kDevice);
  request.set_page_size(1000);
  v1::ListCommandsResponse commands;
  ASSERT_TRUE(stack_->fleet().ListCommands(&context, request, &commands).ok());
  ASSERT_GE(commands.commands_size(), 10);
  for (const v1::Command& command : commands.commands()) {
    const bool accepted =
        std::any_of(command.timeline().begin(), command.timeline().end(),
                    [](const auto& step) { return step.state() == v1::Command::STATE_ACCEPTED; });
    const std::string correlator = command.name().substr(command.name().rfind('/') + 1);
    EXPECT_EQ(by_correlator[correlator], accepted ? 1 : 0) << command.ShortDebugString();
  }
}

}  // namespace
}  // namespace virmo
