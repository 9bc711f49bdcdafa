// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/allocation_rules.h"

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"

namespace virmo::policy_engine {
namespace {

std::string PrimordialPoolOf(v1::ResourceKind kind) {
  if (kind == v1::RESOURCE_KIND_MEMORY) return "pools/memory";
  if (kind == v1::RESOURCE_KIND_PROCESSOR) return "pools/processor";
  return "";
}

absl::Status CheckPool(const v1::Allocation& allocation, const std::string& field) {
  if (allocation.pool().empty() || allocation.pool() == PrimordialPoolOf(allocation.kind())) {
    return absl::OkStatus();
  }
  if (allocation.pool() == "pools/memory" || allocation.pool() == "pools/processor") {
    return InvalidField(absl::StrCat(field, ".pool"),
                        absl::StrCat(allocation.pool(), " is a pool of another kind"));
  }
  return Error(v1::ErrorInfo::REASON_NOT_FOUND,
               absl::StrCat("there is no pool ", allocation.pool()), {{"pool", allocation.pool()}});
}

absl::Status CheckQuantity(const v1::Allocation& allocation, const std::string& field) {
  const bool memory = allocation.kind() == v1::RESOURCE_KIND_MEMORY;
  // Rates may be all that is asked of storage and network.
  const bool rates = allocation.kind() == v1::RESOURCE_KIND_STORAGE ||
                     allocation.kind() == v1::RESOURCE_KIND_NETWORK;
  const int64_t minimum = memory ? kMinMemoryMib : rates ? 0 : 1;
  if (allocation.virtual_quantity() < minimum) {
    return InvalidField(absl::StrCat(field, ".virtual_quantity"),
                        absl::StrCat(allocation.virtual_quantity(), " is less than ", minimum));
  }
  // 1 << 40 MiB, CPUs or kbit/s: keeps every sum far from overflow.
  if (allocation.virtual_quantity() > (int64_t{1} << 40)) {
    return InvalidField(absl::StrCat(field, ".virtual_quantity"),
                        absl::StrCat(allocation.virtual_quantity(), " is too large"));
  }
  return absl::OkStatus();
}

absl::Status CheckRates(const v1::Allocation& allocation, const std::string& field) {
  if (allocation.has_network() && allocation.kind() != v1::RESOURCE_KIND_NETWORK) {
    return InvalidField(absl::StrCat(field, ".network"), "belongs to NETWORK");
  }
  if (allocation.has_block() && allocation.kind() != v1::RESOURCE_KIND_STORAGE) {
    return InvalidField(absl::StrCat(field, ".block"), "belongs to STORAGE");
  }
  for (const v1::NetworkRates::Rate& rate :
       {allocation.network().inbound(), allocation.network().outbound()}) {
    const bool peak_below = rate.peak_kbps() > 0 && rate.peak_kbps() < rate.average_kbps();
    if (rate.average_kbps() < 0 || rate.peak_kbps() < 0 || rate.burst_kib() < 0 || peak_below) {
      return InvalidField(absl::StrCat(field, ".network"),
                          "rates must not be negative, nor a peak below its average");
    }
  }
  const v1::BlockRates& block = allocation.block();
  if (block.read_bytes_per_second() < 0 || block.write_bytes_per_second() < 0 ||
      block.read_operations_per_second() < 0 || block.write_operations_per_second() < 0) {
    return InvalidField(absl::StrCat(field, ".block"), "rates must not be negative");
  }
  return absl::OkStatus();
}

absl::Status CheckBounds(const v1::Allocation& allocation, const std::string& field) {
  const bool processor = allocation.kind() == v1::RESOURCE_KIND_PROCESSOR;
  const int64_t most = allocation.virtual_quantity() * (processor ? 100 : 1);
  if (allocation.reservation() < 0 || allocation.reservation() > most) {
    return InvalidField(absl::StrCat(field, ".reservation"),
                        absl::StrCat(allocation.reservation(), " is not from 0 to ", most,
                                     ", what virtual_quantity can use"));
  }
  if (allocation.limit() < 0 ||
      (allocation.limit() > 0 && allocation.limit() < allocation.reservation())) {
    return InvalidField(absl::StrCat(field, ".limit"),
                        absl::StrCat(allocation.limit(), " is below the reservation of ",
                                     allocation.reservation()));
  }
  if (allocation.weight() < 0 || allocation.weight() > kMaxWeight) {
    return InvalidField(absl::StrCat(field, ".weight"),
                        absl::StrCat(allocation.weight(), " is not from 0 to ", kMaxWeight));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckAllocations(const Allocations& allocations) {
  std::set<v1::ResourceKind> kinds;
  for (int i = 0; i < allocations.size(); ++i) {
    const v1::Allocation& allocation = allocations[i];
    const std::string field = absl::StrCat("allocations[", i, "]");
    if (allocation.kind() == v1::RESOURCE_KIND_UNSPECIFIED ||
        !v1::ResourceKind_IsValid(allocation.kind())) {
      return InvalidField(absl::StrCat(field, ".kind"), "is not a kind of resource");
    }
    if (!kinds.insert(allocation.kind()).second) {
      return InvalidField(absl::StrCat(field, ".kind"), "is given twice");
    }
    RETURN_IF_ERROR(CheckQuantity(allocation, field));
    RETURN_IF_ERROR(CheckRates(allocation, field));
    RETURN_IF_ERROR(CheckBounds(allocation, field));
    RETURN_IF_ERROR(CheckPool(allocation, field));
  }
  return absl::OkStatus();
}

void MergeAllocations(const Allocations& changes, Allocations& allocations) {
  for (const v1::Allocation& change : changes) {
    bool found = false;
    for (v1::Allocation& allocation : allocations) {
      if (allocation.kind() != change.kind()) continue;
      allocation = change;
      found = true;
    }
    if (!found) *allocations.Add() = change;
  }
}

void AddDefaults(Allocations& allocations) {
  const auto add = [&](v1::ResourceKind kind, int64_t quantity) {
    if (AllocationOf(allocations, kind).kind() == kind) return;
    v1::Allocation& allocation = *allocations.Add();
    allocation.set_kind(kind);
    allocation.set_virtual_quantity(quantity);
  };
  add(v1::RESOURCE_KIND_MEMORY, kDefaultMemoryMib);
  add(v1::RESOURCE_KIND_PROCESSOR, kDefaultVirtualCpus);
}

const v1::Allocation& AllocationOf(const Allocations& allocations, v1::ResourceKind kind) {
  for (const v1::Allocation& allocation : allocations) {
    if (allocation.kind() == kind) return allocation;
  }
  return v1::Allocation::default_instance();
}

int64_t AskedOf(const v1::Allocation& allocation) {
  const bool all = allocation.kind() == v1::RESOURCE_KIND_MEMORY && allocation.reservation() == 0;
  return all ? allocation.virtual_quantity() : allocation.reservation();
}

}  // namespace virmo::policy_engine
