// SPDX-License-Identifier: Apache-2.0
// What a controller makes of a journal that a killed one left, at each step of each operation.
#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "vm-controller/controller_fixture.h"

namespace virmo::vm_controller {
namespace {

using v1::ErrorInfo;
using v1::VirtualMachine;

class RecoveryTest : public ControllerFixture {
 protected:
  void SetUp() override { Launch(); }

  // Ends the controller; what the test then does to journal and hypervisor is what a killed one
  // left. Recover() starts the next, and returns the operation's outcome.
  template <typename Request>
  absl::Status Recover(v1::OperationKind kind, const std::string& id, const std::string& step,
                       Request request = {}) {
    const std::string request_id = NewUuid();
    request.set_name(VirtualMachineName(id));
    request.set_request_id(request_id);
    GivenUnfinished(kind, id, step, request, request_id);
    Launch();
    return OutcomeOf(request_id);
  }

  absl::Status OutcomeOf(const std::string& request_id) {
    Operation operation;
    operation.set_name(OperationName(request_id));
    return Outcome(operation);
  }
};

TEST_F(RecoveryTest, AStartGoesOnFromEachOfItsSteps) {
  for (const char* step : {"create", "access", "run"}) {
    for (const bool created : {false, true}) {
      SCOPED_TRACE(std::string(step) + (created ? " after it was created" : ""));
      const std::string id = Provision(NewUuid().substr(0, 8));
      End();
      if (created) {
        ASSERT_TRUE(hypervisor_.StartPaused(id, StartFrom::kBoot).ok());
      }

      EXPECT_TRUE(Recover<v1::StartVirtualMachineRequest>(v1::OPERATION_KIND_START, id, step).ok());

      EXPECT_EQ(StateOf(id), VirtualMachine::STATE_RUNNING);
      EXPECT_EQ(DomainStateOf(id), DomainState::kRunning);
    }
  }
  EXPECT_EQ(Alerts("Start").size(), 6u);
}

TEST_F(RecoveryTest, AStartThatReachedItsGoalSucceedsEvenWithoutPolicyEngine) {
  const std::string id = Provision("work");
  End();
  ASSERT_TRUE(hypervisor_.StartPaused(id, StartFrom::kBoot).ok());
  ASSERT_TRUE(hypervisor_.Run(id).ok());
  policy_.SetReachable(false);

  EXPECT_TRUE(Recover<v1::StartVirtualMachineRequest>(v1::OPERATION_KIND_START, id, "run").ok());
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_RUNNING);
}

TEST_F(RecoveryTest, AStartThatWasLockedMeanwhileIsUndone) {
  const std::string id = Provision("work");
  Lock(id);
  End();
  ASSERT_TRUE(hypervisor_.StartPaused(id, StartFrom::kBoot).ok());

  EXPECT_EQ(ReasonOf(Recover<v1::StartVirtualMachineRequest>(v1::OPERATION_KIND_START, id, "run")),
            ErrorInfo::REASON_VM_LOCKED);
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_STOPPED);
  EXPECT_EQ(DomainStateOf(id), DomainState::kOff);
}

TEST_F(RecoveryTest, ASuspendIsDoneOrFoundDone) {
  for (const bool saved : {false, true}) {
    const std::string id = Provision(NewUuid().substr(0, 8), /*start=*/true);
    End();
    if (saved) {
      ASSERT_TRUE(hypervisor_.Save(id).ok());
    }

    EXPECT_TRUE(
        Recover<v1::SuspendVirtualMachineRequest>(v1::OPERATION_KIND_SUSPEND, id, "save").ok());
    EXPECT_EQ(StateOf(id), VirtualMachine::STATE_SUSPENDED);
    EXPECT_EQ(DomainStateOf(id), DomainState::kSaved);
  }
}

TEST_F(RecoveryTest, AResumeGoesOnWhetherTheStateWasLoadedOrNot) {
  for (const bool loaded : {false, true}) {
    const std::string id = Provision(NewUuid().substr(0, 8), /*start=*/true);
    ASSERT_TRUE(Outcome(Do(v1::OPERATION_KIND_SUSPEND, id)).ok());
    End();
    if (loaded) {
      ASSERT_TRUE(hypervisor_.StartPaused(id, StartFrom::kSavedState).ok());
    }

    EXPECT_TRUE(
        Recover<v1::ResumeVirtualMachineRequest>(v1::OPERATION_KIND_RESUME, id, "create").ok());
    EXPECT_EQ(DomainStateOf(id), DomainState::kRunning);
  }
}

TEST_F(RecoveryTest, AStopIsDrivenToItsEnd) {
  for (const char* step : {"wake", "ask", "await"}) {
    const std::string id = Provision(NewUuid().substr(0, 8), /*start=*/true);
    End();
    EXPECT_TRUE(Recover<v1::StopVirtualMachineRequest>(v1::OPERATION_KIND_STOP, id, step).ok());
    EXPECT_EQ(StateOf(id), VirtualMachine::STATE_STOPPED);
  }
}

TEST_F(RecoveryTest, ADeleteIsFinishedFromEachOfItsSteps) {
  for (const bool undefined : {false, true}) {
    const std::string id = Provision(NewUuid().substr(0, 8));
    End();
    if (undefined) {
      ASSERT_TRUE(hypervisor_.Undefine(id).ok());
    }

    EXPECT_TRUE(Recover<v1::DeleteVirtualMachineRequest>(v1::OPERATION_KIND_DELETE, id,
                                                         undefined ? "discard" : "undefine")
                    .ok());
    EXPECT_EQ(ReasonOf(controller_->machines().Get(id).status()), ErrorInfo::REASON_VM_NOT_FOUND);
    EXPECT_EQ(FilesIn("vms"), 0);
  }
}

TEST_F(RecoveryTest, AProvisionGoesOnAndUsesWhatIsThere) {
  // One that was refused its first step, and was therefore left as it was accepted.
  v1::CreateVirtualMachineRequest request = ProvisionRequest("work", /*start=*/true);
  controller_->Stop();
  ASSERT_TRUE(controller_->requests().Create(request).ok());
  const std::string id = NewMachineId("", request.request_id());
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_PROVISIONING);

  Restart();

  EXPECT_TRUE(OutcomeOf(request.request_id()).ok());
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_RUNNING);
  EXPECT_EQ(Alerts("DownloadProvision").size(), 1u);
}

TEST_F(RecoveryTest, AHalfMadeDiskIsMadeAnew) {
  v1::CreateVirtualMachineRequest request = ProvisionRequest("work");
  controller_->Stop();
  ASSERT_TRUE(controller_->requests().Create(request).ok());
  const std::string id = NewMachineId("", request.request_id());
  const MachineFiles files(config_.state_directory());
  std::filesystem::create_directories(files.Directory(id));
  std::ofstream(files.Disk(id) + ".tmp") << "half";

  Restart();

  EXPECT_TRUE(OutcomeOf(request.request_id()).ok());
  EXPECT_FALSE(std::filesystem::exists(files.Disk(id) + ".tmp"));
  EXPECT_TRUE(std::filesystem::exists(files.Disk(id)));
}

TEST_F(RecoveryTest, ACancelledProvisionLeavesNothingBehind) {
  v1::CreateVirtualMachineRequest request = ProvisionRequest("work");
  controller_->Stop();
  ASSERT_TRUE(controller_->requests().Create(request).ok());
  ASSERT_TRUE(journal_->RequestCancel(request.request_id()).ok());

  Restart();

  EXPECT_EQ(ReasonOf(OutcomeOf(request.request_id())), ErrorInfo::REASON_CANCELLED);
  EXPECT_TRUE(controller_->machines().List()->empty());
  EXPECT_EQ(FilesIn("vms"), 0);
  EXPECT_EQ(FilesIn("images"), 0);
  EXPECT_EQ(Alerts("DownloadProvision").back().result_code(), 1431);
}

TEST_F(RecoveryTest, AnOperationWaitsForAHypervisorThatIsAwayAtTheStart) {
  const std::string id = Provision("work");
  End();
  hypervisor_.SetReachable(false);
  v1::StartVirtualMachineRequest request;
  const std::string request_id = NewUuid();
  request.set_name(VirtualMachineName(id));
  request.set_request_id(request_id);
  GivenUnfinished(v1::OPERATION_KIND_START, id, "create", request, request_id);
  Make();
  ASSERT_TRUE(controller_->Start().ok());

  hypervisor_.SetReachable(true);

  EXPECT_TRUE(OutcomeOf(request_id).ok());
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_RUNNING);
}

}  // namespace
}  // namespace virmo::vm_controller
