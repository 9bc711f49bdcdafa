// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/locking.h"

#include <string>

#include "policy-engine/policy_engine_fixture.h"

namespace virmo::policy_engine {
namespace {

class LockingTest : public PolicyEngineFixture {
 protected:
  v1::UpdateLockSettingsRequest Settings(const std::string& id) {
    v1::UpdateLockSettingsRequest request;
    request.set_virtual_machine(Name(id));
    return request;
  }
};

TEST_F(LockingTest, IsDurableBeforeItIsEnforced) {
  const std::string id = GivenVm();
  const Operation lock = Lock(id);
  Reopen();

  const v1::Lock state = Policy(id).policy().lock();
  EXPECT_TRUE(state.locked());
  EXPECT_EQ(state.locked_by(), "enterprise");
  EXPECT_EQ(state.mode(), v1::Lock::MODE_ISOLATE_AND_PAUSE);
  EXPECT_TRUE(state.has_since());
  EXPECT_EQ(Policy(id).policy().version(), 2);
  EXPECT_FALSE(Get(lock).done());
}

TEST_F(LockingTest, EndsWhenTheControllerReportsEveryChannelClosedWithOneAlert) {
  const std::string id = GivenRunningVm();
  const Operation lock = Lock(id);

  EXPECT_EQ(ReportApplied(id, 2), 2);

  const Operation ended = Get(lock);
  ASSERT_TRUE(ended.done());
  v1::PolicyStatus status;
  ASSERT_TRUE(ended.response().UnpackTo(&status));
  EXPECT_EQ(status.applied_version(), 2);
  const auto alerts = emitter_.WaitFor(1);
  ASSERT_EQ(alerts.size(), 1U);
  EXPECT_EQ(alerts[0].alert_id(), MetadataOf(lock).alert_id());
  EXPECT_EQ(alerts[0].event(), "Lock");
  EXPECT_EQ(alerts[0].result_code(), 1200);
  EXPECT_EQ(alerts[0].lock_state(), 10);
  EXPECT_EQ(alerts[0].state(), Vm::STATE_RUNNING);
  EXPECT_EQ(alerts[0].initiator().correlator(), "c1");
  EXPECT_EQ(alerts[0].source(), "policy-engine");
}

TEST_F(LockingTest, DoesNotEndByAReportOfAnOlderVersionOrOneThatSaysNothingOfTheLock) {
  const std::string id = GivenVm();
  const Operation lock = Lock(id);

  ReportApplied(id, 1);
  EXPECT_FALSE(Get(lock).done());
  v1::ReportAppliedRequest empty;
  empty.set_virtual_machine(Name(id));
  empty.set_policy_version(2);
  ASSERT_TRUE(engine_->enforcement.Report(empty).ok());
  EXPECT_FALSE(Get(lock).done());
}

TEST_F(LockingTest, KeepsTheNewestReportWhenReportsOvertakeOneAnother) {
  const std::string id = GivenVm();
  Lock(id);
  ReportApplied(id, 2);

  EXPECT_EQ(ReportApplied(id, 1, Outcome::OUTCOME_FAILED), 2);

  EXPECT_EQ(Policy(id).applied_version(), 2);
  EXPECT_EQ(Policy(id).applied_items(1).outcome(), Outcome::OUTCOME_APPLIED);
}

TEST_F(LockingTest, CountsWhatTheHostCannotEnforceAsDoneAndSaysSo) {
  const std::string id = GivenVm();
  const Operation lock = Lock(id);

  ReportApplied(id, 2, Outcome::OUTCOME_NOT_ENFORCEABLE);

  EXPECT_TRUE(Get(lock).has_response());
  EXPECT_THAT(emitter_.WaitFor(1).at(0).detail(), testing::HasSubstr("lock.network"));
}

TEST_F(LockingTest, FailsAfterTheTimeAllowedNamingWhatIsOpenAndStaysDecided) {
  const std::string id = GivenRunningVm();
  const Operation lock = Lock(id);
  ReportApplied(id, 2, Outcome::OUTCOME_FAILED);
  EXPECT_GT(engine_->enforcement.EndOverdue(), absl::Seconds(20));
  EXPECT_FALSE(Get(lock).done());

  ahead_ = absl::Seconds(31);
  EXPECT_EQ(engine_->enforcement.EndOverdue(), absl::InfiniteDuration());

  const Operation ended = Get(lock);
  EXPECT_EQ(ReasonOfEnd(ended), v1::ErrorInfo::REASON_LOCK_FAILED);
  EXPECT_THAT(ended.error().message(), testing::HasSubstr("lock.network: link of tap0"));
  EXPECT_TRUE(Policy(id).policy().lock().locked());
  EXPECT_EQ(ReasonOf(Start(id)), v1::ErrorInfo::REASON_VM_LOCKED);
  const auto alerts = emitter_.WaitFor(1);
  EXPECT_EQ(alerts.at(0).result_code(), 1416);
  EXPECT_EQ(alerts.at(0).severity(), v1::Alert::SEVERITY_WARNING);

  ReportApplied(id, 2);  // The controller went on trying.
  EXPECT_EQ(Policy(id).applied_items(1).outcome(), Outcome::OUTCOME_APPLIED);
  EXPECT_EQ(emitter_.WaitFor(1).size(), 1U);
}

TEST_F(LockingTest, FailsInTimeWithoutAControllerAlsoWhenRestartedInBetween) {
  const std::string id = GivenVm();
  const Operation lock = Lock(id);
  Reopen();
  ahead_ = absl::Seconds(31);

  engine_->enforcement.EndOverdue();

  EXPECT_EQ(ReasonOfEnd(Get(lock)), v1::ErrorInfo::REASON_LOCK_FAILED);
  EXPECT_THAT(Get(lock).error().message(), testing::HasSubstr("not enforced yet"));
  EXPECT_TRUE(Policy(id).policy().lock().locked());
}

TEST_F(LockingTest, EndsAnOperationFromBeforeTheClockWasSetBack) {
  const std::string id = GivenVm();
  const Operation lock = Lock(id);
  ahead_ = -absl::Hours(24);

  engine_->enforcement.EndOverdue();

  EXPECT_TRUE(Get(lock).done());
}

TEST_F(LockingTest, EndsOverdueOperationsByItself) {
  config_.set_enforcement_timeout_seconds(0);
  Reopen();
  engine_->enforcement.Start();
  const std::string id = GivenVm();

  const Operation lock = Lock(id);

  EXPECT_EQ(emitter_.WaitFor(1).at(0).result_code(), 1416);
  EXPECT_TRUE(Get(lock).done());
}

TEST_F(LockingTest, IsDoneAtOnceWithoutAlertWhenLockedAndInForceAlready) {
  const std::string id = GivenVm();
  Lock(id);
  ReportApplied(id, 2);

  const Operation again = Lock(id);

  EXPECT_TRUE(again.done());
  EXPECT_TRUE(MetadataOf(again).alert_id().empty());
  EXPECT_EQ(Policy(id).policy().version(), 2);
  EXPECT_EQ(emitter_.WaitFor(1).size(), 1U);
}

TEST_F(LockingTest, EndsTwoLocksInARowByOneReport) {
  const std::string id = GivenVm();
  const Operation first = Lock(id);
  const Operation second = Lock(id);
  EXPECT_EQ(Policy(id).policy().version(), 2);

  ReportApplied(id, 2);

  EXPECT_TRUE(Get(first).has_response());
  EXPECT_TRUE(Get(second).has_response());
  EXPECT_EQ(emitter_.WaitFor(2).size(), 2U);
}

TEST_F(LockingTest, ReturnsTheFirstOperationForARepeatedRequestIdAndRefusesItForAnother) {
  const std::string id = GivenVm();
  v1::LockVirtualMachineRequest request = LockRequest(id);
  const auto first = engine_->locking.Lock(request);
  ASSERT_TRUE(first.ok());
  ReportApplied(id, 2);
  Unlock(id);
  Reopen();

  const auto repeated = engine_->locking.Lock(request);
  request.set_reason("other");
  const auto reused = engine_->locking.Lock(request);

  ASSERT_TRUE(repeated.ok()) << repeated.status();
  EXPECT_EQ(repeated->name(), first->name());
  EXPECT_TRUE(repeated->done());
  EXPECT_FALSE(Policy(id).policy().lock().locked());
  EXPECT_EQ(ReasonOf(reused.status()), v1::ErrorInfo::REASON_REQUEST_ID_REUSED);
}

TEST_F(LockingTest, UnlocksAndEndsTheUnfinishedLockAsCancelled) {
  const std::string id = GivenVm();
  const Operation lock = Lock(id);

  const Operation unlock = Unlock(id);

  EXPECT_EQ(ReasonOfEnd(Get(lock)), v1::ErrorInfo::REASON_CANCELLED);
  EXPECT_FALSE(Get(unlock).done());
  EXPECT_EQ(Policy(id).policy().version(), 3);
  EXPECT_FALSE(Policy(id).policy().lock().locked());
  ReportApplied(id, 2);  // Of the lock, too late.
  EXPECT_FALSE(Get(unlock).done());
  ReportApplied(id, 3);
  EXPECT_TRUE(Get(unlock).has_response());
  const auto alerts = emitter_.WaitFor(2);
  ASSERT_EQ(alerts.size(), 2U);
  EXPECT_EQ(alerts[0].result_code(), 1431);
  EXPECT_EQ(alerts[1].event(), "Unlock");
  EXPECT_EQ(alerts[1].lock_state(), 30);
  EXPECT_TRUE(Start(id).ok());
}

TEST_F(LockingTest, LocksAndEndsTheUnfinishedUnlockAsCancelled) {
  const std::string id = GivenVm();
  Lock(id);
  ReportApplied(id, 2);
  const Operation unlock = Unlock(id);

  const Operation lock = Lock(id);

  EXPECT_EQ(ReasonOfEnd(Get(unlock)), v1::ErrorInfo::REASON_CANCELLED);
  ReportApplied(id, 4);
  EXPECT_TRUE(Get(lock).has_response());
}

TEST_F(LockingTest, RefusesUnknownVmBadModeLongReasonAndBadRequestId) {
  EXPECT_EQ(ReasonOf(engine_->locking.Lock(LockRequest(NewUuid())).status()),
            v1::ErrorInfo::REASON_VM_NOT_FOUND);
  const std::string id = GivenVm();
  v1::LockVirtualMachineRequest request = LockRequest(id);
  request.set_mode(static_cast<v1::Lock::Mode>(11));
  EXPECT_EQ(ErrorInfoOf(engine_->locking.Lock(request).status()).field(), "mode");
  request = LockRequest(id);
  request.set_reason(std::string(1025, 'x'));
  EXPECT_EQ(ErrorInfoOf(engine_->locking.Lock(request).status()).field(), "reason");
  request = LockRequest(id);
  request.set_request_id("1");
  EXPECT_EQ(ErrorInfoOf(engine_->locking.Lock(request).status()).field(), "request_id");
  EXPECT_FALSE(Policy(id).policy().lock().locked());
}

TEST_F(LockingTest, SaysThatStorageFailedWhenTheDiskIsFullAndDecidesNothing) {
  const std::string id = GivenVm();
  const auto pages = database_->Query("PRAGMA page_count");
  ASSERT_TRUE(pages.ok());
  ASSERT_TRUE(database_->Query(absl::StrCat("PRAGMA max_page_count = ", (*pages)[0].Int(0))).ok());
  absl::Status status;
  v1::LockVirtualMachineRequest request;
  for (int i = 0; i < 200 && status.ok(); ++i) {
    request = LockRequest(id);
    request.set_reason(absl::StrCat(std::string(900, 'x'), i));
    status = engine_->locking.Lock(request).status();
  }

  EXPECT_EQ(ReasonOf(status), v1::ErrorInfo::REASON_STORAGE_FAILED) << status;
  EXPECT_NE(Policy(id).policy().lock().reason(), request.reason());
  ASSERT_TRUE(database_->Query("PRAGMA max_page_count = 1000000").ok());
  EXPECT_TRUE(engine_->locking.Lock(request).ok());
  EXPECT_EQ(Policy(id).policy().lock().reason(), request.reason());
}

TEST_F(LockingTest, RefusesToLockTheManagementVm) {
  const std::string id = GivenVm();
  management_vm_ = id;
  ReportFull({Item(id, Vm::STATE_RUNNING)});

  EXPECT_EQ(ReasonOf(engine_->locking.Lock(LockRequest(id)).status()),
            v1::ErrorInfo::REASON_POLICY_FORBIDS);
}

TEST_F(LockingTest, TakesTheModeAskedForElseTheOneSetBefore) {
  const std::string id = GivenVm();
  v1::UpdateLockSettingsRequest settings = Settings(id);
  settings.mutable_lock()->set_mode(v1::Lock::MODE_SUSPEND);
  settings.mutable_update_mask()->add_paths("mode");
  ASSERT_TRUE(engine_->locking.UpdateSettings(settings).ok());
  Lock(id);
  EXPECT_EQ(Policy(id).policy().lock().mode(), v1::Lock::MODE_SUSPEND);

  v1::LockVirtualMachineRequest request = LockRequest(id);
  request.set_mode(v1::Lock::MODE_ISOLATE);
  request.set_reason("lost");
  ASSERT_TRUE(engine_->locking.Lock(request).ok());

  EXPECT_EQ(Policy(id).policy().lock().mode(), v1::Lock::MODE_ISOLATE);
  EXPECT_EQ(Policy(id).policy().lock().reason(), "lost");
  EXPECT_EQ(Policy(id).policy().version(), 4);
}

TEST_F(LockingTest, KeepsAReasonThatWasSetBeforeTheLockAndForgetsItWithTheLock) {
  const std::string id = GivenVm();
  v1::UpdateLockSettingsRequest settings = Settings(id);
  settings.mutable_lock()->set_reason("call the office");
  settings.mutable_update_mask()->add_paths("reason");
  ASSERT_TRUE(engine_->locking.UpdateSettings(settings).ok());

  Lock(id);
  EXPECT_EQ(Policy(id).policy().lock().reason(), "call the office");
  Unlock(id);
  EXPECT_EQ(Policy(id).policy().lock().reason(), "");
}

TEST_F(LockingTest, TakesOnlyTheSettingsThatTheMaskNames) {
  const std::string id = GivenVm();
  v1::UpdateLockSettingsRequest settings = Settings(id);
  settings.mutable_lock()->set_locked(true);
  settings.mutable_lock()->set_reason("call the office");
  settings.mutable_lock()->mutable_user_unlock()->set_allowed(true);
  settings.mutable_lock()->mutable_user_unlock()->set_attempts(-7);
  settings.mutable_update_mask()->add_paths("user_unlock");

  const auto status = engine_->locking.UpdateSettings(settings);

  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_TRUE(status->policy().lock().user_unlock().allowed());
  EXPECT_EQ(status->policy().lock().user_unlock().attempts(), 0);
  EXPECT_FALSE(status->policy().lock().locked());
  EXPECT_TRUE(status->policy().lock().reason().empty());
}

TEST_F(LockingTest, RefusesSettingsThatAreNotThere) {
  const std::string id = GivenVm();
  v1::UpdateLockSettingsRequest settings = Settings(id);
  EXPECT_EQ(ErrorInfoOf(engine_->locking.UpdateSettings(settings).status()).field(), "update_mask");
  settings.mutable_update_mask()->add_paths("locked");
  EXPECT_EQ(ErrorInfoOf(engine_->locking.UpdateSettings(settings).status()).field(), "update_mask");
}

}  // namespace
}  // namespace virmo::policy_engine
