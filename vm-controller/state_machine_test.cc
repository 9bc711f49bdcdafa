// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/state_machine.h"

#include <map>
#include <set>

#include "gtest/gtest.h"
#include "services/runtime/error.h"

namespace virmo::vm_controller {
namespace {

using v1::VirtualMachine;

// The table of the tree profile, by the numbers of its State node.
struct Rule {
  std::set<int> legal;
  std::set<int> legal_with_force;
  int already = 0;
};

const std::map<v1::OperationKind, Rule>& Rules() {
  static const auto* rules = new std::map<v1::OperationKind, Rule>{
      {v1::OPERATION_KIND_START, {{10, 100}, {10, 100}, 30}},
      {v1::OPERATION_KIND_STOP, {{30, 100}, {20, 30, 40, 60, 100}, 10}},
      {v1::OPERATION_KIND_SUSPEND, {{30}, {30}, 60}},
      {v1::OPERATION_KIND_RESUME, {{60}, {60}, 30}},
      {v1::OPERATION_KIND_DELETE, {{10, 60, 100}, {10, 30, 60, 100}, 0}},
      {v1::OPERATION_KIND_CLONE, {{10, 30}, {10, 30}, 0}},
  };
  return *rules;
}

class StateMachineTest : public testing::TestWithParam<std::tuple<int, bool>> {};

TEST_P(StateMachineTest, EveryOperationIsLegalExactlyWhereTheTableSaysSo) {
  const auto [state, force] = GetParam();
  VirtualMachine vm;
  vm.set_state(static_cast<VirtualMachine::State>(state));

  for (const auto& [kind, rule] : Rules()) {
    const absl::StatusOr<Verdict> verdict = CheckTransition(kind, vm, force);

    const std::set<int>& legal = force ? rule.legal_with_force : rule.legal;
    SCOPED_TRACE(OperationWord(kind));
    if (state == rule.already) {
      ASSERT_TRUE(verdict.ok());
      EXPECT_EQ(*verdict, Verdict::kAlreadySo);
    } else if (legal.count(state) > 0) {
      ASSERT_TRUE(verdict.ok());
      EXPECT_EQ(*verdict, Verdict::kGo);
    } else {
      EXPECT_EQ(ReasonOf(verdict.status()), v1::ErrorInfo::REASON_WRONG_STATE);
      EXPECT_EQ(ResultCodeOf(ReasonOf(verdict.status())), 1419);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AllStates, StateMachineTest,
                         testing::Combine(testing::Values(10, 20, 30, 40, 50, 60, 70, 80, 90, 100,
                                                          110, 120),
                                          testing::Bool()),
                         [](const auto& given) {
                           return "State" + std::to_string(std::get<0>(given.param)) +
                                  (std::get<1>(given.param) ? "Forced" : "");
                         });

TEST(StateMachineTest, PauseIsAboutARunningMachineOnly) {
  VirtualMachine vm;
  vm.set_state(VirtualMachine::STATE_RUNNING);
  EXPECT_EQ(CheckTransition(v1::OPERATION_KIND_PAUSE, vm, false).value(), Verdict::kGo);
  EXPECT_EQ(CheckTransition(v1::OPERATION_KIND_UNPAUSE, vm, false).value(), Verdict::kAlreadySo);
  vm.set_paused(true);
  EXPECT_EQ(CheckTransition(v1::OPERATION_KIND_PAUSE, vm, false).value(), Verdict::kAlreadySo);
  EXPECT_EQ(CheckTransition(v1::OPERATION_KIND_UNPAUSE, vm, false).value(), Verdict::kGo);
  vm.set_state(VirtualMachine::STATE_STOPPED);
  EXPECT_FALSE(CheckTransition(v1::OPERATION_KIND_PAUSE, vm, false).ok());
}

TEST(StateMachineTest, OperationsHaveTheNamesOfTheTree) {
  EXPECT_EQ(OperationWord(v1::OPERATION_KIND_START), "Start");
  EXPECT_EQ(OperationWord(v1::OPERATION_KIND_DOWNLOAD_PROVISION), "DownloadProvision");
}

}  // namespace
}  // namespace virmo::vm_controller
