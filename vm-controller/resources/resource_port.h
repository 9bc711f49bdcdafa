// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "virmo/v1/allocation.pb.h"

namespace virmo::vm_controller {

// What a started domain has of the host, as the hypervisor shows it.
struct LiveResources {
  int64_t memory_mib = 0;      // What the balloon leaves to the guest.
  int64_t memory_max_mib = 0;  // It cannot have more before its next start.
  int cpu_count = 0;
  int cpu_max = 0;
  int64_t cpu_weight = 0;  // 100 is the default; 0: not known.
  int64_t cpu_limit = 0;   // In hundredths of a CPU; 0: none.
  v1::BlockRates block;    // Of its own disks, all together.
};

// Changes what a started domain gets of the host. A port beside Hypervisor, for those that can:
// otherwise NOT_SUPPORTED, with the cause. Idempotent like Hypervisor, and with its failures.
// Thread-safe.
class ResourcePort {
 public:
  virtual ~ResourcePort() = default;

  virtual absl::StatusOr<LiveResources> GetResources(const std::string& id) = 0;

  // Asks the guest's balloon driver, and does not wait: GetResources tells what it did.
  virtual absl::Status SetMemory(const std::string& id, int64_t mib) = 0;

  // Plugs virtual CPUs in or out.
  virtual absl::Status SetCpuCount(const std::string& id, int count) = 0;

  // `weight`: 1 to 10000, 100 is the default. `limit` in hundredths of a CPU, QEMU's own threads
  // included; 0: none.
  virtual absl::Status SetCpuShare(const std::string& id, int64_t weight, int64_t limit) = 0;

  virtual absl::Status SetBlockRates(const std::string& id, const v1::BlockRates& rates) = 0;
};

}  // namespace virmo::vm_controller
