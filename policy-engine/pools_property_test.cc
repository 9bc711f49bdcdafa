// SPDX-License-Identifier: Apache-2.0
// The invariant of the pools, under random decisions, reports and restarts.
#include <map>
#include <random>
#include <string>
#include <vector>

#include "policy-engine/policy_engine_fixture.h"

namespace virmo::policy_engine {
namespace {

// A controller that obeys: what it holds is what some policy that it was given asks for.
struct Guest {
  std::string id;
  Vm::State state = Vm::STATE_STOPPED;
  std::string operation;      // Of an admitted start.
  int64_t memory = 0;         // What it really holds.
  int64_t policy_memory = 0;  // Of the newest policy that the controller has received.
  int64_t policy_version = 0;
};

class PoolsPropertyTest : public PolicyEngineFixture, public testing::WithParamInterface<int> {
 protected:
  void Check() {
    int64_t held = 0;
    for (const Guest& guest : guests_) held += guest.memory;
    const v1::ResourcePool memory = Pool(v1::RESOURCE_KIND_MEMORY);
    const v1::ResourcePool processor = Pool(v1::RESOURCE_KIND_PROCESSOR);
    ASSERT_LE(memory.reserved(), memory.capacity());
    ASSERT_LE(processor.reserved(), processor.capacity());
    ASSERT_LE(held, memory.reserved()) << "guests hold more than is accounted for";
  }

  int64_t Random(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }

  v1::InventoryItem ItemOf(const Guest& guest) {
    v1::InventoryItem item = Item(guest.id, guest.state, guest.memory, guest.policy_version);
    item.set_current_operation(guest.operation);
    return item;
  }
  void ReportOne(const Guest& guest) { ASSERT_TRUE(Send({ItemOf(guest)}, false).ok()); }

  void Receive(Guest& guest) {
    const v1::EffectivePolicy policy = Policy(guest.id).policy();
    guest.policy_version = policy.version();
    guest.policy_memory =
        AllocationOf(policy.allocations(), v1::RESOURCE_KIND_MEMORY).virtual_quantity();
  }

  void Begin(Guest& guest) {
    if (guest.state != Vm::STATE_STOPPED || !guest.operation.empty()) return;
    const std::string operation = NewOperation();
    const auto ticket = Admit(guest.id, v1::OPERATION_KIND_START, operation);
    if (!ticket.ok()) return;
    guest.operation = operation;
    ++admitted_;
    guest.policy_version = ticket->policy_version();
    guest.policy_memory =
        AllocationOf(ticket->policy().allocations(), v1::RESOURCE_KIND_MEMORY).virtual_quantity();
  }

  void Go(Guest& guest) {
    if (guest.operation.empty()) return;
    if (guest.state == Vm::STATE_STOPPED) {
      guest.state = Vm::STATE_STARTING;
    } else {
      guest.state = Random(0, 4) == 0 ? Vm::STATE_STOPPED : Vm::STATE_RUNNING;
      guest.operation.clear();
    }
    guest.memory = guest.state == Vm::STATE_STOPPED ? 0 : guest.policy_memory;
    ReportOne(guest);
  }

  void Stop(Guest& guest) {
    if (guest.state != Vm::STATE_RUNNING) return;
    guest.state = Random(0, 1) == 0 ? Vm::STATE_STOPPED : Vm::STATE_FAILED;
    guest.memory = 0;
    // The controller may be too late with its report.
    if (Random(0, 2) > 0) ReportOne(guest);
    if (guest.state == Vm::STATE_FAILED) guest.state = Vm::STATE_STOPPED;
  }

  void SetMemory(Guest& guest) {
    v1::SetAllocationsRequest request;
    request.set_virtual_machine(Name(guest.id));
    *request.add_allocations() = Memory(Random(16, 1000));
    *request.add_allocations() = Processor(2, Random(0, 100));
    (void)engine_->allocations.Set(request);
  }

  // The balloon goes part of the way, or all of it, to what the newest received policy says.
  void Balloon(Guest& guest) {
    if (guest.state != Vm::STATE_RUNNING) return;
    if (Random(0, 3) > 0) Receive(guest);
    const int64_t low = std::min(guest.memory, guest.policy_memory);
    const int64_t high = std::max(guest.memory, guest.policy_memory);
    guest.memory = Random(0, 1) == 0 ? guest.policy_memory : Random(low, high);
    if (Random(0, 2) > 0) ReportOne(guest);
  }

  void ReportAll() {
    std::vector<v1::InventoryItem> items;
    for (const Guest& guest : guests_) items.push_back(ItemOf(guest));
    ReportFull(items);
  }

  void Step() {
    Guest& guest = guests_[static_cast<size_t>(Random(0, 7))];
    switch (Random(0, 13)) {
      case 0:
      case 1:
      case 2:
        return Begin(guest);
      case 3:
      case 4:
      case 5:
        return Go(guest);
      case 6:
        if (Random(0, 9) == 0) Reopen();
        return;
      case 7:
      case 8:
        return SetMemory(guest);
      case 9:
        return Balloon(guest);
      case 10:
      case 11:
      case 12:
        return Stop(guest);
      case 13:
        return ReportAll();
      default:
        return;
    }
  }

  std::mt19937 random_{static_cast<unsigned>(GetParam())};
  std::vector<Guest> guests_;
  int admitted_ = 0;
};

TEST_P(PoolsPropertyTest, NeverReservesMoreThanThereIsNorLessThanGuestsHold) {
  for (int i = 0; i < 8; ++i) {
    Guest& guest = guests_.emplace_back();
    guest.id = GivenVm(Random(64, 1000), Random(0, 100));
  }
  for (int step = 0; step < 800; ++step) {
    ASSERT_NO_FATAL_FAILURE(Step()) << "step " << step;
    ASSERT_NO_FATAL_FAILURE(Check()) << "step " << step;
  }
  EXPECT_GT(admitted_, 10);
}

INSTANTIATE_TEST_SUITE_P(Seeds, PoolsPropertyTest, testing::Range(1, 13));

}  // namespace
}  // namespace virmo::policy_engine
