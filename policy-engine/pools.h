// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "policy-engine/allocation_rules.h"
#include "policy-engine/policy_store.h"
#include "virmo/config/v1/policy_engine_config.pb.h"
#include "virmo/v1/policy.pb.h"

namespace virmo::policy_engine {

// The primordial pools of memory and processors: what the host has, less what is kept for it
// (DSP1041). No decision of ours lets the sum of what virtual machines are charged exceed the
// capacity; only facts can (a smaller host, a guest found running), and then nothing more is
// admitted until they end.
//
// What a virtual machine is charged, from its admission until an inventory report says that it
// holds nothing:
//   memory     the largest of what is asked now, what any version asked that the controller may
//              still be enforcing (`peak`), and what is asked plus what the guest holds beyond
//              its virtual quantity (a balloon that is late) or keeps in escrow for a transfer.
//              Without overcommitment this is max(asked, applied).
//   processor  the larger of reservation and `peak`.
//
// Methods belong in a PolicyStore::Change or Read.
class Pools {
 public:
  // Both must outlive it.
  Pools(PolicyStore& store, const config::v1::PolicyEngineConfig& config)
      : store_(store), config_(config) {}

  // What happens when a charge grows beyond the capacity.
  enum class Growth { kRefuse, kAccept };

  // Sets what the record takes, and whether it holds its resources, from its policy, inventory
  // and admissions. With kRefuse: RESOURCE_EXHAUSTED (INSUFFICIENT_RESOURCES) that names what was
  // asked, what is free, and the pool; UNAVAILABLE while no controller has described the host.
  absl::Status Charge(Record& record, Growth growth);

  // Remembers what the record asks now, before its allocations change.
  void RaisePeak(Record& record);

  // Whether one virtual machine may have this much at all: FAILED_PRECONDITION (POLICY_FORBIDS)
  // beyond a configured bound, RESOURCE_EXHAUSTED beyond the whole pool.
  absl::Status CheckBounds(const Allocations& allocations);

  absl::StatusOr<std::vector<v1::ResourcePool>> List();
  absl::StatusOr<std::vector<v1::AllocationCapabilities>> Capabilities();

 private:
  struct Capacity {
    bool known = false;
    int64_t memory = 0;
    int64_t processor = 0;
  };
  absl::StatusOr<Capacity> GetCapacity();
  absl::Status CheckFree(const Record& record, int64_t memory, int64_t processor);

  PolicyStore& store_;
  const config::v1::PolicyEngineConfig& config_;
};

// Whether a virtual machine in this state holds memory and processors.
bool HoldsResources(v1::VirtualMachine::State state);

}  // namespace virmo::policy_engine
