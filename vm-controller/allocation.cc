// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/allocation.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"

namespace virmo::vm_controller {
namespace {

constexpr int64_t kDefaultMemoryMib = 256;
constexpr int64_t kMinMemoryMib = 16;
constexpr int64_t kMaxMemoryMib = int64_t{16} << 20;
constexpr int64_t kMaxProcessors = 512;

absl::Status CheckQuantity(const v1::Allocation& allocation) {
  const int64_t quantity = allocation.virtual_quantity();
  if (quantity < 0 || allocation.reservation() < 0 || allocation.limit() < 0) {
    return InvalidField("virtual_machine.allocations", "a quantity is negative");
  }
  if (quantity == 0) return absl::OkStatus();
  if (allocation.kind() == v1::RESOURCE_KIND_MEMORY &&
      (quantity < kMinMemoryMib || quantity > kMaxMemoryMib)) {
    return InvalidField("virtual_machine.allocations",
                        absl::StrCat("memory of ", quantity, " MiB is not within ", kMinMemoryMib,
                                     " to ", kMaxMemoryMib));
  }
  if (allocation.kind() == v1::RESOURCE_KIND_PROCESSOR && quantity > kMaxProcessors) {
    return InvalidField("virtual_machine.allocations",
                        absl::StrCat(quantity, " processors are more than ", kMaxProcessors));
  }
  return absl::OkStatus();
}

}  // namespace

int64_t QuantityOf(const Allocations& allocations, v1::ResourceKind kind) {
  for (const v1::Allocation& allocation : allocations) {
    if (allocation.kind() == kind) return allocation.virtual_quantity();
  }
  return 0;
}

void SetQuantity(Allocations& allocations, v1::ResourceKind kind, int64_t quantity) {
  for (v1::Allocation& allocation : allocations) {
    if (allocation.kind() == kind) return allocation.set_virtual_quantity(quantity);
  }
  v1::Allocation* added = allocations.Add();
  added->set_kind(kind);
  added->set_virtual_quantity(quantity);
}

void AddDefaults(Allocations& allocations) {
  if (QuantityOf(allocations, v1::RESOURCE_KIND_MEMORY) == 0) {
    SetQuantity(allocations, v1::RESOURCE_KIND_MEMORY, kDefaultMemoryMib);
  }
  if (QuantityOf(allocations, v1::RESOURCE_KIND_PROCESSOR) == 0) {
    SetQuantity(allocations, v1::RESOURCE_KIND_PROCESSOR, 1);
  }
}

absl::Status CheckAllocations(const Allocations& allocations) {
  std::set<int> kinds;
  for (const v1::Allocation& allocation : allocations) {
    if (allocation.kind() == v1::RESOURCE_KIND_UNSPECIFIED) {
      return InvalidField("virtual_machine.allocations", "an allocation has no kind");
    }
    if (!kinds.insert(allocation.kind()).second) {
      return InvalidField(
          "virtual_machine.allocations",
          absl::StrCat(v1::ResourceKind_Name(allocation.kind()), " is given twice"));
    }
    const absl::Status status = CheckQuantity(allocation);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

void AddApplied(const Domain& domain, v1::VirtualMachine& vm) {
  const bool started =
      domain.state == DomainState::kRunning || domain.state == DomainState::kPaused;
  const auto add = [&](v1::ResourceKind kind, int64_t now) {
    v1::AppliedAllocation* applied = vm.add_applied_allocations();
    applied->set_kind(kind);
    applied->set_actual_quantity(started ? now : 0);
    applied->set_pending(started && QuantityOf(vm.allocations(), kind) != now);
  };
  add(v1::RESOURCE_KIND_MEMORY, domain.memory_mib);
  add(v1::RESOURCE_KIND_PROCESSOR, domain.spec.cpu_count);
}

}  // namespace virmo::vm_controller
