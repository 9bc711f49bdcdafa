// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/resources/resources.h"

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "services/runtime/error.h"
#include "vm-controller/allocation.h"
#include "vm-controller/resources/traffic_control.h"

namespace virmo::vm_controller {
namespace {

using v1::AppliedItem;

constexpr int64_t kDefaultWeight = 100;
// A guest that has not moved its balloon by then will not.
constexpr absl::Duration kBalloonTimeout = absl::Seconds(30);
constexpr int64_t kBalloonGrainMib = 1;

const v1::Allocation* Find(const v1::EffectivePolicy& policy, v1::ResourceKind kind) {
  for (const v1::Allocation& allocation : policy.allocations()) {
    if (allocation.kind() == kind) return &allocation;
  }
  return nullptr;
}

bool IsUnsupported(const absl::Status& status) {
  return ReasonOf(status) == v1::ErrorInfo::REASON_NOT_SUPPORTED;
}

bool SameRates(const v1::BlockRates& a, const v1::BlockRates& b) {
  return a.SerializeAsString() == b.SerializeAsString();
}

bool IsOwnNic(const LiveDevice& device) {
  return device.element == "interface" && !IsOurDevice(device.alias);
}

}  // namespace

// One pass over one virtual machine.
struct Resources::Work {
  const PolicySubject& subject;
  LiveResources live;
  std::vector<AppliedItem> items;
  std::vector<v1::AppliedAllocation> applied;

  v1::AppliedAllocation& Add(v1::ResourceKind kind) {
    v1::AppliedAllocation& one = applied.emplace_back();
    one.set_kind(kind);
    one.set_enforceable(true);
    one.set_enforced(true);
    return one;
  }
  // `status`: how the last attempt to set it went.
  static void AddSetting(v1::AppliedAllocation& to, const char* name, int64_t asked,
                         int64_t applied_now, const absl::Status& status,
                         const std::string& detail = "") {
    v1::AppliedSetting& setting = *to.add_settings();
    setting.set_setting(name);
    setting.set_asked(asked);
    setting.set_applied(applied_now);
    setting.set_enforceable(!IsUnsupported(status));
    setting.set_detail(status.ok() ? detail : std::string(status.message()));
    if (IsUnsupported(status)) to.set_enforceable(false);
    if (!status.ok()) {
      to.set_enforced(false);
      to.set_detail(std::string(status.message()));
    }
  }
  void Report(const char* item, const absl::Status& status, const std::string& detail = "") {
    const AppliedItem::Outcome outcome = status.ok() ? AppliedItem::OUTCOME_APPLIED
                                         : IsUnsupported(status)
                                             ? AppliedItem::OUTCOME_NOT_ENFORCEABLE
                                             : AppliedItem::OUTCOME_FAILED;
    items.push_back(
        MakeAppliedItem(item, outcome, status.ok() ? detail : std::string(status.message())));
  }
};

std::vector<AppliedItem> Resources::Enforce(const PolicySubject& subject) {
  Work work = {subject, {}, {}, {}};
  if (!subject.policy) return {};
  if (!subject.started) {
    RemoveTrafficLimits(subject.id);
    {
      MutexLock lock(mutex_);
      shaped_.erase(subject.id);
      stuck_cpus_.erase(subject.id);
      ballooning_.erase(subject.id);
    }
    parts_.machines.SetApplied(subject.id, {});
    for (const char* item : {"allocation.memory", "allocation.processor"}) {
      work.Report(item, absl::OkStatus());  // It is defined anew at each start.
    }
    return work.items;
  }
  const absl::StatusOr<LiveResources> live = parts_.port.GetResources(subject.id);
  if (IsUnsupported(live.status())) return {};  // Quantities are in force from a start on.
  if (!live.ok()) {
    for (const char* item : {"allocation.memory", "allocation.processor"}) {
      work.Report(item, live.status());
    }
    return work.items;
  }
  work.live = *live;
  Memory(work);
  Processor(work);
  Storage(work);
  Network(work);
  parts_.machines.SetApplied(subject.id, work.applied);
  return work.items;
}

void Resources::Memory(Work& work) {
  const int64_t asked = QuantityOf(work.subject.policy->allocations(), v1::RESOURCE_KIND_MEMORY);
  if (asked == 0) return;
  v1::AppliedAllocation& applied = work.Add(v1::RESOURCE_KIND_MEMORY);
  applied.set_actual_quantity(work.live.memory_mib);
  const auto reached = [&] { return std::abs(work.live.memory_mib - asked) <= kBalloonGrainMib; };
  if (reached()) {
    MutexLock lock(mutex_);
    ballooning_.erase(work.subject.id);
    Work::AddSetting(applied, "quantity", asked, work.live.memory_mib, absl::OkStatus());
    return work.Report("allocation.memory", absl::OkStatus());
  }
  applied.set_pending(true);
  if (asked > work.live.memory_max_mib) {
    const std::string why =
        absl::StrCat("in force from the next start on: it was started with room for ",
                     work.live.memory_max_mib, " MiB");
    Work::AddSetting(applied, "quantity", asked, work.live.memory_mib, absl::OkStatus(), why);
    work.items.push_back(
        MakeAppliedItem("allocation.memory", AppliedItem::OUTCOME_NOT_APPLICABLE, why));
    return;
  }
  absl::Time since;
  {
    MutexLock lock(mutex_);
    since = ballooning_.emplace(work.subject.id, absl::Now()).first->second;
  }
  absl::Status status = parts_.port.SetMemory(work.subject.id, asked);
  if (status.ok()) {
    const bool late = absl::Now() > since + kBalloonTimeout;
    status = Error(
        v1::ErrorInfo::REASON_TIMED_OUT,
        absl::StrCat("the guest has ", work.live.memory_mib, " MiB of the ", asked,
                     " MiB asked for; its balloon ", late ? "does not answer" : "is being asked"));
  }
  Work::AddSetting(applied, "quantity", asked, work.live.memory_mib, status);
  work.Report("allocation.memory", status);
}

void Resources::CpuCount(Work& work) {
  const int64_t asked = QuantityOf(work.subject.policy->allocations(), v1::RESOURCE_KIND_PROCESSOR);
  if (asked == 0 || asked == work.live.cpu_count || asked > work.live.cpu_max) return;
  {
    MutexLock lock(mutex_);
    const auto stuck = stuck_cpus_.find(work.subject.id);
    if (stuck != stuck_cpus_.end() && stuck->second == asked) return;
  }
  const absl::Status status = parts_.port.SetCpuCount(work.subject.id, static_cast<int>(asked));
  const absl::StatusOr<LiveResources> live = parts_.port.GetResources(work.subject.id);
  if (live.ok()) work.live.cpu_count = live->cpu_count;
  // A guest that keeps its CPU once will keep it: each attempt would hold the domain for seconds.
  if (!status.ok() && work.live.cpu_count != asked) {
    MutexLock lock(mutex_);
    stuck_cpus_[work.subject.id] = asked;
  }
}

void Resources::Processor(Work& work) {
  const v1::Allocation* allocation = Find(*work.subject.policy, v1::RESOURCE_KIND_PROCESSOR);
  const v1::Allocation none;
  const v1::Allocation& asked = allocation == nullptr ? none : *allocation;
  CpuCount(work);
  v1::AppliedAllocation& applied = work.Add(v1::RESOURCE_KIND_PROCESSOR);
  applied.set_actual_quantity(work.live.cpu_count);
  const bool pending =
      asked.virtual_quantity() != 0 && asked.virtual_quantity() != work.live.cpu_count;
  applied.set_pending(pending);
  const std::string why = pending ? "in force from the next start on" : "";
  if (asked.virtual_quantity() != 0) {
    Work::AddSetting(applied, "quantity", asked.virtual_quantity(), work.live.cpu_count,
                     absl::OkStatus(), why);
  }
  const int64_t weight = asked.weight() == 0 ? kDefaultWeight : asked.weight();
  absl::Status status;
  const bool weight_differs = std::abs(work.live.cpu_weight - weight) > 1;
  const bool nothing_asked = asked.weight() == 0 && asked.limit() == 0;
  const bool untouched = work.live.cpu_weight == 0 && work.live.cpu_limit == 0;
  if ((weight_differs || work.live.cpu_limit != asked.limit()) && !(nothing_asked && untouched)) {
    status = parts_.port.SetCpuShare(work.subject.id, weight, asked.limit());
    const absl::StatusOr<LiveResources> live = parts_.port.GetResources(work.subject.id);
    if (live.ok()) work.live = *live;
  }
  if (asked.limit() != 0) {
    Work::AddSetting(applied, "limit", asked.limit(), work.live.cpu_limit, status);
  }
  if (asked.weight() != 0) {
    Work::AddSetting(applied, "weight", asked.weight(), work.live.cpu_weight, status);
  }
  if (nothing_asked) status = absl::OkStatus();
  if (status.ok() && pending) {
    work.items.push_back(
        MakeAppliedItem("allocation.processor", AppliedItem::OUTCOME_NOT_APPLICABLE, why));
  } else {
    work.Report("allocation.processor", status);
  }
}

void Resources::Storage(Work& work) {
  const v1::Allocation* allocation = Find(*work.subject.policy, v1::RESOURCE_KIND_STORAGE);
  const v1::BlockRates none;
  const v1::BlockRates& asked = allocation == nullptr ? none : allocation->block();
  if (SameRates(asked, work.live.block)) {
    if (allocation == nullptr) return;
  }
  absl::Status status;
  if (!SameRates(asked, work.live.block)) {
    status = parts_.port.SetBlockRates(work.subject.id, asked);
    const absl::StatusOr<LiveResources> live = parts_.port.GetResources(work.subject.id);
    if (live.ok()) work.live = *live;
  }
  v1::AppliedAllocation& applied = work.Add(v1::RESOURCE_KIND_STORAGE);
  if (allocation != nullptr) applied.set_actual_quantity(allocation->virtual_quantity());
  const auto add = [&](int64_t wanted, int64_t now) {
    if (wanted != 0) Work::AddSetting(applied, "block", wanted, now, status);
  };
  add(asked.read_bytes_per_second(), work.live.block.read_bytes_per_second());
  add(asked.write_bytes_per_second(), work.live.block.write_bytes_per_second());
  add(asked.read_operations_per_second(), work.live.block.read_operations_per_second());
  add(asked.write_operations_per_second(), work.live.block.write_operations_per_second());
  work.Report("allocation.storage", status);
}

absl::Status Resources::Shape(Work& work, const v1::NetworkRates& rates) {
  const absl::StatusOr<std::vector<LiveDevice>> devices =
      parts_.devices.ListDevices(work.subject.id);
  if (!devices.ok()) return devices.status();
  std::vector<std::string> taps;
  bool user = false;
  for (const LiveDevice& device : *devices) {
    if (!IsOwnNic(device)) continue;
    if (device.source.empty() || device.target.empty()) {
      user = true;
    } else {
      taps.push_back(device.target);
    }
  }
  const bool limits = rates.inbound().average_kbps() > 0 || rates.outbound().average_kbps() > 0;
  const std::string wanted = absl::StrCat(absl::StrJoin(taps, " "), rates.SerializeAsString());
  {
    MutexLock lock(mutex_);
    const auto shaped = shaped_.find(work.subject.id);
    const bool same = shaped != shaped_.end() && shaped->second == wanted;
    if (same || (shaped == shaped_.end() && !limits && taps.empty())) return absl::OkStatus();
  }
  if (limits && user) {
    return Error(v1::ErrorInfo::REASON_NOT_SUPPORTED,
                 "an interface of it is QEMU's own NAT, which has no interface on the host that "
                 "could be limited; give it one on a bridge");
  }
  const absl::Status status = LimitTraffic(work.subject.id, taps, rates);
  if (!status.ok()) return status;
  MutexLock lock(mutex_);
  shaped_[work.subject.id] = wanted;
  return absl::OkStatus();
}

void Resources::Network(Work& work) {
  const v1::Allocation* allocation = Find(*work.subject.policy, v1::RESOURCE_KIND_NETWORK);
  const v1::NetworkRates none;
  const v1::NetworkRates& asked = allocation == nullptr ? none : allocation->network();
  const absl::Status status = Shape(work, asked);
  if (allocation == nullptr) return;
  v1::AppliedAllocation& applied = work.Add(v1::RESOURCE_KIND_NETWORK);
  applied.set_actual_quantity(allocation->virtual_quantity());
  const auto add = [&](const char* name, int64_t wanted) {
    if (wanted != 0) Work::AddSetting(applied, name, wanted, status.ok() ? wanted : 0, status);
  };
  add("inbound", asked.inbound().average_kbps());
  add("outbound", asked.outbound().average_kbps());
  work.Report("allocation.network", status);
}

}  // namespace virmo::vm_controller
