// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/admission.h"

#include <string>

#include "policy-engine/policy_engine_fixture.h"

namespace virmo::policy_engine {
namespace {

using AdmissionTest = PolicyEngineFixture;

TEST_F(AdmissionTest, MakesAnUnlockedRecordForANewVmWithItsAllocations) {
  const std::string id = NewUuid();

  const auto ticket =
      Admit(id, v1::OPERATION_KIND_DOWNLOAD_PROVISION, NewOperation(), {Memory(2048)});

  ASSERT_TRUE(ticket.ok()) << ticket.status();
  EXPECT_EQ(ticket->policy_version(), 1);
  EXPECT_FALSE(ticket->policy().lock().locked());
  ASSERT_EQ(ticket->policy().allocations_size(), 2);  // A default for the processor.
  EXPECT_EQ(ticket->policy().allocations(0).virtual_quantity(), 2048);
  EXPECT_EQ(ReservedMemory(), 0);  // It holds nothing before it starts.
}

TEST_F(AdmissionTest, AnswersARepeatedProvisionWithTheSameRecordAndAnotherOneWithAlreadyExists) {
  const std::string id = NewUuid();
  const std::string operation = NewOperation();
  ASSERT_TRUE(Admit(id, v1::OPERATION_KIND_PROVISION, operation, {Memory(512)}).ok());
  Report(id, Vm::STATE_PROVISIONING, 0, operation);

  const auto repeated = Admit(id, v1::OPERATION_KIND_PROVISION, operation, {Memory(512)});
  const auto other = Admit(id, v1::OPERATION_KIND_PROVISION, NewOperation(), {Memory(512)});

  ASSERT_TRUE(repeated.ok()) << repeated.status();
  EXPECT_EQ(repeated->policy_version(), 1);
  EXPECT_EQ(ReasonOf(other.status()), v1::ErrorInfo::REASON_ALREADY_EXISTS);
}

TEST_F(AdmissionTest, TakesWhatThePackageAsksForOnceItIsKnownUnlessSomebodyDecidedMeanwhile) {
  const std::string id = NewUuid();
  const std::string operation = NewOperation();
  const auto kind = v1::OPERATION_KIND_DOWNLOAD_PROVISION;
  ASSERT_TRUE(Admit(id, kind, operation, {Memory(256)}).ok());

  const auto amended = Admit(id, kind, operation, {Memory(1024)});
  const auto repeated = Admit(id, kind, operation, {Memory(1024)});
  const auto later = Admit(id, kind, operation, {Memory(2048)});

  ASSERT_TRUE(amended.ok()) << amended.status();
  EXPECT_EQ(amended->policy_version(), 2);
  EXPECT_EQ(amended->policy().allocations(0).virtual_quantity(), 1024);
  EXPECT_EQ(repeated->policy_version(), 2);
  EXPECT_EQ(later->policy().allocations(0).virtual_quantity(), 1024) << "decided already";
  EXPECT_EQ(ReasonOf(Admit(NewUuid(), kind, NewOperation(), {Memory(4097)}).status()),
            v1::ErrorInfo::REASON_INSUFFICIENT_RESOURCES);
}

TEST_F(AdmissionTest, LetsAnotherOperationUseTheIdOfAnAdmissionThatCameToNothing) {
  const std::string id = NewUuid();
  ASSERT_TRUE(Admit(id, v1::OPERATION_KIND_PROVISION, NewOperation(), {Memory(512)}).ok());

  const auto ticket = Admit(id, v1::OPERATION_KIND_PROVISION, NewOperation(), {Memory(1024)});

  ASSERT_TRUE(ticket.ok()) << ticket.status();
  EXPECT_EQ(ticket->policy_version(), 2);
  EXPECT_EQ(ticket->policy().allocations(0).virtual_quantity(), 1024);
}

TEST_F(AdmissionTest, RefusesAVmThatThePoolCouldNeverHold) {
  const auto ticket =
      Admit(NewUuid(), v1::OPERATION_KIND_PROVISION, NewOperation(), {Memory(4097)});

  EXPECT_EQ(ReasonOf(ticket.status()), v1::ErrorInfo::REASON_INSUFFICIENT_RESOURCES);
}

TEST_F(AdmissionTest, ReservesOnceHoweverOftenAStartIsAdmitted) {
  const std::string id = GivenVm(1024);
  const std::string operation = NewOperation();

  ASSERT_TRUE(Start(id, operation).ok());
  ASSERT_TRUE(Start(id, operation).ok());

  EXPECT_EQ(ReservedMemory(), 1024);
  EXPECT_TRUE(Policy(id).holds_resources());
}

TEST_F(AdmissionTest, SaysWhatWasAskedAndWhatIsFreeInWhichPoolWhenItRefuses) {
  GivenRunningVm(3072);
  const std::string id = GivenVm(2048);

  const absl::Status status = Start(id);

  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  const v1::ErrorInfo info = ErrorInfoOf(status);
  EXPECT_EQ(info.reason(), v1::ErrorInfo::REASON_INSUFFICIENT_RESOURCES);
  EXPECT_EQ(info.metadata().at("pool"), "pools/memory");
  EXPECT_EQ(info.metadata().at("asked"), "2048");
  EXPECT_EQ(info.metadata().at("free"), "1024");
  EXPECT_EQ(ReservedMemory(), 3072);
  EXPECT_FALSE(Policy(id).holds_resources());
}

TEST_F(AdmissionTest, RefusesAProcessorReservationThatDoesNotFit) {
  GivenRunningVm(512, 200);
  GivenRunningVm(512, 150);
  const std::string id = GivenVm(512, 100);

  const absl::Status status = Start(id);

  EXPECT_EQ(ErrorInfoOf(status).metadata().at("pool"), "pools/processor");
  EXPECT_EQ(ErrorInfoOf(status).metadata().at("free"), "50");
}

TEST_F(AdmissionTest, RefusesToStartResumeUnpauseOrCloneALockedVm) {
  const std::string id = GivenVm();
  Lock(id);

  for (const auto kind : {v1::OPERATION_KIND_START, v1::OPERATION_KIND_RESUME,
                          v1::OPERATION_KIND_UNPAUSE, v1::OPERATION_KIND_FIRMWARE_UPDATE}) {
    EXPECT_EQ(ReasonOf(Admit(id, kind, NewOperation()).status()), v1::ErrorInfo::REASON_VM_LOCKED);
  }
  const std::string copy = NewUuid();
  EXPECT_EQ(ReasonOf(Admit(copy, v1::OPERATION_KIND_CLONE, NewOperation(), {}, id).status()),
            v1::ErrorInfo::REASON_VM_LOCKED);
  EXPECT_FALSE(Exists(copy));
  EXPECT_EQ(ReservedMemory(), 0);
}

TEST_F(AdmissionTest, RefusesTheSecondAdmissionOfAStartThatALockOvertook) {
  const std::string id = GivenVm();
  const std::string operation = NewOperation();
  ASSERT_TRUE(Start(id, operation).ok());
  Lock(id);

  EXPECT_EQ(ReasonOf(Start(id, operation)), v1::ErrorInfo::REASON_VM_LOCKED);
}

TEST_F(AdmissionTest, TreatsAVmWithoutARecordAsLocked) {
  EXPECT_EQ(ReasonOf(Start(NewUuid())), v1::ErrorInfo::REASON_VM_LOCKED);
  EXPECT_EQ(
      ReasonOf(Admit(NewUuid(), v1::OPERATION_KIND_CLONE, NewOperation(), {}, NewUuid()).status()),
      v1::ErrorInfo::REASON_VM_LOCKED);
}

TEST_F(AdmissionTest, GivesACloneTheAllocationsOfItsSource) {
  const std::string source = GivenVm(768);
  const std::string copy = NewUuid();

  const auto ticket = Admit(copy, v1::OPERATION_KIND_CLONE, NewOperation(), {}, source);

  ASSERT_TRUE(ticket.ok()) << ticket.status();
  EXPECT_EQ(ticket->policy().virtual_machine(), Name(copy));
  EXPECT_EQ(
      AllocationOf(ticket->policy().allocations(), v1::RESOURCE_KIND_MEMORY).virtual_quantity(),
      768);
}

TEST_F(AdmissionTest, FreesOnlyByTheControllersReport) {
  const std::string id = GivenRunningVm(1024);
  Reopen();
  EXPECT_EQ(ReservedMemory(), 1024);

  for (const auto state : {Vm::STATE_STOPPED, Vm::STATE_SUSPENDED, Vm::STATE_FAILED}) {
    Report(id, state);
    EXPECT_EQ(ReservedMemory(), 0) << state;
    ASSERT_TRUE(Start(id).ok());
    EXPECT_EQ(ReservedMemory(), 1024) << state;
  }
}

TEST_F(AdmissionTest, KeepsTheReservationWhileTheAdmittedOperationIsStillAtWork) {
  const std::string id = GivenVm(1024);
  const std::string operation = NewOperation();
  ASSERT_TRUE(Start(id, operation).ok());

  Report(id, Vm::STATE_STOPPED, 0, operation);
  EXPECT_EQ(ReservedMemory(), 1024);
  Report(id, Vm::STATE_STARTING, 0, operation);
  EXPECT_EQ(ReservedMemory(), 1024);
  Report(id, Vm::STATE_STOPPED);  // It failed.
  EXPECT_EQ(ReservedMemory(), 0);
}

TEST_F(AdmissionTest, RefusesAResumeThatNoLongerFitsAndTakesItLater) {
  const std::string id = GivenRunningVm(2048);
  Report(id, Vm::STATE_SUSPENDED);
  const std::string other = GivenRunningVm(3072);

  EXPECT_EQ(ReasonOf(Admit(id, v1::OPERATION_KIND_RESUME, NewOperation()).status()),
            v1::ErrorInfo::REASON_INSUFFICIENT_RESOURCES);
  Report(other, Vm::STATE_STOPPED);
  EXPECT_TRUE(Admit(id, v1::OPERATION_KIND_RESUME, NewOperation()).ok());
}

TEST_F(AdmissionTest, RefusesMalformedRequestsAndNamesTheField) {
  v1::AdmitRequest request;
  request.set_virtual_machine("vm7");
  EXPECT_EQ(ErrorInfoOf(engine_->admission.Admit(request).status()).field(), "virtual_machine");
  request.set_virtual_machine(Name(NewUuid()));
  request.set_operation("7");
  EXPECT_EQ(ErrorInfoOf(engine_->admission.Admit(request).status()).field(), "operation");
  request.set_operation(NewOperation());
  EXPECT_EQ(ErrorInfoOf(engine_->admission.Admit(request).status()).field(), "kind");
  request.set_kind(v1::OPERATION_KIND_STOP);
  EXPECT_EQ(ErrorInfoOf(engine_->admission.Admit(request).status()).field(), "kind");
  request.set_kind(v1::OPERATION_KIND_PROVISION);
  *request.add_allocations() = Memory(0);
  EXPECT_EQ(ErrorInfoOf(engine_->admission.Admit(request).status()).field(),
            "allocations[0].virtual_quantity");
}

}  // namespace
}  // namespace virmo::policy_engine
