// SPDX-License-Identifier: Apache-2.0
// Kills (SIGKILL) one process in the middle of an operation on a real guest, starts it again, and
// asks: do the virtual machine's truth, the command's outcome and the alert agree, and does a
// virtual machine that merely ran beside still run, as the same process?

#include <signal.h>

#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "services/runtime/channel.h"
#include "tests/support/private_libvirtd.h"
#include "tests/support/stack.h"

namespace virmo {
namespace {

using testing_support::Await;
using testing_support::PrivateLibvirtd;
using testing_support::Stack;
using v1::Command;
using v1::VirtualMachine;

constexpr char kLibvirtd[] = "libvirtd";

// One stack for all tests on the same hypervisor: a guest that runs beside, and one that each
// test works on.
class Scene {
 public:
  explicit Scene(bool with_libvirtd) {
    Stack::Options options;
    if (with_libvirtd) {
      libvirtd_ = std::make_unique<PrivateLibvirtd>(absl::StrCat("/tmp/vl-", getpid()));
      options.hypervisor_uri = libvirtd_->Uri();
    }
    stack_ = std::make_unique<Stack>(options);
    stack_->StartAll();
    stack_->Upload(testing_support::GuestImage(), "guest");
    bystander_ = stack_->Do(ProvisionAction("bystander", true)).virtual_machine_id();
    bystander_pid_ = stack_->Vm(bystander_).host_pid();
  }

  static v1::Action ProvisionAction(const std::string& name, bool start) {
    v1::Action action;
    action.mutable_provision()->set_image("images/guest");
    action.mutable_provision()->set_display_name(name);
    action.mutable_provision()->set_memory_mib(96);
    action.mutable_provision()->set_start(start);
    return action;
  }

  Stack& stack() { return *stack_; }

  void Kill(const std::string& process) {
    if (process == kLibvirtd) return libvirtd_->Kill9();
    stack_->Kill9(process);
  }

  void Start(const std::string& process) {
    if (process == kLibvirtd) return libvirtd_->Start();
    stack_->Start(process);
  }

  void ExpectBystanderUntouched() {
    // A controller that has just started tells the last known state until it has looked.
    VirtualMachine vm;
    EXPECT_TRUE(Await([&] {
      vm = stack_->Vm(bystander_);
      return vm.host_pid() != 0;
    })) << vm.ShortDebugString();
    EXPECT_EQ(vm.state(), VirtualMachine::STATE_RUNNING);
    EXPECT_EQ(vm.host_pid(), bystander_pid_);
    EXPECT_EQ(kill(static_cast<pid_t>(bystander_pid_), 0), 0);
  }

 private:
  std::unique_ptr<PrivateLibvirtd> libvirtd_;  // Outlives the stack.
  std::unique_ptr<Stack> stack_;
  std::string bystander_;
  int64_t bystander_pid_ = 0;
};

enum class Operation { kProvision, kStart, kSuspend, kDelete };

std::string NameOf(Operation operation) {
  static const std::map<Operation, std::string> names = {{Operation::kProvision, "Provision"},
                                                         {Operation::kStart, "Start"},
                                                         {Operation::kSuspend, "Suspend"},
                                                         {Operation::kDelete, "Delete"}};
  return names.at(operation);
}

struct Case {
  std::string process;
  Operation operation;
};

void PrintTo(const Case& parameter, std::ostream* out) {
  *out << parameter.process << " during " << NameOf(parameter.operation);
}

class RestartTest : public testing::TestWithParam<Case> {
 protected:
  static void TearDownTestSuite() {
    scene_.reset();
    scene_has_libvirtd_ = false;
  }

  void SetUp() override {
    const bool with_libvirtd = GetParam().process == kLibvirtd;
    if (!scene_ || scene_has_libvirtd_ != with_libvirtd) {
      scene_.reset();
      scene_ = std::make_unique<Scene>(with_libvirtd);
      scene_has_libvirtd_ = with_libvirtd;
    }
  }

  Stack& stack() { return scene_->stack(); }

  // Brings a virtual machine to where the operation may begin. Returns its id.
  std::string Prepare(Operation operation) {
    if (operation == Operation::kProvision) return "";
    const bool running = operation == Operation::kSuspend;
    return stack().Do(Scene::ProvisionAction(UniqueName(), running)).virtual_machine_id();
  }

  static std::string UniqueName() {
    std::string name = absl::StrCat("vm-", GetParam().process, "-", NameOf(GetParam().operation));
    return name;
  }

  static v1::Action ActionOf(Operation operation, const std::string& id) {
    if (operation == Operation::kProvision) return Scene::ProvisionAction(UniqueName(), false);
    v1::Action action;
    action.set_virtual_machine(id);
    if (operation == Operation::kStart) action.mutable_start();
    if (operation == Operation::kSuspend) action.mutable_suspend();
    if (operation == Operation::kDelete) action.mutable_delete_();
    return action;
  }

  // Waits until the device is at work on the command, or done with it already.
  void AwaitTheMiddle(const Command& command) {
    EXPECT_TRUE(Await([&] {
      const Command now = stack().Get(command);
      return now.state() >= Command::STATE_FETCHED;
    })) << "never fetched";
  }

  // What the controller says is what the command's end says.
  void ExpectTruth(const Command& ended) {
    const VirtualMachine vm = stack().Vm(ended.virtual_machine_id());
    const bool succeeded = ended.state() == Command::STATE_CONFIRMED;
    switch (GetParam().operation) {
      case Operation::kProvision:
        EXPECT_EQ(vm.state() == VirtualMachine::STATE_STOPPED, succeeded) << vm.ShortDebugString();
        break;
      case Operation::kStart:
        EXPECT_EQ(vm.state(),
                  succeeded ? VirtualMachine::STATE_RUNNING : VirtualMachine::STATE_STOPPED);
        break;
      case Operation::kSuspend:
        EXPECT_EQ(vm.state(),
                  succeeded ? VirtualMachine::STATE_SUSPENDED : VirtualMachine::STATE_RUNNING);
        break;
      case Operation::kDelete:
        EXPECT_EQ(vm.name().empty(), succeeded) << vm.ShortDebugString();
        break;
    }
  }

  // One alert at the server, at most, and with the command's result.
  void ExpectOneAlert(const Command& ended) {
    const std::string correlator = ended.name().substr(ended.name().rfind('/') + 1);
    int count = 0;
    for (const v1::DeviceAlert& alert : stack().Alerts()) {
      if (alert.correlator() != correlator) continue;
      ++count;
      EXPECT_EQ(alert.result_code(), ended.result_code()) << alert.ShortDebugString();
    }
    EXPECT_EQ(count, 1) << ended.ShortDebugString();
  }

  void RemoveVirtualMachine(const Command& ended) {
    if (stack().Vm(ended.virtual_machine_id()).name().empty()) return;
    v1::Action action;
    action.set_virtual_machine(ended.virtual_machine_id());
    action.mutable_delete_()->set_force(true);
    stack().Do(action);
  }

  static std::unique_ptr<Scene> scene_;
  static bool scene_has_libvirtd_;
};

std::unique_ptr<Scene> RestartTest::scene_;
bool RestartTest::scene_has_libvirtd_ = false;

TEST_P(RestartTest, TruthOutcomeAndAlertAgreeAfterAKill) {
  const auto& [process, operation] = GetParam();
  const std::string id = Prepare(operation);
  const Command command = stack().Queue(ActionOf(operation, id));

  AwaitTheMiddle(command);
  scene_->Kill(process);
  scene_->Start(process);

  const Command ended = stack().AwaitEnd(command, absl::Seconds(60));
  ExpectTruth(ended);
  ExpectOneAlert(ended);
  scene_->ExpectBystanderUntouched();
  RemoveVirtualMachine(ended);
}

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const char* process : {Stack::kVmController, Stack::kPolicyEngine, Stack::kAlertEmitter,
                              Stack::kDmBridge, Stack::kServer, kLibvirtd}) {
    for (const Operation operation :
         {Operation::kProvision, Operation::kStart, Operation::kSuspend, Operation::kDelete}) {
      cases.push_back({process, operation});
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, RestartTest, testing::ValuesIn(AllCases()),
                         [](const auto& candidate) {
                           std::string name;
                           for (const char c : candidate.param.process) {
                             if (c != '-') name += c;
                           }
                           return absl::StrCat(name, "_", NameOf(candidate.param.operation));
                         });

}  // namespace
}  // namespace virmo
