// SPDX-License-Identifier: Apache-2.0
// Locks: enforced beside everything else, and winning every race.
#include <atomic>
#include <utility>

#include "gmock/gmock.h"
#include "vm-controller/controller_fixture.h"

namespace virmo::vm_controller {
namespace {

using v1::AppliedItem;
using v1::ErrorInfo;
using v1::VirtualMachine;

class LockTest : public ControllerFixture {
 protected:
  void SetUp() override { Launch(); }

  bool Reported(const std::string& id, const std::string& item, AppliedItem::Outcome outcome) {
    return Soon([&] { return policy_.OutcomeOf(id, item) == outcome; });
  }
};

TEST_F(LockTest, ALockClosesEveryChannelAndPausesAndUnlockGivesBack) {
  const std::string id = Provision("work", /*start=*/true);
  auto console = controller_->consoles().Open(id, 0);
  ASSERT_TRUE(console.ok());

  Lock(id);

  EXPECT_TRUE(Soon([&] { return Vm(id).paused_by_lock() && Vm(id).locked(); }));
  EXPECT_EQ(DomainStateOf(id), DomainState::kPaused);
  EXPECT_EQ(hypervisor_.AccessOf(id), Access::kClosed);
  std::string output;
  EXPECT_EQ((*console)->Next(absl::Seconds(20), &output), ConsoleHub::Stream::State::kClosed);
  EXPECT_EQ(ReasonOf(controller_->consoles().Open(id, 0).status()), ErrorInfo::REASON_VM_LOCKED);
  for (const char* item : {"lock.console", "lock.network", "lock.agent", "lock.run_state"}) {
    EXPECT_TRUE(Reported(id, item, AppliedItem::OUTCOME_APPLIED)) << item;
  }

  Unlock(id);

  EXPECT_TRUE(Soon([&] { return !Vm(id).paused_by_lock() && !Vm(id).locked(); }));
  EXPECT_EQ(DomainStateOf(id), DomainState::kRunning);
  EXPECT_EQ(hypervisor_.AccessOf(id), Access::kOpen);
  EXPECT_TRUE(controller_->consoles().Open(id, 0).ok());
}

TEST_F(LockTest, UnlockingDoesNotUndoAnAdminsPause) {
  const std::string id = Provision("work", /*start=*/true);
  ASSERT_TRUE(Outcome(Do(v1::OPERATION_KIND_PAUSE, id)).ok());
  Lock(id);
  ASSERT_TRUE(Soon([&] { return Vm(id).paused_by_lock(); }));

  Unlock(id);

  EXPECT_TRUE(Soon([&] { return !Vm(id).paused_by_lock(); }));
  EXPECT_TRUE(Vm(id).paused());
  EXPECT_EQ(DomainStateOf(id), DomainState::kPaused);
}

TEST_F(LockTest, IsolateLetsItComputeOn) {
  const std::string id = Provision("work", /*start=*/true);
  Lock(id, v1::Lock::MODE_ISOLATE);
  EXPECT_TRUE(Reported(id, "lock.network", AppliedItem::OUTCOME_APPLIED));
  EXPECT_EQ(DomainStateOf(id), DomainState::kRunning);
}

TEST_F(LockTest, AWipeDeletesARunningVmWithItsStorageAndNoOther) {
  const std::string other = Provision("home", /*start=*/true);
  const std::string id = Provision("work", /*start=*/true);
  v1::EffectivePolicy policy = policy_.SetLock(id, true);
  policy.set_wipe(true);

  controller_->OnPolicy(policy);

  EXPECT_TRUE(Soon([&] { return !controller_->machines().Get(id).ok(); }));
  EXPECT_EQ(ReasonOf(hypervisor_.Get(id).status()), ErrorInfo::REASON_VM_NOT_FOUND);
  EXPECT_EQ(StateOf(other), VirtualMachine::STATE_RUNNING);
}

TEST_F(LockTest, TellsPolicyEngineTheMostAttemptsItWasEverTold) {
  const std::string id = Provision("work", /*start=*/false);
  v1::EffectivePolicy policy = policy_.SetLock(id, true);
  policy.set_unlock_attempts_total(4);
  controller_->OnPolicy(policy);
  policy.set_version(policy.version() + 1);
  policy.set_unlock_attempts_total(1);  // From an older copy of its database.
  controller_->OnPolicy(policy);

  EXPECT_TRUE(Soon([&] {
    const auto reports = policy_.Inventories();
    if (reports.empty()) return false;
    for (const v1::InventoryItem& item : reports.back().items()) {
      if (item.policy_version() == policy.version()) return item.unlock_attempts_total() == 4;
    }
    return false;
  }));
}

TEST_F(LockTest, SuspendModeSavesAndUnlockResumes) {
  const std::string id = Provision("work", /*start=*/true);

  Lock(id, v1::Lock::MODE_SUSPEND);
  EXPECT_TRUE(Soon([&] { return StateOf(id) == VirtualMachine::STATE_SUSPENDED; }));
  EXPECT_TRUE(Reported(id, "lock.run_state", AppliedItem::OUTCOME_NOT_APPLICABLE));

  Unlock(id);
  EXPECT_TRUE(Soon([&] { return StateOf(id) == VirtualMachine::STATE_RUNNING; }));
  EXPECT_EQ(DomainStateOf(id), DomainState::kRunning);
}

TEST_F(LockTest, ALockedMachineIsNeitherStartedNorClonedButCanBeStoppedAndDeleted) {
  const std::string id = Provision("work", /*start=*/true);
  Lock(id);
  ASSERT_TRUE(Soon([&] { return Vm(id).paused_by_lock(); }));
  EXPECT_TRUE(Outcome(Do(v1::OPERATION_KIND_STOP, id, /*force=*/true)).ok());

  EXPECT_EQ(ReasonOf(Do(v1::OPERATION_KIND_START, id).status()), ErrorInfo::REASON_VM_LOCKED);
  EXPECT_EQ(ReasonOf(Clone(id).status()), ErrorInfo::REASON_VM_LOCKED);
  EXPECT_TRUE(Outcome(Do(v1::OPERATION_KIND_DELETE, id)).ok());
}

TEST_F(LockTest, AGuestThatALockHoldsStopsGracefullyWithEveryChannelClosed) {
  const std::string id = Provision("work", /*start=*/true);
  Lock(id);
  ASSERT_TRUE(Soon([&] { return Vm(id).paused_by_lock(); }));

  EXPECT_TRUE(Outcome(Do(v1::OPERATION_KIND_STOP, id)).ok());
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_STOPPED);
  EXPECT_EQ(hypervisor_.AccessOf(id), Access::kClosed);
}

TEST_F(LockTest, ALockedGuestThatDoesNotStopStandsStillAgain) {
  const std::string id = Provision("work", /*start=*/true);
  Lock(id);
  ASSERT_TRUE(Soon([&] { return Vm(id).paused_by_lock(); }));
  hypervisor_.SetGuestsObey(false);
  v1::StopVirtualMachineRequest request;
  request.set_name(VirtualMachineName(id));
  request.set_request_id(NewUuid());
  request.mutable_timeout()->set_nanos(200'000'000);

  EXPECT_EQ(ReasonOf(Outcome(Stop(request))), ErrorInfo::REASON_TIMED_OUT);
  EXPECT_TRUE(Soon([&] { return Vm(id).paused_by_lock(); }));
  EXPECT_TRUE(Soon([&] { return DomainStateOf(id) == DomainState::kPaused; }));
  EXPECT_EQ(hypervisor_.AccessOf(id), Access::kClosed);
}

TEST_F(LockTest, ALockThatComesBetweenAdmissionAndRunWins) {
  const std::string id = Provision("work");
  // The second Admit of the start: after the domain was created, before it is let run.
  policy_.OnAdmit([&](int calls, const v1::AdmitRequest&) {
    if (calls == 2) Lock(id);
  });

  EXPECT_EQ(ReasonOf(Outcome(Do(v1::OPERATION_KIND_START, id))), ErrorInfo::REASON_VM_LOCKED);
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_STOPPED);
  EXPECT_EQ(DomainStateOf(id), DomainState::kOff);
  EXPECT_EQ(Alerts("Start").back().result_code(), 1420);
}

TEST_F(LockTest, ALockThatOnlyTheStreamBroughtWinsToo) {
  const std::string id = Provision("work");
  hypervisor_.OnCall("SetAccess", [&, once = false]() mutable {
    if (std::exchange(once, true)) return;
    v1::EffectivePolicy policy;  // policy-engine itself still admits.
    policy.set_virtual_machine(VirtualMachineName(id));
    policy.set_version(1000);
    policy.mutable_lock()->set_locked(true);
    ASSERT_TRUE(controller_->machines().store().PutPolicy(policy).ok());
  });

  EXPECT_EQ(ReasonOf(Outcome(Do(v1::OPERATION_KIND_START, id))), ErrorInfo::REASON_VM_LOCKED);
  EXPECT_EQ(DomainStateOf(id), DomainState::kOff);
}

TEST_F(LockTest, ALockDuringAResumeKeepsTheSavedState) {
  const std::string id = Provision("work", /*start=*/true);
  ASSERT_TRUE(Outcome(Do(v1::OPERATION_KIND_SUSPEND, id)).ok());
  policy_.OnAdmit([&](int calls, const v1::AdmitRequest&) {
    if (calls == 2) Lock(id);
  });

  EXPECT_EQ(ReasonOf(Outcome(Do(v1::OPERATION_KIND_RESUME, id))), ErrorInfo::REASON_VM_LOCKED);
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_SUSPENDED);
  EXPECT_EQ(DomainStateOf(id), DomainState::kSaved);
}

TEST_F(LockTest, ManyLocksAgainstManyStartsNeverLeaveALockedGuestComputing) {
  const std::string id = Provision("work");
  for (int i = 0; i < 30; ++i) {
    const auto start = Do(v1::OPERATION_KIND_START, id);
    Lock(id);
    (void)Outcome(start);
    const int64_t version = controller_->machines().store().GetPolicy(id).value()->version();
    ASSERT_TRUE(Soon([&] { return policy_.AppliedVersion(id) == version; }));
    ASSERT_TRUE(Soon([&] { return DomainStateOf(id) != DomainState::kRunning; })) << i;
    (void)Outcome(Do(v1::OPERATION_KIND_STOP, id, /*force=*/true));
    Unlock(id);
  }
}

TEST_F(LockTest, AMachineStartedBehindOurBackIsClosedAgain) {
  const std::string id = Provision("work");
  Lock(id);
  ASSERT_TRUE(Soon([&] { return Vm(id).locked(); }));

  hypervisor_.StartBehindOurBack(id);

  EXPECT_TRUE(Soon([&] { return DomainStateOf(id) == DomainState::kPaused; }));
  EXPECT_EQ(hypervisor_.AccessOf(id), Access::kClosed);
}

TEST_F(LockTest, ALockHoldsOverARestartOfTheController) {
  const std::string id = Provision("work", /*start=*/true);
  Lock(id);
  ASSERT_TRUE(Soon([&] { return Vm(id).paused_by_lock(); }));
  End();
  ASSERT_TRUE(hypervisor_.Run(id).ok());  // Somebody meddled meanwhile.

  Launch();

  EXPECT_TRUE(Soon([&] { return DomainStateOf(id) == DomainState::kPaused; }));
  EXPECT_EQ(ReasonOf(controller_->consoles().Open(id, 0).status()), ErrorInfo::REASON_VM_LOCKED);
}

TEST_F(LockTest, WhatCouldNotBeClosedIsReportedAndTriedAgain) {
  const std::string id = Provision("work", /*start=*/true);
  std::atomic<bool> failing = true;
  hypervisor_.OnCall("SetAccess", [&] {
    if (!failing) return;
    hypervisor_.FailNext("SetAccess", Error(ErrorInfo::REASON_HYPERVISOR_FAILED, "not now"));
  });

  Lock(id);

  EXPECT_TRUE(Reported(id, "lock.network", AppliedItem::OUTCOME_FAILED));
  failing = false;
  EXPECT_TRUE(Reported(id, "lock.network", AppliedItem::OUTCOME_APPLIED));
}

TEST_F(LockTest, AnOlderPolicyIsRefused) {
  const std::string id = Provision("work", /*start=*/true);
  Lock(id);
  v1::EffectivePolicy old;
  old.set_virtual_machine(VirtualMachineName(id));
  old.set_version(1);

  controller_->OnPolicy(old);

  EXPECT_TRUE(IsLocked(controller_->machines().store().GetPolicy(id).value()));
}

TEST_F(LockTest, WithoutPolicyEngineWhatWidensIsRefusedAndWhatNarrowsGoesAhead) {
  const std::string stopped = Provision("stopped");
  const std::string running = Provision("running", /*start=*/true);
  policy_.SetReachable(false);

  EXPECT_EQ(ReasonOf(Do(v1::OPERATION_KIND_START, stopped).status()),
            ErrorInfo::REASON_SERVICE_UNAVAILABLE);
  EXPECT_EQ(ReasonOf(controller_->requests().Create(ProvisionRequest("new")).status()),
            ErrorInfo::REASON_SERVICE_UNAVAILABLE);
  EXPECT_EQ(ReasonOf(Clone(stopped).status()), ErrorInfo::REASON_SERVICE_UNAVAILABLE);
  EXPECT_TRUE(Outcome(Do(v1::OPERATION_KIND_SUSPEND, running)).ok());
  EXPECT_EQ(ReasonOf(Do(v1::OPERATION_KIND_RESUME, running).status()),
            ErrorInfo::REASON_SERVICE_UNAVAILABLE);
  EXPECT_TRUE(Outcome(Do(v1::OPERATION_KIND_DELETE, running)).ok());
}

TEST_F(LockTest, InventoriesBeginInFullAndGoOnWithChanges) {
  ASSERT_TRUE(Soon([&] { return !policy_.Inventories().empty(); }));
  EXPECT_TRUE(policy_.Inventories()[0].full());
  EXPECT_GT(policy_.Inventories()[0].host().memory_total_mib(), 0);

  const std::string id = Provision("work");
  EXPECT_TRUE(Outcome(Do(v1::OPERATION_KIND_DELETE, id)).ok());

  EXPECT_TRUE(Soon([&] {
    const v1::ReportInventoryRequest last = policy_.Inventories().back();
    return !last.full() && last.removed_size() == 1 && last.removed(0) == VirtualMachineName(id);
  }));
  int64_t sequence = 0;
  for (const v1::ReportInventoryRequest& inventory : policy_.Inventories()) {
    EXPECT_EQ(inventory.sequence(), ++sequence);
  }
}

}  // namespace
}  // namespace virmo::vm_controller
