// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/allocation_setting.h"

#include <string>

#include "policy-engine/policy_engine_fixture.h"

namespace virmo::policy_engine {
namespace {

class AllocationSettingTest : public PolicyEngineFixture {
 protected:
  static v1::SetAllocationsRequest Request(const std::string& id,
                                           const v1::Allocation& allocation) {
    v1::SetAllocationsRequest request;
    request.set_virtual_machine(Name(id));
    *request.add_allocations() = allocation;
    return request;
  }
  absl::StatusOr<v1::PolicyStatus> Set(const std::string& id, const v1::Allocation& allocation) {
    return engine_->allocations.Set(Request(id, allocation));
  }
};

TEST_F(AllocationSettingTest, SetsOneKindKeepsTheOtherAndRaisesTheVersion) {
  const std::string id = GivenVm(1024);

  const auto status = Set(id, Memory(2048));

  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->policy().version(), 2);
  EXPECT_EQ(status->policy().allocations(0).virtual_quantity(), 2048);
  EXPECT_EQ(status->policy().allocations(1).kind(), v1::RESOURCE_KIND_PROCESSOR);
  EXPECT_EQ(Policy(id).SerializeAsString(), status->SerializeAsString());
}

TEST_F(AllocationSettingTest, ChangesNothingWhenTheSameIsSetAgain) {
  const std::string id = GivenVm(1024);

  const auto status = Set(id, Memory(1024));

  ASSERT_TRUE(status.ok());
  EXPECT_EQ(status->policy().version(), 1);
}

TEST_F(AllocationSettingTest, RefusesWhatDoesNotFitBesideTheOthersWhileItRuns) {
  const std::string id = GivenRunningVm(1024);
  GivenRunningVm(2048);

  const auto status = Set(id, Memory(2049));

  EXPECT_EQ(ReasonOf(status.status()), v1::ErrorInfo::REASON_INSUFFICIENT_RESOURCES);
  EXPECT_EQ(ErrorInfoOf(status.status()).metadata().at("free"), "2048");
  EXPECT_EQ(Policy(id).policy().version(), 1);
  EXPECT_EQ(ReservedMemory(), 3072);
  EXPECT_TRUE(Set(id, Memory(2048)).ok());
  EXPECT_EQ(ReservedMemory(), 4096);
}

TEST_F(AllocationSettingTest, AcceptsForAStoppedVmWhatFitsOnlyLater) {
  GivenRunningVm(3072);
  const std::string id = GivenVm(1024);

  EXPECT_TRUE(Set(id, Memory(2048)).ok());
  EXPECT_EQ(ReasonOf(Start(id)), v1::ErrorInfo::REASON_INSUFFICIENT_RESOURCES);
}

TEST_F(AllocationSettingTest, KeepsTheOldChargeUntilTheBalloonIsReportedSmaller) {
  const std::string id = GivenRunningVm(2048);

  ASSERT_TRUE(Set(id, Memory(512)).ok());
  EXPECT_EQ(ReservedMemory(), 2048);
  Report(id, Vm::STATE_RUNNING, 1500);  // The balloon is late.
  EXPECT_EQ(ReservedMemory(), 1500);
  Report(id, Vm::STATE_RUNNING, 512);
  EXPECT_EQ(ReservedMemory(), 512);
}

TEST_F(AllocationSettingTest, KeepsTheChargeOfAVersionThatMayStillBeEnforced) {
  const std::string id = GivenRunningVm(512);
  ASSERT_TRUE(Set(id, Memory(2048)).ok());
  ASSERT_TRUE(Set(id, Memory(512)).ok());

  ASSERT_TRUE(*Send({Item(id, Vm::STATE_RUNNING, 512, 2)}, false) == false);
  EXPECT_EQ(ReservedMemory(), 2048);
  ASSERT_TRUE(*Send({Item(id, Vm::STATE_RUNNING, 512, 3)}, false) == false);
  EXPECT_EQ(ReservedMemory(), 512);
}

TEST_F(AllocationSettingTest, OnlyChecksWhenAsked) {
  const std::string id = GivenRunningVm(1024);
  v1::SetAllocationsRequest request = Request(id, Memory(2048));
  request.set_validate_only(true);

  const auto status = engine_->allocations.Set(request);

  ASSERT_TRUE(status.ok());
  EXPECT_EQ(status->policy().allocations(0).virtual_quantity(), 2048);
  EXPECT_EQ(Policy(id).policy().version(), 1);
  EXPECT_EQ(ReservedMemory(), 1024);
  *request.mutable_allocations(0) = Memory(4097);
  EXPECT_EQ(ReasonOf(engine_->allocations.Set(request).status()),
            v1::ErrorInfo::REASON_INSUFFICIENT_RESOURCES);
}

TEST_F(AllocationSettingTest, RefusesAStaleEtag) {
  const std::string id = GivenVm();
  v1::SetAllocationsRequest request = Request(id, Memory(2048));
  request.set_etag(Policy(id).etag());
  ASSERT_TRUE(engine_->allocations.Set(request).ok());

  *request.mutable_allocations(0) = Memory(512);
  const auto stale = engine_->allocations.Set(request);

  EXPECT_EQ(stale.status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(ReasonOf(stale.status()), v1::ErrorInfo::REASON_STALE_ETAG);
}

TEST_F(AllocationSettingTest, AnswersARepeatedRequestIdWithTheFirstOutcomeAlsoAfterARestart) {
  const std::string id = GivenVm();
  v1::SetAllocationsRequest request = Request(id, Memory(2048));
  request.set_request_id(NewUuid());
  const auto first = engine_->allocations.Set(request);
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE(Set(id, Memory(512)).ok());
  Reopen();

  const auto repeated = engine_->allocations.Set(request);
  *request.mutable_allocations(0) = Memory(256);
  const auto reused = engine_->allocations.Set(request);

  ASSERT_TRUE(repeated.ok());
  EXPECT_EQ(repeated->SerializeAsString(), first->SerializeAsString());
  EXPECT_EQ(Policy(id).policy().allocations(0).virtual_quantity(), 512);
  EXPECT_EQ(ReasonOf(reused.status()), v1::ErrorInfo::REASON_REQUEST_ID_REUSED);
}

TEST_F(AllocationSettingTest, RefusesWhatContradictsItselfAndNamesTheField) {
  const std::string id = GivenVm();
  const auto field = [&](const v1::Allocation& allocation) {
    return ErrorInfoOf(Set(id, allocation).status()).field();
  };
  EXPECT_EQ(field(v1::Allocation()), "allocations[0].kind");
  EXPECT_EQ(field(Memory(15)), "allocations[0].virtual_quantity");
  EXPECT_EQ(field(Memory(-1)), "allocations[0].virtual_quantity");
  EXPECT_EQ(field(Memory(1024, 1025)), "allocations[0].reservation");
  EXPECT_EQ(field(Processor(2, 201)), "allocations[0].reservation");
  v1::Allocation allocation = Memory(1024, 512);
  allocation.set_limit(511);
  EXPECT_EQ(field(allocation), "allocations[0].limit");
  allocation = Memory(1024);
  allocation.set_weight(10001);
  EXPECT_EQ(field(allocation), "allocations[0].weight");
  allocation = Memory(1024);
  allocation.set_pool("pools/processor");
  EXPECT_EQ(field(allocation), "allocations[0].pool");
  EXPECT_EQ(Policy(id).policy().version(), 1);
}

TEST_F(AllocationSettingTest, RefusesUnknownVmPoolKindAndWhatConfigurationForbids) {
  const std::string id = GivenVm();
  EXPECT_EQ(ReasonOf(Set(NewUuid(), Memory(512)).status()), v1::ErrorInfo::REASON_VM_NOT_FOUND);
  v1::Allocation allocation = Memory(1024);
  allocation.set_pool("pools/gold");
  EXPECT_EQ(ReasonOf(Set(id, allocation).status()), v1::ErrorInfo::REASON_NOT_FOUND);
  allocation.Clear();
  allocation.set_kind(v1::RESOURCE_KIND_NETWORK);
  allocation.mutable_network()->mutable_inbound()->set_average_kbps(-1);
  EXPECT_TRUE(absl::IsInvalidArgument(Set(id, allocation).status()));
  allocation.mutable_network()->mutable_inbound()->set_average_kbps(4000);
  EXPECT_TRUE(Set(id, allocation).ok());
  EXPECT_EQ(ReasonOf(Set(id, Processor(65)).status()), v1::ErrorInfo::REASON_POLICY_FORBIDS);
  config_.set_max_memory_mib(2000);
  EXPECT_EQ(ReasonOf(Set(id, Memory(2001)).status()), v1::ErrorInfo::REASON_POLICY_FORBIDS);
}

TEST_F(AllocationSettingTest, ChargesOnlyTheReservationWhereTheAdminOvercommits) {
  const std::string id = GivenVm(1024);
  ASSERT_TRUE(Set(id, Memory(2048, 512)).ok());
  ASSERT_TRUE(Start(id).ok());

  EXPECT_EQ(ReservedMemory(), 512);
  Report(id, Vm::STATE_RUNNING, 2048);
  EXPECT_EQ(ReservedMemory(), 512);
}

TEST_F(AllocationSettingTest, TellsWhatMayBeAsked) {
  const auto capabilities = engine_->pools.Capabilities();

  ASSERT_TRUE(capabilities.ok());
  EXPECT_EQ((*capabilities)[0].maximum(), 4096);
  EXPECT_EQ((*capabilities)[1].maximum(), 64);
}

}  // namespace
}  // namespace virmo::policy_engine
