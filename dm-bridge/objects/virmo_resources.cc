// SPDX-License-Identifier: Apache-2.0
// `./VirMO/VMs/<x>/Resources`: what a virtual machine may have, and has (VirMO-HLF-05).

#include <utility>

#include "absl/strings/str_cat.h"
#include "dm-bridge/objects/invoke.h"
#include "dm-bridge/objects/request_id.h"
#include "dm-bridge/objects/virmo.h"
#include "dm-bridge/tree/value.h"
#include "services/runtime/error.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {
namespace {

using Machine = v1::VirtualMachine;
using Field = int64_t (v1::Allocation::*)() const;

constexpr int kStaleRetries = 3;

template <typename Allocations>
const v1::Allocation* Find(const Allocations& allocations, v1::ResourceKind kind) {
  for (const v1::Allocation& allocation : allocations) {
    if (allocation.kind() == kind) return &allocation;
  }
  return nullptr;
}

// What is asked for, as policy-engine has it; as it was made, if that has no record.
absl::StatusOr<v1::Allocation> Asked(DeviceView& view, const std::string& id,
                                     v1::ResourceKind kind) {
  ASSIGN_OR_RETURN(const DeviceView::Policy status, view.GetPolicy(id));
  if (status != nullptr) {
    const v1::Allocation* asked = Find(status->policy().allocations(), kind);
    if (asked != nullptr) return *asked;
  }
  ASSIGN_OR_RETURN(const DeviceView::Machine vm, view.GetMachine(id));
  const v1::Allocation* made_with = Find(vm->allocations(), kind);
  return made_with == nullptr ? v1::Allocation() : *made_with;
}

// How one leaf reads and changes an allocation.
struct AllocationField {
  v1::ResourceKind kind;
  std::function<int64_t(const v1::Allocation&)> get;
  std::function<void(v1::Allocation&, int64_t)> set;
  // Bounds of a value; policy-engine checks further.
  int64_t minimum = 0;
  int64_t maximum = INT32_MAX;
};

absl::Status CheckRange(DeviceView& view, const AllocationField& field, bool quantity,
                        int64_t value) {
  int64_t minimum = field.minimum;
  int64_t maximum = field.maximum;
  if (quantity) {
    ASSIGN_OR_RETURN(const v1::ListAllocationCapabilitiesResponse all, view.GetCapabilities());
    for (const v1::AllocationCapabilities& capabilities : all.capabilities()) {
      if (capabilities.kind() != field.kind) continue;
      minimum = std::max(minimum, capabilities.minimum());
      if (capabilities.maximum() > 0) maximum = std::min(maximum, capabilities.maximum());
    }
  }
  if (value >= minimum && value <= maximum) return absl::OkStatus();
  return Error(v1::ErrorInfo::REASON_POLICY_FORBIDS,
               absl::StrCat(value, " is not within ", minimum, " to ", maximum));
}

absl::Status SetAllocation(DeviceView& view, const Call& call, const AllocationField& field,
                           int64_t value) {
  v1::GetPolicyRequest get;
  get.set_virtual_machine(VirtualMachineName(call.names[0]));
  ASSIGN_OR_RETURN(const v1::PolicyStatus status,
                   Invoke(view.policies(), &v1::PolicyService::Stub::GetPolicy, get));
  v1::SetAllocationsRequest request;
  request.set_virtual_machine(get.virtual_machine());
  v1::Allocation& allocation = *request.add_allocations();
  const v1::Allocation* asked = Find(status.policy().allocations(), field.kind);
  if (asked != nullptr) allocation = *asked;
  allocation.set_kind(field.kind);
  RETURN_IF_ERROR(CheckExpected(call, IntText(field.get(allocation))));
  const bool had_own_reservation =
      allocation.reservation() != 0 && allocation.reservation() != allocation.virtual_quantity();
  field.set(allocation, value);
  // A reservation that just meant "all of it" follows the quantity.
  if (!had_own_reservation && field.kind == v1::RESOURCE_KIND_MEMORY) {
    allocation.clear_reservation();
  }
  request.set_etag(status.etag());
  return Invoke(view.policies(), &v1::PolicyService::Stub::SetAllocations, request).status();
}

absl::Status Write(DeviceView& view, const Call& call, const AllocationField& field,
                   bool quantity) {
  ASSIGN_OR_RETURN(const int64_t value, ParseInt(call.value));
  RETURN_IF_ERROR(CheckRange(view, field, quantity, value));
  view.OnWrite(call.names[0]);
  absl::Status written;
  for (int i = 0; i < kStaleRetries; ++i) {
    written = SetAllocation(view, call, field, value);
    if (written.ok() || ReasonOf(written) != v1::ErrorInfo::REASON_STALE_ETAG) break;
  }
  return written;
}

NodeType AllocationLeaf(DeviceView& view, const std::string& path, AllocationField field,
                        bool quantity) {
  NodeType node{
      .path = "VMs/*/Resources/" + path, .format = Format::kInt, .access = kGet | kReplace};
  node.read = [&view, field](const Call& call) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(const v1::Allocation asked, Asked(view, call.names[0], field.kind));
    return IntText(field.get(asked));
  };
  node.write = [&view, field, quantity](const Call& call) {
    return Write(view, call, field, quantity);
  };
  return node;
}

AllocationField QuantityOf(v1::ResourceKind kind) {
  return {.kind = kind,
          .get = [](const v1::Allocation& asked) { return asked.virtual_quantity(); },
          .set = [](v1::Allocation& asked, int64_t value) { asked.set_virtual_quantity(value); },
          .minimum = 1};
}

AllocationField CpuWeight() {
  return {.kind = v1::RESOURCE_KIND_PROCESSOR,
          .get = [](const v1::Allocation& asked) -> int64_t {
            return asked.weight() == 0 ? 100 : asked.weight();
          },
          .set = [](v1::Allocation& asked,
                    int64_t value) { asked.set_weight(static_cast<int32_t>(value)); },
          .minimum = 1,
          .maximum = 10000};
}

AllocationField CpuLimit() {
  return {.kind = v1::RESOURCE_KIND_PROCESSOR,
          .get = [](const v1::Allocation& asked) { return asked.limit(); },
          .set = [](v1::Allocation& asked, int64_t value) { asked.set_limit(value); }};
}

// A field of one direction of the network's rates.
AllocationField NetworkRate(bool inbound, int64_t (v1::NetworkRates::Rate::*get)() const,
                            void (v1::NetworkRates::Rate::*set)(int64_t)) {
  return {.kind = v1::RESOURCE_KIND_NETWORK,
          .get =
              [inbound, get](const v1::Allocation& asked) {
                const v1::NetworkRates& rates = asked.network();
                return ((inbound ? rates.inbound() : rates.outbound()).*get)();
              },
          .set =
              [inbound, set](v1::Allocation& asked, int64_t value) {
                v1::NetworkRates& rates = *asked.mutable_network();
                ((inbound ? *rates.mutable_inbound() : *rates.mutable_outbound()).*set)(value);
              }};
}

void AddNetworkNodes(DeviceView& view, std::vector<NodeType>& nodes) {
  using Rate = v1::NetworkRates::Rate;
  nodes.push_back({.path = "VMs/*/Resources/Network"});
  for (const bool inbound : {true, false}) {
    const std::string prefix = inbound ? "Network/In" : "Network/Out";
    const auto add = [&](const char* name, auto get, auto set) {
      nodes.push_back(AllocationLeaf(view, prefix + name, NetworkRate(inbound, get, set), false));
    };
    add("Average", &Rate::average_kbps, &Rate::set_average_kbps);
    add("Peak", &Rate::peak_kbps, &Rate::set_peak_kbps);
    add("Burst", &Rate::burst_kib, &Rate::set_burst_kib);
  }
}

// What this host cannot enforce, with the reasons; empty if it can all that is asked.
std::string NotEnforceable(const Machine& vm) {
  std::string text;
  for (const v1::AppliedAllocation& applied : vm.applied_allocations()) {
    for (const v1::AppliedSetting& setting : applied.settings()) {
      if (setting.enforceable()) continue;
      absl::StrAppend(&text, text.empty() ? "" : "; ", setting.setting(), ": ", setting.detail());
    }
  }
  return text;
}

NodeType MemoryBound(DeviceView& view, const std::string& path, bool upper) {
  NodeType node{.path = "VMs/*/Resources/RAM/" + path, .format = Format::kInt};
  node.read = [&view, upper](const Call&) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(const v1::ListAllocationCapabilitiesResponse all, view.GetCapabilities());
    for (const v1::AllocationCapabilities& memory : all.capabilities()) {
      if (memory.kind() != v1::RESOURCE_KIND_MEMORY) continue;
      return IntText(upper ? memory.maximum() : memory.minimum());
    }
    return IntText(0);
  };
  return node;
}

// 0 when it holds none: stopped or suspended (VirMO-HLF-12).
std::string MemoryUsed(const Machine& vm) {
  const bool holds = vm.state() != Machine::STATE_STOPPED && vm.state() != Machine::STATE_SUSPENDED;
  for (const v1::AppliedAllocation& applied : vm.applied_allocations()) {
    if (holds && applied.kind() == v1::RESOURCE_KIND_MEMORY) {
      return IntText(applied.actual_quantity());
    }
  }
  return IntText(0);
}

std::string StorageSize(const Machine& vm) {
  int64_t size = 0;
  for (const Machine::Disk& disk : vm.disks()) size += disk.capacity_mib();
  return IntText(size);
}

std::string StorageUsed(const Machine& vm) {
  int64_t used = 0;
  for (const Machine::Disk& disk : vm.disks()) used += disk.allocation_mib();
  return IntText(used);
}

std::string Pending(const Machine& vm) {
  for (const v1::AppliedAllocation& applied : vm.applied_allocations()) {
    if (applied.pending()) return BoolText(true);
  }
  return BoolText(false);
}

}  // namespace

std::vector<NodeType> MachineResourceNodes(DeviceView& view) {
  const std::string root = "VMs/*/Resources";
  std::vector<NodeType> nodes;
  for (const char* path : {"", "/RAM", "/CPU", "/Storage"}) nodes.push_back({.path = root + path});
  nodes.push_back(AllocationLeaf(view, "RAM/Size", QuantityOf(v1::RESOURCE_KIND_MEMORY), true));
  nodes.push_back(MemoryBound(view, "Min", false));
  nodes.push_back(MemoryBound(view, "Max", true));
  nodes.push_back(MachineLeaf(view, root + "/RAM/Used", Format::kInt, MemoryUsed));
  nodes.push_back(AllocationLeaf(view, "CPU/Count", QuantityOf(v1::RESOURCE_KIND_PROCESSOR), true));
  nodes.push_back(AllocationLeaf(view, "CPU/Shares", CpuWeight(), false));
  nodes.push_back(AllocationLeaf(view, "CPU/Limit", CpuLimit(), false));
  nodes.push_back(MachineLeaf(view, root + "/Storage/Size", Format::kInt, StorageSize));
  nodes.push_back(MachineLeaf(view, root + "/Storage/Used", Format::kInt, StorageUsed));
  AddNetworkNodes(view, nodes);
  nodes.push_back(MachineLeaf(view, root + "/Pending", Format::kBool, Pending));
  nodes.push_back({.path = root + "/Ext"});
  nodes.push_back(MachineLeaf(view, root + "/Ext/NotEnforceable", Format::kChr, NotEnforceable));
  return nodes;
}

}  // namespace virmo::dm_bridge
