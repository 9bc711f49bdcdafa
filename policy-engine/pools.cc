// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/pools.h"

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"

namespace virmo::policy_engine {
namespace {

constexpr char kMemoryPool[] = "pools/memory";
constexpr char kProcessorPool[] = "pools/processor";

// How much more memory the guest holds than it should see by now.
int64_t MemoryBeyond(const v1::Allocation& asked, const std::optional<v1::InventoryItem>& item) {
  if (!item || !HoldsResources(item->state())) return 0;
  for (const v1::AppliedAllocation& applied : item->applied()) {
    if (applied.kind() != v1::RESOURCE_KIND_MEMORY) continue;
    return std::max<int64_t>(0, applied.actual_quantity() - asked.virtual_quantity());
  }
  return 0;
}

struct Request {
  const char* pool;
  const char* unit;
  int64_t asked;
  int64_t free;
  int64_t capacity;
};

absl::Status Insufficient(absl::string_view who, const Request& request) {
  return Error(
      v1::ErrorInfo::REASON_INSUFFICIENT_RESOURCES,
      absl::StrCat(who, " asks for ", request.asked, " ", request.unit, " of ", request.pool, "; ",
                   request.free, " of ", request.capacity, " are free"),
      {{"resource", absl::StrCat(request.pool).substr(std::string("pools/").size())},
       {"pool", request.pool},
       {"asked", absl::StrCat(request.asked)},
       {"free", absl::StrCat(request.free)},
       {"capacity", absl::StrCat(request.capacity)}});
}

absl::Status Forbidden(absl::string_view what, int64_t asked, int64_t most) {
  return Error(v1::ErrorInfo::REASON_POLICY_FORBIDS,
               absl::StrCat(asked, " ", what, " are asked for; at most ", most, " are allowed"),
               {{"asked", absl::StrCat(asked)}, {"maximum", absl::StrCat(most)}});
}

v1::ResourcePool MakePool(const char* name, v1::ResourceKind kind, int64_t capacity,
                          int64_t reserved, int64_t host_reserve) {
  v1::ResourcePool pool;
  pool.set_name(name);
  pool.set_kind(kind);
  pool.set_primordial(true);
  pool.set_capacity(capacity);
  pool.set_reserved(reserved);
  pool.set_host_reserve(host_reserve);
  pool.set_etag(absl::StrCat(capacity, "-", reserved));
  return pool;
}

}  // namespace

bool HoldsResources(v1::VirtualMachine::State state) {
  switch (state) {
    case v1::VirtualMachine::STATE_STARTING:
    case v1::VirtualMachine::STATE_RUNNING:
    case v1::VirtualMachine::STATE_STOPPING:
    case v1::VirtualMachine::STATE_SUSPENDING:
    case v1::VirtualMachine::STATE_RESUMING:
      return true;
    default:
      return false;
  }
}

absl::Status Pools::Charge(Record& record, Growth growth) {
  ASSIGN_OR_RETURN(const auto item, store_.Inventory(record.id));
  ASSIGN_OR_RETURN(const auto admissions, store_.Admissions(record.id));
  const bool holds = !admissions.empty() || (item && HoldsResources(item->state()));
  int64_t memory = 0;
  int64_t processor = 0;
  if (holds) {
    const Allocations& allocations = record.status.policy().allocations();
    const v1::Allocation& asked = AllocationOf(allocations, v1::RESOURCE_KIND_MEMORY);
    memory = std::max(record.peak_memory,
                      AskedOf(asked) + std::max(MemoryBeyond(asked, item), record.escrow_memory));
    processor = std::max(record.peak_processor,
                         AskedOf(AllocationOf(allocations, v1::RESOURCE_KIND_PROCESSOR)));
  } else {
    record.peak_memory = 0;
    record.peak_processor = 0;
  }
  if (growth == Growth::kRefuse) RETURN_IF_ERROR(CheckFree(record, memory, processor));
  record.charged_memory = memory;
  record.charged_processor = processor;
  record.status.set_holds_resources(holds);
  return absl::OkStatus();
}

void Pools::RaisePeak(Record& record) {
  if (!record.status.holds_resources()) return;
  const Allocations& allocations = record.status.policy().allocations();
  record.peak_memory =
      std::max(record.peak_memory, AskedOf(AllocationOf(allocations, v1::RESOURCE_KIND_MEMORY)));
  record.peak_processor = std::max(record.peak_processor,
                                   AskedOf(AllocationOf(allocations, v1::RESOURCE_KIND_PROCESSOR)));
}

absl::Status Pools::CheckFree(const Record& record, int64_t memory, int64_t processor) {
  if (memory <= record.charged_memory && processor <= record.charged_processor) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const Capacity capacity, GetCapacity());
  if (!capacity.known) {
    return Error(v1::ErrorInfo::REASON_SERVICE_UNAVAILABLE,
                 "no controller has told yet what the host has", {{"service", "vm-controller"}});
  }
  ASSIGN_OR_RETURN(const PolicyStore::Charges total, store_.TotalCharges());
  const std::string who = VirtualMachineName(record.id);
  const int64_t free_memory = capacity.memory - (total.memory - record.charged_memory);
  if (memory > record.charged_memory && memory > free_memory) {
    return Insufficient(
        who, {kMemoryPool, "MiB", memory, std::max<int64_t>(0, free_memory), capacity.memory});
  }
  const int64_t free_processor = capacity.processor - (total.processor - record.charged_processor);
  if (processor > record.charged_processor && processor > free_processor) {
    return Insufficient(who, {kProcessorPool, "hundredths of a CPU", processor,
                              std::max<int64_t>(0, free_processor), capacity.processor});
  }
  return absl::OkStatus();
}

absl::Status Pools::CheckBounds(const Allocations& allocations) {
  const int64_t memory = AllocationOf(allocations, v1::RESOURCE_KIND_MEMORY).virtual_quantity();
  const v1::Allocation& processor = AllocationOf(allocations, v1::RESOURCE_KIND_PROCESSOR);
  if (config_.max_memory_mib() > 0 && memory > config_.max_memory_mib()) {
    return Forbidden("MiB of memory", memory, config_.max_memory_mib());
  }
  if (processor.virtual_quantity() > config_.max_virtual_cpus()) {
    return Forbidden("virtual CPUs", processor.virtual_quantity(), config_.max_virtual_cpus());
  }
  ASSIGN_OR_RETURN(const Capacity capacity, GetCapacity());
  if (!capacity.known) return absl::OkStatus();  // Checked when it starts.
  if (memory > capacity.memory) {
    return Insufficient("the virtual machine",
                        {kMemoryPool, "MiB", memory, capacity.memory, capacity.memory});
  }
  if (processor.reservation() > capacity.processor) {
    return Insufficient("the virtual machine",
                        {kProcessorPool, "hundredths of a CPU", processor.reservation(),
                         capacity.processor, capacity.processor});
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<v1::ResourcePool>> Pools::List() {
  ASSIGN_OR_RETURN(const Capacity capacity, GetCapacity());
  ASSIGN_OR_RETURN(const PolicyStore::Charges total, store_.TotalCharges());
  return std::vector<v1::ResourcePool>{
      MakePool(kMemoryPool, v1::RESOURCE_KIND_MEMORY, capacity.memory, total.memory,
               config_.host_reserve_memory_mib()),
      MakePool(kProcessorPool, v1::RESOURCE_KIND_PROCESSOR, capacity.processor, total.processor,
               config_.host_reserve_processor())};
}

absl::StatusOr<std::vector<v1::AllocationCapabilities>> Pools::Capabilities() {
  ASSIGN_OR_RETURN(const Capacity capacity, GetCapacity());
  ASSIGN_OR_RETURN(const Controller controller, store_.GetController());
  v1::AllocationCapabilities memory;
  memory.set_kind(v1::RESOURCE_KIND_MEMORY);
  memory.set_minimum(kMinMemoryMib);
  memory.set_maximum(config_.max_memory_mib() > 0 ? config_.max_memory_mib() : capacity.memory);
  memory.set_increment(1);
  memory.set_default_quantity(kDefaultMemoryMib);
  v1::AllocationCapabilities processor;
  processor.set_kind(v1::RESOURCE_KIND_PROCESSOR);
  processor.set_minimum(1);
  processor.set_maximum(config_.max_virtual_cpus());
  processor.set_increment(1);
  processor.set_default_quantity(kDefaultVirtualCpus);
  if (controller.host) {
    for (const v1::OperationSupport& operation : controller.host->operations()) {
      if (operation.operation() == "RAMBalloon") memory.set_live(operation.supported());
      if (operation.operation() == "CPUHotplug") processor.set_live(operation.supported());
    }
  }
  return std::vector<v1::AllocationCapabilities>{memory, processor};
}

absl::StatusOr<Pools::Capacity> Pools::GetCapacity() {
  ASSIGN_OR_RETURN(const Controller controller, store_.GetController());
  Capacity capacity;
  if (!controller.host) return capacity;
  const v1::Host& host = *controller.host;
  capacity.known = true;
  capacity.memory =
      std::max<int64_t>(0, host.memory_total_mib() - config_.host_reserve_memory_mib());
  capacity.processor =
      std::max<int64_t>(0, host.processor_total() - config_.host_reserve_processor());
  return capacity;
}

}  // namespace virmo::policy_engine
