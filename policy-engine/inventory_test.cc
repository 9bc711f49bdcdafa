// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/inventory.h"

#include <string>

#include "policy-engine/policy_engine_fixture.h"

namespace virmo::policy_engine {
namespace {

using InventoryTest = PolicyEngineFixture;
using testing::HasSubstr;

TEST_F(InventoryTest, TakesTheCapacityOfThePoolsFromTheHostLessTheReserve) {
  const v1::ResourcePool memory = Pool(v1::RESOURCE_KIND_MEMORY);
  const v1::ResourcePool processor = Pool(v1::RESOURCE_KIND_PROCESSOR);

  EXPECT_EQ(memory.capacity(), 4096);
  EXPECT_EQ(memory.host_reserve(), 1024);
  EXPECT_TRUE(memory.primordial());
  EXPECT_EQ(processor.capacity(), 400);
}

TEST_F(InventoryTest, LocksAVmWhoseRecordWasLostAboveTheVersionThatIsEnforced) {
  const std::string id = NewUuid();
  v1::InventoryItem item = Item(id, Vm::STATE_RUNNING, 1024, 7);
  *item.add_allocations() = Memory(1024);

  ReportFull({item});

  const v1::PolicyStatus status = Policy(id);
  EXPECT_EQ(status.policy().version(), 8);
  EXPECT_TRUE(status.policy().lock().locked());
  EXPECT_EQ(status.policy().lock().mode(), v1::Lock::MODE_ISOLATE_AND_PAUSE);
  EXPECT_EQ(status.policy().lock().locked_by(), "policy-engine");
  EXPECT_EQ(status.policy().lock().reason(), "policy record lost");
  EXPECT_EQ(status.policy().allocations(0).virtual_quantity(), 1024);
  EXPECT_EQ(ReservedMemory(), 1024);
  const auto alerts = emitter_.WaitFor(1);
  ASSERT_EQ(alerts.size(), 1U);
  EXPECT_EQ(alerts[0].event(), "PolicyViolation");
  EXPECT_EQ(alerts[0].severity(), v1::Alert::SEVERITY_CRITICAL);
  EXPECT_EQ(alerts[0].virtual_machine(), Name(id));
  EXPECT_EQ(alerts[0].lock_state(), 10);
  EXPECT_EQ(alerts[0].state(), Vm::STATE_RUNNING);
}

TEST_F(InventoryTest, TellsOfALostRecordOnce) {
  const std::string id = NewUuid();
  ReportFull({Item(id, Vm::STATE_STOPPED, 0, 1)});
  Report(id, Vm::STATE_STOPPED);
  Reopen();
  ReportFull({Item(id, Vm::STATE_STOPPED)});

  Lock(id);
  ReportNewestApplied(id);

  EXPECT_EQ(Policy(id).policy().lock().locked_by(), "enterprise");
  const auto alerts = emitter_.WaitFor(2);
  ASSERT_EQ(alerts.size(), 2U);
  EXPECT_EQ(alerts[1].event(), "Lock");
}

TEST_F(InventoryTest, LocksAVmWhoseRecordIsOlderThanTheOneEnforced) {
  const std::string id = GivenVm();

  ReportFull({Item(id, Vm::STATE_STOPPED, 0, 5)});

  EXPECT_EQ(Policy(id).policy().version(), 6);
  EXPECT_TRUE(Policy(id).policy().lock().locked());
  EXPECT_THAT(Policy(id).policy().lock().reason(), HasSubstr("older"));
  EXPECT_EQ(emitter_.WaitFor(1).size(), 1U);
}

TEST_F(InventoryTest, DoesNotMistakeAVmThatIsBeingMadeForALostOne) {
  const std::string id = NewUuid();
  v1::InventoryItem item = Item(id, Vm::STATE_PROVISIONING, 0, 0);
  ReportFull({item});
  EXPECT_FALSE(Exists(id));

  ASSERT_TRUE(Admit(id, v1::OPERATION_KIND_PROVISION, NewOperation(), {Memory(512)}).ok());

  EXPECT_FALSE(Policy(id).policy().lock().locked());
}

TEST_F(InventoryTest, LetsALostProvisionGoOnButEndLocked) {
  const std::string id = NewUuid();
  v1::InventoryItem item = Item(id, Vm::STATE_PROVISIONING, 0, 1);
  item.set_current_operation(NewOperation());
  ReportFull({item});

  const auto ticket = Admit(id, v1::OPERATION_KIND_PROVISION, item.current_operation());

  ASSERT_TRUE(ticket.ok()) << ticket.status();
  EXPECT_TRUE(ticket->policy().lock().locked());
  EXPECT_EQ(ReasonOf(Start(id, item.current_operation())), v1::ErrorInfo::REASON_VM_LOCKED);
}

TEST_F(InventoryTest, ForgetsARemovedVmAndGoesOnFromItsVersionIfTheIdComesBack) {
  const std::string id = GivenRunningVm();
  Lock(id);

  ASSERT_TRUE(Send({}, false, {id}).ok());

  EXPECT_FALSE(Exists(id));
  EXPECT_EQ(ReservedMemory(), 0);
  const auto ticket = Admit(id, v1::OPERATION_KIND_PROVISION, NewOperation());
  ASSERT_TRUE(ticket.ok());
  EXPECT_EQ(ticket->policy_version(), 3);
}

TEST_F(InventoryTest, EndsTheLockOperationOfARemovedVm) {
  const std::string id = GivenVm();
  const Operation lock = Lock(id);

  ASSERT_TRUE(Send({}, false, {id}).ok());

  EXPECT_EQ(ReasonOfEnd(Get(lock)), v1::ErrorInfo::REASON_VM_NOT_FOUND);
  EXPECT_EQ(emitter_.WaitFor(1).size(), 1U);
}

TEST_F(InventoryTest, FreesButKeepsWhatAFullReportLacks) {
  const std::string id = GivenRunningVm();
  Lock(id);

  ReportFull({});

  EXPECT_TRUE(Exists(id));
  EXPECT_TRUE(Policy(id).policy().lock().locked());
  EXPECT_FALSE(Policy(id).holds_resources());
  EXPECT_EQ(ReservedMemory(), 0);
}

TEST_F(InventoryTest, ForgetsAnAdmissionThatNeverCompletedUnlessSomethingWasDecided) {
  const std::string forgotten = NewUuid();
  const std::string locked = NewUuid();
  ASSERT_TRUE(Admit(forgotten, v1::OPERATION_KIND_PROVISION, NewOperation()).ok());
  ASSERT_TRUE(Admit(locked, v1::OPERATION_KIND_PROVISION, NewOperation()).ok());
  Lock(locked);

  ReportFull({});

  EXPECT_FALSE(Exists(forgotten));
  EXPECT_TRUE(Exists(locked));
}

TEST_F(InventoryTest, WantsAFullReportAfterAGapAndFromANewController) {
  const std::string id = GivenRunningVm();
  sequence_ += 1;
  EXPECT_TRUE(*Send({Item(id, Vm::STATE_STOPPED)}, false));
  EXPECT_EQ(ReservedMemory(), 1024);
  ReportFull({Item(id, Vm::STATE_RUNNING)});

  instance_ = NewUuid();
  sequence_ = 0;
  EXPECT_TRUE(*Send({Item(id, Vm::STATE_STOPPED)}, false));
  EXPECT_EQ(ReservedMemory(), 1024);
  ReportFull({Item(id, Vm::STATE_STOPPED)});
  EXPECT_EQ(ReservedMemory(), 0);
}

TEST_F(InventoryTest, IgnoresAReportThatWasOvertakenOrRepeated) {
  const std::string id = GivenRunningVm();

  sequence_ -= 1;
  EXPECT_FALSE(*Send({Item(id, Vm::STATE_STOPPED)}, false));
  sequence_ -= 3;
  EXPECT_FALSE(*Send({}, true));

  EXPECT_EQ(ReservedMemory(), 1024);
}

TEST_F(InventoryTest, RemembersAcrossARestartWhatItHasSeen) {
  const std::string id = GivenRunningVm();
  Reopen();

  Report(id, Vm::STATE_STOPPED);

  EXPECT_EQ(ReservedMemory(), 0);
}

TEST_F(InventoryTest, AdmitsNothingMoreWhenTheHostHasShrunkBelowWhatIsReserved) {
  const std::string id = GivenRunningVm(3000);
  const std::string other = GivenVm(16);
  host_memory_mib_ = 1024 + 2000;
  ReportFull({Item(id, Vm::STATE_RUNNING, 3000), Item(other, Vm::STATE_STOPPED)});

  EXPECT_EQ(ReasonOf(Start(other)), v1::ErrorInfo::REASON_INSUFFICIENT_RESOURCES);
  EXPECT_EQ(ReservedMemory(), 3000);
}

TEST_F(InventoryTest, RefusesAMalformedReportWhole) {
  const std::string id = GivenRunningVm();
  v1::InventoryItem bad;
  bad.set_virtual_machine("vm");

  const auto wanted = Send({Item(id, Vm::STATE_STOPPED), bad}, false);

  EXPECT_EQ(ErrorInfoOf(wanted.status()).field(), "items[1].virtual_machine");
  EXPECT_EQ(ReservedMemory(), 1024);
}

}  // namespace
}  // namespace virmo::policy_engine
