// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/transfer_rules.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "policy-engine/allocation_rules.h"
#include "policy-engine/pools.h"
#include "services/runtime/error.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"

namespace virmo::policy_engine {
namespace {

// A larger amount would overflow what it is added to.
constexpr int64_t kMaxAmount = int64_t{1} << 40;

v1::Allocation& Mutable(Record& record, v1::ResourceKind kind) {
  Allocations& allocations = *record.status.mutable_policy()->mutable_allocations();
  for (v1::Allocation& allocation : allocations) {
    if (allocation.kind() == kind) return allocation;
  }
  v1::Allocation& allocation = *allocations.Add();
  allocation.set_kind(kind);
  return allocation;
}

const v1::Allocation& Of(const Record& record, v1::ResourceKind kind) {
  return AllocationOf(record.status.policy().allocations(), kind);
}

const v1::AppliedAllocation* AppliedOf(const std::optional<v1::InventoryItem>& item,
                                       v1::ResourceKind kind) {
  if (!item) return nullptr;
  for (const v1::AppliedAllocation& applied : item->applied()) {
    if (applied.kind() == kind) return &applied;
  }
  return nullptr;
}

absl::Status TooMuch(const Record& record, absl::string_view what, int64_t has, int64_t keeps,
                     int64_t asked) {
  return Error(v1::ErrorInfo::REASON_POLICY_FORBIDS,
               absl::StrCat(VirtualMachineName(record.id), " cannot give ", asked, " of its ", has,
                            " ", what, ": it keeps at least ", keeps),
               {{"asked", absl::StrCat(asked)}, {"minimum", absl::StrCat(keeps)}});
}

absl::Status NoLimit(const Record& record, absl::string_view what) {
  return Error(v1::ErrorInfo::REASON_NOT_SUPPORTED,
               absl::StrCat(VirtualMachineName(record.id), " has no ", what,
                            " that a part could be moved of"));
}

absl::Status CheckQuantityOfDonor(const Record& record, v1::ResourceKind kind,
                                  absl::string_view what, int64_t least, int64_t asked) {
  if (asked == 0) return absl::OkStatus();
  const v1::Allocation& has = Of(record, kind);
  const bool processor = kind == v1::RESOURCE_KIND_PROCESSOR;
  const int64_t reserved = processor ? (has.reservation() + 99) / 100 : has.reservation();
  const int64_t keeps = std::max({least, has.minimum(), reserved});
  if (has.virtual_quantity() - asked >= keeps) return absl::OkStatus();
  return TooMuch(record, what, has.virtual_quantity(), keeps, asked);
}

absl::Status CheckQuantityOfReceiver(const Record& record, v1::ResourceKind kind,
                                     absl::string_view what, int64_t asked) {
  const v1::Allocation& has = Of(record, kind);
  if (asked == 0 || has.maximum() == 0 || has.virtual_quantity() + asked <= has.maximum()) {
    return absl::OkStatus();
  }
  return Error(
      v1::ErrorInfo::REASON_POLICY_FORBIDS,
      absl::StrCat(VirtualMachineName(record.id), " would have ", has.virtual_quantity() + asked,
                   " ", what, "; at most ", has.maximum(), " are allowed"),
      {{"maximum", absl::StrCat(has.maximum())}});
}

// Quota that no disk has taken.
absl::Status CheckStorage(const Record& record, const std::optional<v1::InventoryItem>& item,
                          int64_t asked) {
  if (asked == 0) return absl::OkStatus();
  const v1::Allocation& quota = Of(record, v1::RESOURCE_KIND_STORAGE);
  if (quota.virtual_quantity() == 0) return NoLimit(record, "storage quota");
  const v1::AppliedAllocation* used = AppliedOf(item, v1::RESOURCE_KIND_STORAGE);
  if (used == nullptr || quota.virtual_quantity() - asked < used->actual_quantity()) {
    return Error(v1::ErrorInfo::REASON_NOT_SUPPORTED,
                 absl::StrCat("a disk of ", VirtualMachineName(record.id),
                              " would have to shrink: its quota is ", quota.virtual_quantity(),
                              " MiB, its disks have ",
                              used == nullptr ? std::string("an unknown size")
                                              : absl::StrCat(used->actual_quantity(), " MiB")));
  }
  return absl::OkStatus();
}

absl::Status CheckLimit(const Record& record, absl::string_view what, int64_t has, int64_t least,
                        int64_t asked, bool gives) {
  if (asked == 0) return absl::OkStatus();
  if (has == 0) return NoLimit(record, what);
  if (!gives || has - asked >= std::max<int64_t>(least, 1)) return absl::OkStatus();
  return TooMuch(record, what, has, std::max<int64_t>(least, 1), asked);
}

absl::Status CheckLimits(const Record& record, const v1::Transfer& transfer, bool gives) {
  const v1::Allocation& cpu = Of(record, v1::RESOURCE_KIND_PROCESSOR);
  const v1::NetworkRates& network = Of(record, v1::RESOURCE_KIND_NETWORK).network();
  RETURN_IF_ERROR(
      CheckLimit(record, "CPU limit", cpu.limit(), cpu.reservation(), transfer.cpu_limit(), gives));
  RETURN_IF_ERROR(CheckLimit(record, "inbound network rate", network.inbound().average_kbps(), 1,
                             transfer.network_in_kbps(), gives));
  return CheckLimit(record, "outbound network rate", network.outbound().average_kbps(), 1,
                    transfer.network_out_kbps(), gives);
}

bool Holds(const std::optional<v1::InventoryItem>& item) {
  return item && HoldsResources(item->state());
}

// The quantity of `kind` must really be what is asked, or on the right side of it.
std::string QuantityNotInForce(const Record& record, const std::optional<v1::InventoryItem>& item,
                               v1::ResourceKind kind, absl::string_view what, Direction direction) {
  const v1::AppliedAllocation* applied = AppliedOf(item, kind);
  const int64_t asked = Of(record, kind).virtual_quantity();
  if (applied == nullptr) return absl::StrCat("its ", what, " is not reported");
  const bool there = direction == Direction::kTakeAway ? applied->actual_quantity() <= asked
                                                       : applied->actual_quantity() >= asked;
  if (there) return "";
  return absl::StrCat("it has ", applied->actual_quantity(), " ", what, ", not ", asked,
                      applied->detail().empty() ? "" : ": ", applied->detail());
}

std::string SettingNotInForce(const std::optional<v1::InventoryItem>& item, v1::ResourceKind kind,
                              absl::string_view name, int64_t asked) {
  const v1::AppliedAllocation* applied = AppliedOf(item, kind);
  if (applied != nullptr) {
    for (const v1::AppliedSetting& setting : applied->settings()) {
      if (setting.setting() != name) continue;
      if (setting.enforceable() && setting.asked() == asked && setting.applied() == asked) {
        return "";
      }
      return absl::StrCat("its ", name, " is ", setting.applied(), ", not ", asked,
                          setting.detail().empty() ? "" : ": ", setting.detail());
    }
  }
  return absl::StrCat("its ", name, " is not reported to be in force");
}

}  // namespace

absl::Status CheckTransfer(const v1::Transfer& transfer) {
  RETURN_IF_ERROR(VirtualMachineId(transfer.from(), "transfer.from").status());
  RETURN_IF_ERROR(VirtualMachineId(transfer.to(), "transfer.to").status());
  if (transfer.from() == transfer.to()) {
    return InvalidField("transfer.to", "is the donor itself");
  }
  const std::vector<int64_t> amounts = {transfer.memory_mib(),       transfer.cpu_count(),
                                        transfer.cpu_limit(),        transfer.network_in_kbps(),
                                        transfer.network_out_kbps(), transfer.storage_mib()};
  for (const int64_t amount : amounts) {
    if (amount < 0 || amount > kMaxAmount) {
      return InvalidField("transfer", absl::StrCat(amount, " is not an amount that can be moved"));
    }
  }
  if (std::all_of(amounts.begin(), amounts.end(), [](int64_t amount) { return amount == 0; })) {
    return InvalidField("transfer", "moves nothing");
  }
  return absl::OkStatus();
}

absl::Status CheckDonor(const Record& record, const std::optional<v1::InventoryItem>& item,
                        const v1::Transfer& transfer) {
  RETURN_IF_ERROR(CheckQuantityOfDonor(record, v1::RESOURCE_KIND_MEMORY, "MiB of memory",
                                       kMinMemoryMib, transfer.memory_mib()));
  RETURN_IF_ERROR(CheckQuantityOfDonor(record, v1::RESOURCE_KIND_PROCESSOR, "virtual CPUs", 1,
                                       transfer.cpu_count()));
  RETURN_IF_ERROR(CheckStorage(record, item, transfer.storage_mib()));
  return CheckLimits(record, transfer, true);
}

absl::Status CheckReceiver(const Record& record, const v1::Transfer& transfer) {
  RETURN_IF_ERROR(CheckQuantityOfReceiver(record, v1::RESOURCE_KIND_MEMORY, "MiB of memory",
                                          transfer.memory_mib()));
  RETURN_IF_ERROR(CheckQuantityOfReceiver(record, v1::RESOURCE_KIND_PROCESSOR, "virtual CPUs",
                                          transfer.cpu_count()));
  RETURN_IF_ERROR(CheckQuantityOfReceiver(record, v1::RESOURCE_KIND_STORAGE, "MiB of storage",
                                          transfer.storage_mib()));
  if (transfer.storage_mib() > 0 && Of(record, v1::RESOURCE_KIND_STORAGE).virtual_quantity() == 0) {
    return NoLimit(record, "storage quota");
  }
  return CheckLimits(record, transfer, false);
}

void Move(const v1::Transfer& transfer, Direction direction, Record& record) {
  const int64_t sign = direction == Direction::kAdd ? 1 : -1;
  const auto add_quantity = [&](v1::ResourceKind kind, int64_t amount) {
    if (amount == 0) return;
    v1::Allocation& has = Mutable(record, kind);
    has.set_virtual_quantity(has.virtual_quantity() + sign * amount);
  };
  add_quantity(v1::RESOURCE_KIND_MEMORY, transfer.memory_mib());
  add_quantity(v1::RESOURCE_KIND_PROCESSOR, transfer.cpu_count());
  add_quantity(v1::RESOURCE_KIND_STORAGE, transfer.storage_mib());
  if (transfer.cpu_limit() != 0) {
    v1::Allocation& cpu = Mutable(record, v1::RESOURCE_KIND_PROCESSOR);
    cpu.set_limit(cpu.limit() + sign * transfer.cpu_limit());
  }
  const auto add_rate = [&](v1::NetworkRates::Rate& rate, int64_t amount) {
    rate.set_average_kbps(rate.average_kbps() + sign * amount);
  };
  if (transfer.network_in_kbps() != 0) {
    add_rate(*Mutable(record, v1::RESOURCE_KIND_NETWORK).mutable_network()->mutable_inbound(),
             transfer.network_in_kbps());
  }
  if (transfer.network_out_kbps() != 0) {
    add_rate(*Mutable(record, v1::RESOURCE_KIND_NETWORK).mutable_network()->mutable_outbound(),
             transfer.network_out_kbps());
  }
}

std::string NotInForce(const Record& record, const std::optional<v1::InventoryItem>& item,
                       const v1::Transfer& transfer, Direction direction) {
  if (!Holds(item)) return record.status.holds_resources() ? "it is about to run" : "";
  if (item->policy_version() < record.status.policy().version()) {
    return "the controller has not taken its policy yet";
  }
  std::vector<std::string> open;
  if (transfer.memory_mib() != 0) {
    open.push_back(
        QuantityNotInForce(record, item, v1::RESOURCE_KIND_MEMORY, "MiB of memory", direction));
  }
  if (transfer.cpu_count() != 0) {
    open.push_back(
        QuantityNotInForce(record, item, v1::RESOURCE_KIND_PROCESSOR, "virtual CPUs", direction));
  }
  if (transfer.cpu_limit() != 0) {
    open.push_back(SettingNotInForce(item, v1::RESOURCE_KIND_PROCESSOR, "limit",
                                     Of(record, v1::RESOURCE_KIND_PROCESSOR).limit()));
  }
  const v1::NetworkRates& network = Of(record, v1::RESOURCE_KIND_NETWORK).network();
  if (transfer.network_in_kbps() != 0) {
    open.push_back(SettingNotInForce(item, v1::RESOURCE_KIND_NETWORK, "inbound",
                                     network.inbound().average_kbps()));
  }
  if (transfer.network_out_kbps() != 0) {
    open.push_back(SettingNotInForce(item, v1::RESOURCE_KIND_NETWORK, "outbound",
                                     network.outbound().average_kbps()));
  }
  for (const std::string& one : open) {
    if (!one.empty()) return one;
  }
  return "";
}

}  // namespace virmo::policy_engine
