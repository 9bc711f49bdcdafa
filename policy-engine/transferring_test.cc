// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/transferring.h"

#include <string>

#include "policy-engine/policy_engine_fixture.h"

namespace virmo::policy_engine {
namespace {

class TransferringTest : public PolicyEngineFixture {
 protected:
  static v1::TransferResourcesRequest Request(const std::string& from, const std::string& to,
                                              int64_t memory_mib) {
    v1::TransferResourcesRequest request;
    request.set_request_id(NewUuid());
    request.mutable_transfer()->set_from(Name(from));
    request.mutable_transfer()->set_to(Name(to));
    request.mutable_transfer()->set_memory_mib(memory_mib);
    request.mutable_initiator()->set_server_id("enterprise");
    return request;
  }
  Operation Transfer(const v1::TransferResourcesRequest& request) {
    auto operation = engine_->transfers.Transfer(request);
    EXPECT_TRUE(operation.ok()) << operation.status();
    engine_->transfers.Advance();
    return operation.value_or(Operation());
  }
  // The guest holds so much, under its newest policy.
  void Hold(const std::string& id, int64_t memory_mib) {
    Report(id, Vm::STATE_RUNNING, memory_mib);
    engine_->transfers.Advance();
  }
  int64_t MemoryOf(const std::string& id) {
    return AllocationOf(Policy(id).policy().allocations(), v1::RESOURCE_KIND_MEMORY)
        .virtual_quantity();
  }
  std::string StepOf(const Operation& operation) { return MetadataOf(Get(operation)).step(); }
  // Both guests run; nothing of the pool is free.
  void GivenTwoOnAFullHost() {
    from_ = GivenRunningVm(2048);
    to_ = GivenRunningVm(2048);
    ASSERT_EQ(ReservedMemory(), 4096);
    engine_->transfers.OnController(true);
  }
  void ExpectAsBefore(const Operation& operation) {
    EXPECT_EQ(ReasonOfEnd(Get(operation)), v1::ErrorInfo::REASON_TRANSFER_FAILED);
    EXPECT_EQ(MemoryOf(from_), 2048);
    EXPECT_EQ(MemoryOf(to_), 2048);
    const auto alerts = emitter_.WaitFor(1);
    ASSERT_GE(alerts.size(), 1U);
    EXPECT_EQ(alerts.back().event(), "Transfer");
    EXPECT_EQ(alerts.back().result_code(), 1425);
  }

  std::string from_;
  std::string to_;
};

TEST_F(TransferringTest, MovesMemoryOnAFullHostStepByStepWithOneAlert) {
  GivenTwoOnAFullHost();
  const Operation transfer = Transfer(Request(from_, to_, 128));
  EXPECT_EQ(MemoryOf(from_), 1920);
  EXPECT_EQ(MemoryOf(to_), 2048);
  EXPECT_EQ(ReservedMemory(), 4096);  // In escrow: nobody else can have it.

  Hold(from_, 2000);
  EXPECT_EQ(StepOf(transfer), "RELEASING");
  Hold(from_, 1920);
  EXPECT_EQ(StepOf(transfer), "GRANTING");
  EXPECT_EQ(MemoryOf(to_), 2176);
  EXPECT_EQ(ReservedMemory(), 4096);
  EXPECT_FALSE(Get(transfer).done());
  Hold(to_, 2176);

  const Operation ended = Get(transfer);
  ASSERT_TRUE(ended.has_response()) << ended.ShortDebugString();
  v1::Transfer result;
  ASSERT_TRUE(ended.response().UnpackTo(&result));
  EXPECT_EQ(result.state(), v1::Transfer::STATE_DONE);
  EXPECT_EQ(ReservedMemory(), 4096);
  const auto alerts = emitter_.WaitFor(1);
  ASSERT_EQ(alerts.size(), 1U);
  EXPECT_EQ(alerts[0].event(), "Transfer");
  EXPECT_EQ(alerts[0].result_code(), 1200);
  EXPECT_EQ(alerts[0].initiator().server_id(), "enterprise");
}

TEST_F(TransferringTest, RollsBackWhenTheDonorsBalloonDoesNotAnswer) {
  GivenTwoOnAFullHost();
  const Operation transfer = Transfer(Request(from_, to_, 128));
  Hold(from_, 2048);
  ahead_ = absl::Seconds(31);
  engine_->transfers.Advance();

  ExpectAsBefore(transfer);
  EXPECT_THAT(Get(transfer).error().message(), testing::HasSubstr("2048 MiB of memory, not 1920"));
  EXPECT_EQ(ReservedMemory(), 4096);
}

TEST_F(TransferringTest, RollsBackWhenTheReceiverDoesNotGrowAndOnlyOnceItHasGivenBack) {
  GivenTwoOnAFullHost();
  const Operation transfer = Transfer(Request(from_, to_, 128));
  Hold(from_, 1920);
  Hold(to_, 2100);  // Some of it, and no more.
  ahead_ = absl::Seconds(31);
  engine_->transfers.Advance();
  EXPECT_EQ(StepOf(transfer), "ROLLING_BACK");
  EXPECT_EQ(MemoryOf(from_), 1920);
  Hold(to_, 2100);
  ahead_ = absl::Seconds(1000);
  engine_->transfers.Advance();
  EXPECT_EQ(StepOf(transfer), "ROLLING_BACK");
  EXPECT_EQ(ReservedMemory(), 4096);
  Hold(to_, 2048);

  ExpectAsBefore(transfer);
  EXPECT_EQ(ReservedMemory(), 4096);
}

TEST_F(TransferringTest, WaitsWhileThereIsNoControllerAndSaysSo) {
  GivenTwoOnAFullHost();
  engine_->transfers.OnController(false);
  const Operation transfer = Transfer(Request(from_, to_, 128));
  ahead_ = absl::Hours(5);
  EXPECT_EQ(engine_->transfers.Advance(), absl::InfiniteDuration());
  Reopen();
  engine_->transfers.Advance();
  EXPECT_FALSE(Get(transfer).done());
  EXPECT_EQ(StepOf(transfer), "RELEASING");

  engine_->transfers.OnController(true);
  engine_->transfers.Advance();
  EXPECT_FALSE(Get(transfer).done());  // Its time begins now.
  Hold(from_, 1920);
  Hold(to_, 2176);
  EXPECT_TRUE(Get(transfer).has_response());
}

TEST_F(TransferringTest, TakesFromAStoppedDonorsEntitlementAtOnce) {
  const std::string from = GivenVm(1024);
  const std::string to = GivenVm(1024);

  const Operation transfer = Transfer(Request(from, to, 512));

  EXPECT_TRUE(Get(transfer).has_response());
  EXPECT_EQ(MemoryOf(from), 512);
  EXPECT_EQ(MemoryOf(to), 1536);
}

TEST_F(TransferringTest, RollsBackWhenTheHostHasNoRoomForTheReceiver) {
  from_ = GivenVm(2048);  // Stopped: it gives an entitlement, no memory.
  to_ = GivenRunningVm(2048);
  GivenRunningVm(2000);

  const Operation transfer = Transfer(Request(from_, to_, 128));

  ExpectAsBefore(transfer);
  EXPECT_EQ(ReservedMemory(), 4048);
}

TEST_F(TransferringTest, RollsBackWhenEitherIsLockedOrDeletedMidway) {
  GivenTwoOnAFullHost();
  const Operation locked = Transfer(Request(from_, to_, 128));
  Lock(to_);
  engine_->transfers.Advance();
  EXPECT_TRUE(Get(locked).has_error());
  EXPECT_EQ(MemoryOf(from_), 2048);
  Unlock(to_);

  Hold(from_, 2048);
  const Operation deleted = Transfer(Request(from_, to_, 128));
  ASSERT_TRUE(Send({}, false, {to_}).ok());
  engine_->transfers.Advance();
  EXPECT_TRUE(Get(deleted).has_error());
  EXPECT_EQ(MemoryOf(from_), 2048);
  EXPECT_EQ(ReservedMemory(), 2048);
}

TEST_F(TransferringTest, RefusesWhatCannotBeBeforeAnythingIsDone) {
  const std::string from = GivenVm(1024);
  const std::string to = GivenVm(1024);
  const auto refused = [&](const v1::TransferResourcesRequest& request) {
    return ReasonOf(engine_->transfers.Transfer(request).status());
  };
  EXPECT_EQ(refused(Request(from, from, 1)), v1::ErrorInfo::REASON_INVALID_ARGUMENT);
  EXPECT_EQ(refused(Request(from, to, 0)), v1::ErrorInfo::REASON_INVALID_ARGUMENT);
  EXPECT_EQ(refused(Request(from, to, -5)), v1::ErrorInfo::REASON_INVALID_ARGUMENT);
  EXPECT_EQ(refused(Request(from, NewUuid(), 5)), v1::ErrorInfo::REASON_VM_NOT_FOUND);
  EXPECT_EQ(refused(Request(from, to, 1020)), v1::ErrorInfo::REASON_POLICY_FORBIDS);
  v1::TransferResourcesRequest storage = Request(from, to, 0);
  storage.mutable_transfer()->set_storage_mib(10);
  EXPECT_EQ(refused(storage), v1::ErrorInfo::REASON_NOT_SUPPORTED);
  v1::TransferResourcesRequest limit = Request(from, to, 0);
  limit.mutable_transfer()->set_cpu_limit(10);
  EXPECT_EQ(refused(limit), v1::ErrorInfo::REASON_NOT_SUPPORTED);
  Lock(to);
  EXPECT_EQ(refused(Request(from, to, 5)), v1::ErrorInfo::REASON_VM_LOCKED);
  EXPECT_EQ(MemoryOf(from), 1024);
}

TEST_F(TransferringTest, BarsOtherChangesOfResourcesUntilItEnds) {
  GivenTwoOnAFullHost();
  const v1::TransferResourcesRequest request = Request(from_, to_, 128);
  const Operation transfer = Transfer(request);
  v1::SetAllocationsRequest set;
  set.set_virtual_machine(Name(to_));
  *set.add_allocations() = Memory(100);

  EXPECT_EQ(ReasonOf(engine_->allocations.Set(set).status()), v1::ErrorInfo::REASON_BUSY);
  EXPECT_EQ(ReasonOf(engine_->transfers.Transfer(Request(to_, from_, 1)).status()),
            v1::ErrorInfo::REASON_BUSY);
  EXPECT_EQ(engine_->transfers.Transfer(request)->name(), transfer.name());  // The same again.
  Hold(from_, 1920);
  Hold(to_, 2176);
  EXPECT_TRUE(engine_->allocations.Set(set).ok());
}

}  // namespace
}  // namespace virmo::policy_engine
