// SPDX-License-Identifier: Apache-2.0
// What requests bring about, over a fake hypervisor.
#include "vm-controller/controller.h"

#include <condition_variable>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "vm-controller/controller_fixture.h"

namespace virmo::vm_controller {
namespace {

using v1::ErrorInfo;
using v1::VirtualMachine;

class ControllerTest : public ControllerFixture {
 protected:
  void SetUp() override { Launch(); }
};

// Holds whoever passes until it is opened.
class Barrier {
 public:
  void Pass() {
    MutexLock lock(mutex_);
    reached_ = true;
    changed_.notify_all();
    lock.WaitFor(changed_, absl::Seconds(20), [&] { return open_; });
  }
  void AwaitReached() {
    MutexLock lock(mutex_);
    EXPECT_TRUE(lock.WaitFor(changed_, absl::Seconds(20), [&] { return reached_; }));
  }
  void Open() {
    MutexLock lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  Mutex mutex_;
  std::condition_variable changed_;
  bool reached_ = false;
  bool open_ = false;
};

TEST_F(ControllerTest, ProvisionMakesAStoppedMachineWithADiskOnItsImage) {
  const std::string id = Provision("work");

  const VirtualMachine vm = Vm(id);
  EXPECT_EQ(vm.state(), VirtualMachine::STATE_STOPPED);
  EXPECT_EQ(vm.disks(0).image_digest(), "sha256:" + package_.sha256());
  EXPECT_EQ(vm.created_from(), "guest-1");
  EXPECT_EQ(DomainStateOf(id), DomainState::kOff);
  ASSERT_EQ(Alerts("DownloadProvision").size(), 1u);
  EXPECT_EQ(Alerts("DownloadProvision")[0].result_code(), 1200);
}

TEST_F(ControllerTest, ProvisionWithStartRuns) {
  EXPECT_EQ(StateOf(Provision("work", /*start=*/true)), VirtualMachine::STATE_RUNNING);
}

TEST_F(ControllerTest, TwoMachinesShareOneImageUntilBothAreDeleted) {
  const std::string first = Provision("first");
  const std::string second = Provision("second");
  EXPECT_EQ(FilesIn("images"), 1);

  EXPECT_TRUE(Outcome(Do(v1::OPERATION_KIND_DELETE, first)).ok());
  EXPECT_EQ(FilesIn("images"), 1);
  EXPECT_TRUE(Outcome(Do(v1::OPERATION_KIND_DELETE, second)).ok());

  EXPECT_TRUE(Soon([&] { return FilesIn("images") == 0; }));
  EXPECT_EQ(FilesIn("vms"), 0);
}

TEST_F(ControllerTest, ProvisionWithAWrongDigestLeavesNothingBehind) {
  v1::CreateVirtualMachineRequest request = ProvisionRequest("work");
  request.mutable_package()->set_sha256(std::string(64, '0'));

  const absl::Status outcome = Outcome(controller_->requests().Create(request));

  EXPECT_EQ(ReasonOf(outcome), ErrorInfo::REASON_PACKAGE_INVALID);
  EXPECT_TRUE(controller_->machines().List()->empty());
  EXPECT_EQ(FilesIn("images"), 0);
  EXPECT_EQ(FilesIn("vms"), 0);
  ASSERT_EQ(Alerts("DownloadProvision").size(), 1u);
  EXPECT_EQ(Alerts("DownloadProvision")[0].result_code(), 1407);
}

TEST_F(ControllerTest, ProvisionRefusesWhatItCanTellAtOnce) {
  const auto reason = [&](const std::function<void(v1::CreateVirtualMachineRequest&)>& change) {
    v1::CreateVirtualMachineRequest request = ProvisionRequest("work");
    change(request);
    return ReasonOf(controller_->requests().Create(request).status());
  };
  EXPECT_EQ(reason([](auto& r) { r.mutable_package()->set_uri("gopher://x/y"); }),
            ErrorInfo::REASON_INVALID_ARGUMENT);
  EXPECT_EQ(reason([](auto& r) { r.mutable_package()->set_uri("file:///etc/passwd"); }),
            ErrorInfo::REASON_DOWNLOAD_UNAUTHORIZED);
  EXPECT_EQ(reason([](auto& r) { r.mutable_package()->set_media_type("text/plain"); }),
            ErrorInfo::REASON_UNSUPPORTED_ENVIRONMENT);
  EXPECT_EQ(reason([](auto& r) { r.mutable_package()->set_sha256("abc"); }),
            ErrorInfo::REASON_INVALID_ARGUMENT);
  EXPECT_EQ(reason([](auto& r) { r.set_virtual_machine_id("Not-A-Uuid"); }),
            ErrorInfo::REASON_INVALID_ARGUMENT);
  EXPECT_EQ(reason([](auto& r) { r.set_request_id("7"); }), ErrorInfo::REASON_INVALID_ARGUMENT);
  EXPECT_TRUE(controller_->machines().List()->empty());
}

TEST_F(ControllerTest, NamesAndIdsAreUniqueAndIdsAreNeverUsedAgain) {
  const std::string id = Provision("work");
  EXPECT_EQ(ReasonOf(controller_->requests().Create(ProvisionRequest("work")).status()),
            ErrorInfo::REASON_ALREADY_EXISTS);
  v1::CreateVirtualMachineRequest same_id = ProvisionRequest("other");
  same_id.set_virtual_machine_id(id);
  EXPECT_EQ(ReasonOf(controller_->requests().Create(same_id).status()),
            ErrorInfo::REASON_ALREADY_EXISTS);

  EXPECT_TRUE(Outcome(Do(v1::OPERATION_KIND_DELETE, id)).ok());
  EXPECT_EQ(ReasonOf(controller_->requests().Create(same_id).status()),
            ErrorInfo::REASON_ALREADY_EXISTS);
}

TEST_F(ControllerTest, TheWholeLifeOfAMachine) {
  const std::string id = Provision("work");
  EXPECT_TRUE(Outcome(Do(v1::OPERATION_KIND_START, id)).ok());
  EXPECT_EQ(DomainStateOf(id), DomainState::kRunning);
  EXPECT_TRUE(Outcome(Do(v1::OPERATION_KIND_SUSPEND, id)).ok());
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_SUSPENDED);
  EXPECT_EQ(DomainStateOf(id), DomainState::kSaved);
  EXPECT_TRUE(Outcome(Do(v1::OPERATION_KIND_RESUME, id)).ok());
  EXPECT_EQ(DomainStateOf(id), DomainState::kRunning);
  EXPECT_TRUE(Outcome(Do(v1::OPERATION_KIND_STOP, id)).ok());
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_STOPPED);
  EXPECT_TRUE(Outcome(Do(v1::OPERATION_KIND_DELETE, id)).ok());
  EXPECT_EQ(ReasonOf(controller_->machines().Get(id).status()), ErrorInfo::REASON_VM_NOT_FOUND);
  for (const char* event : {"Start", "Suspend", "Resume", "Stop", "Delete"}) {
    ASSERT_EQ(Alerts(event).size(), 1u) << event;
    EXPECT_EQ(Alerts(event)[0].result_code(), 1200) << event;
  }
}

TEST_F(ControllerTest, CloneMakesAnIndependentStoppedCopy) {
  const std::string id = Provision("work");

  const absl::StatusOr<Operation> operation = Clone(id);
  ASSERT_TRUE(Outcome(operation).ok());

  VirtualMachine copy;
  const Operation ended = journal_->GetOperation(OperationId(operation->name()).value()).value();
  ASSERT_TRUE(ended.response().UnpackTo(&copy));
  EXPECT_NE(copy.name(), VirtualMachineName(id));
  EXPECT_EQ(copy.display_name(), "work clone 1");
  EXPECT_EQ(copy.created_from(), "clone:" + id);
  EXPECT_NE(copy.network_interfaces(0).mac_address(), Vm(id).network_interfaces(0).mac_address());
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_STOPPED);
  EXPECT_EQ(Alerts("Clone")[0].identifier(), VirtualMachineId(copy.name()).value());
  EXPECT_TRUE(Outcome(Do(v1::OPERATION_KIND_DELETE, id)).ok());
  EXPECT_TRUE(Outcome(Do(v1::OPERATION_KIND_START, VirtualMachineId(copy.name()).value())).ok());
}

TEST_F(ControllerTest, AFailedCloneLeavesNothingBehind) {
  const std::string id = Provision("work");
  hypervisor_.FailNext("Define", Error(ErrorInfo::REASON_HYPERVISOR_FAILED, "no"));

  const absl::Status outcome = Outcome(Clone(id));

  EXPECT_EQ(ReasonOf(outcome), ErrorInfo::REASON_CLONE_FAILED);
  EXPECT_EQ(controller_->machines().List()->size(), 1u);
  EXPECT_EQ(FilesIn("vms"), 1);
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_STOPPED);
}

TEST_F(ControllerTest, AnOperationInItsGoalIsDoneAtOnceAndTellsNobody) {
  const std::string id = Provision("work", /*start=*/true);

  const absl::StatusOr<Operation> operation = Do(v1::OPERATION_KIND_START, id);

  ASSERT_TRUE(operation.ok());
  EXPECT_TRUE(operation->done());
  EXPECT_TRUE(operation->has_response());
  EXPECT_TRUE(Alerts("Start").empty());
}

TEST_F(ControllerTest, ARepeatedRequestReturnsTheFirstOutcomeAndDoesNothing) {
  const std::string id = Provision("work");
  const std::string request_id = NewUuid();
  const auto first = Do(v1::OPERATION_KIND_START, id, false, request_id);
  ASSERT_TRUE(Outcome(first).ok());
  ASSERT_TRUE(Outcome(Do(v1::OPERATION_KIND_STOP, id)).ok());

  Restart();
  const auto again = Do(v1::OPERATION_KIND_START, id, false, request_id);

  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->done());
  EXPECT_EQ(again->name(), first->name());
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_STOPPED);
  EXPECT_EQ(Alerts("Start").size(), 1u);
  EXPECT_EQ(ReasonOf(Do(v1::OPERATION_KIND_SUSPEND, id, false, request_id).status()),
            ErrorInfo::REASON_REQUEST_ID_REUSED);
}

TEST_F(ControllerTest, UnknownMachinesAndIllegalTransitionsAreRefused) {
  EXPECT_EQ(ReasonOf(Do(v1::OPERATION_KIND_START, NewUuid()).status()),
            ErrorInfo::REASON_VM_NOT_FOUND);
  const std::string id = Provision("work");
  EXPECT_EQ(ReasonOf(Do(v1::OPERATION_KIND_SUSPEND, id).status()), ErrorInfo::REASON_WRONG_STATE);
  EXPECT_EQ(ReasonOf(Do(v1::OPERATION_KIND_RESUME, id).status()), ErrorInfo::REASON_WRONG_STATE);
}

TEST_F(ControllerTest, OneChangeAtATimeAndTheSecondIsToldWhichRuns) {
  const std::string id = Provision("work");
  Barrier barrier;
  hypervisor_.OnCall("StartPaused", [&] { barrier.Pass(); });
  const auto start = Do(v1::OPERATION_KIND_START, id);
  barrier.AwaitReached();

  const absl::Status refusal = Do(v1::OPERATION_KIND_DELETE, id).status();

  EXPECT_EQ(ReasonOf(refusal), ErrorInfo::REASON_BUSY);
  EXPECT_EQ(ErrorInfoOf(refusal).metadata().at("operation"), start->name());
  barrier.Open();
  EXPECT_TRUE(Outcome(start).ok());
}

TEST_F(ControllerTest, AForcedStopTakesOverFromAStart) {
  const std::string id = Provision("work");
  Barrier barrier;
  hypervisor_.OnCall("StartPaused", [&] { barrier.Pass(); });
  const auto start = Do(v1::OPERATION_KIND_START, id);
  barrier.AwaitReached();

  const auto stop = Do(v1::OPERATION_KIND_STOP, id, /*force=*/true);
  barrier.Open();

  EXPECT_TRUE(Outcome(stop).ok());
  EXPECT_EQ(ReasonOf(Outcome(start)), ErrorInfo::REASON_CANCELLED);
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_STOPPED);
  EXPECT_EQ(DomainStateOf(id), DomainState::kOff);
}

TEST_F(ControllerTest, AGuestThatDoesNotStopTimesOutAndRunsOn) {
  const std::string id = Provision("work", /*start=*/true);
  hypervisor_.SetGuestsObey(false);
  v1::StopVirtualMachineRequest request;
  request.set_name(VirtualMachineName(id));
  request.set_request_id(NewUuid());
  request.mutable_timeout()->set_nanos(1);

  EXPECT_EQ(ReasonOf(Outcome(Stop(request))), ErrorInfo::REASON_TIMED_OUT);
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_RUNNING);

  request.set_request_id(NewUuid());
  request.set_force_after_timeout(true);
  EXPECT_TRUE(Outcome(Stop(request)).ok());
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_STOPPED);
}

TEST_F(ControllerTest, FailuresGoBackToWhereTheyCameFrom) {
  const auto failure = Error(ErrorInfo::REASON_HYPERVISOR_FAILED, "the hypervisor says no");
  const std::string id = Provision("work");
  hypervisor_.FailNext("Run", failure);
  EXPECT_EQ(ReasonOf(Outcome(Do(v1::OPERATION_KIND_START, id))), ErrorInfo::REASON_START_FAILED);
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_STOPPED);
  EXPECT_EQ(DomainStateOf(id), DomainState::kOff);

  ASSERT_TRUE(Outcome(Do(v1::OPERATION_KIND_START, id)).ok());
  hypervisor_.FailNext("Save", failure);
  EXPECT_EQ(ReasonOf(Outcome(Do(v1::OPERATION_KIND_SUSPEND, id))),
            ErrorInfo::REASON_SUSPEND_FAILED);
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_RUNNING);

  ASSERT_TRUE(Outcome(Do(v1::OPERATION_KIND_SUSPEND, id)).ok());
  hypervisor_.FailNext("Run", failure);
  EXPECT_EQ(ReasonOf(Outcome(Do(v1::OPERATION_KIND_RESUME, id))), ErrorInfo::REASON_RESUME_FAILED);
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_SUSPENDED);
  EXPECT_EQ(DomainStateOf(id), DomainState::kSaved);
  EXPECT_EQ(Alerts("Resume").back().result_code(), 1415);
}

TEST_F(ControllerTest, PauseIsKeptOverSuspendAndEndedByAStop) {
  const std::string id = Provision("work", /*start=*/true);
  ASSERT_TRUE(Outcome(Do(v1::OPERATION_KIND_PAUSE, id)).ok());
  EXPECT_TRUE(Vm(id).paused());
  EXPECT_EQ(DomainStateOf(id), DomainState::kPaused);

  ASSERT_TRUE(Outcome(Do(v1::OPERATION_KIND_SUSPEND, id)).ok());
  ASSERT_TRUE(Outcome(Do(v1::OPERATION_KIND_RESUME, id)).ok());
  EXPECT_EQ(DomainStateOf(id), DomainState::kPaused);

  ASSERT_TRUE(Outcome(Do(v1::OPERATION_KIND_UNPAUSE, id)).ok());
  EXPECT_EQ(DomainStateOf(id), DomainState::kRunning);
  ASSERT_TRUE(Outcome(Do(v1::OPERATION_KIND_PAUSE, id)).ok());
  ASSERT_TRUE(Outcome(Do(v1::OPERATION_KIND_STOP, id)).ok());
  EXPECT_FALSE(Vm(id).paused());
}

TEST_F(ControllerTest, WhatGuestsDoByThemselvesIsToldAsEvents) {
  const std::string quiet = Provision("quiet", /*start=*/true);
  const std::string broken = Provision("broken", /*start=*/true);

  hypervisor_.PowerOffByGuest(quiet);
  hypervisor_.Crash(broken);

  EXPECT_TRUE(Soon([&] { return StateOf(quiet) == VirtualMachine::STATE_STOPPED; }));
  EXPECT_TRUE(Soon([&] { return StateOf(broken) == VirtualMachine::STATE_FAILED; }));
  ASSERT_EQ(Alerts("StateChange").size(), 1u);
  ASSERT_EQ(Alerts("VMFailed").size(), 1u);
  EXPECT_EQ(Alerts("VMFailed")[0].severity(), v1::Alert::SEVERITY_CRITICAL);
  EXPECT_EQ(Vm(broken).state_detail(), "the guest crashed");
  EXPECT_TRUE(Outcome(Do(v1::OPERATION_KIND_START, broken)).ok());
}

TEST_F(ControllerTest, AnUnreachableHypervisorHidesNothingAndDeletesNothing) {
  const std::string id = Provision("work", /*start=*/true);

  hypervisor_.SetReachable(false);

  EXPECT_TRUE(Soon([&] { return absl::StrContains(Vm(id).state_detail(), "last known"); }));
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_RUNNING);
  EXPECT_EQ(ReasonOf(Do(v1::OPERATION_KIND_DELETE, id, true).status()),
            ErrorInfo::REASON_HYPERVISOR_UNAVAILABLE);
  hypervisor_.SetReachable(true);
  EXPECT_TRUE(Soon([&] { return Vm(id).state_detail().empty(); }));
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_RUNNING);
}

TEST_F(ControllerTest, AfterARestartItsProcessIsKnownBeforeTheHypervisorAnswers) {
  const std::string id = Provision("work", /*start=*/true);
  ASSERT_TRUE(Soon([&] { return Vm(id).host_pid() > 0; }));
  const int64_t pid = Vm(id).host_pid();
  ASSERT_TRUE(Soon([&] { return controller_->machines().store().Get(id)->vm.host_pid() == pid; }));
  End();
  hypervisor_.SetReachable(false);
  Make();
  ASSERT_TRUE(controller_->Start().ok());

  EXPECT_EQ(Vm(id).host_pid(), pid);
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_RUNNING);
}

TEST_F(ControllerTest, AnOutcomeLostWithTheConnectionIsReadBack) {
  const std::string id = Provision("work", /*start=*/true);
  hypervisor_.FailNext("Save",
                       Error(ErrorInfo::REASON_HYPERVISOR_UNAVAILABLE, "the connection broke"),
                       FakeHypervisor::When::kAfterActing);

  EXPECT_TRUE(Outcome(Do(v1::OPERATION_KIND_SUSPEND, id)).ok());
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_SUSPENDED);
}

TEST_F(ControllerTest, ADamagedDatabaseIsMadeGoodFromWhatCarriesOurMarkAndStaysLocked) {
  const std::string id = Provision("work", /*start=*/true);
  End();
  ASSERT_TRUE(database_->Execute("DELETE FROM machines").ok());
  ASSERT_TRUE(database_->Execute("DELETE FROM policies").ok());

  Launch();

  EXPECT_TRUE(Soon([&] { return StateOf(id) == VirtualMachine::STATE_RUNNING; }));
  EXPECT_EQ(Vm(id).display_name(), "work");
  EXPECT_TRUE(Vm(id).locked());
  EXPECT_TRUE(Soon([&] { return hypervisor_.AccessOf(id) == Access::kClosed; }));
}

}  // namespace
}  // namespace virmo::vm_controller
