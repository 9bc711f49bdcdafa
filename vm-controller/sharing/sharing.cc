// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/sharing/sharing.h"

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"

namespace virmo::vm_controller {
namespace {

using v1::AppliedItem;

constexpr char kItem[] = "sharing.network";

// Those of interfaces on bridges and networks, peripherals' included.
std::vector<std::string> TapsOf(const std::vector<LiveDevice>& devices) {
  std::vector<std::string> taps;
  for (const LiveDevice& device : devices) {
    if (device.element == "interface" && !device.source.empty() && !device.target.empty()) {
      taps.push_back(device.target);
    }
  }
  return taps;
}

v1::OperationSupport Ability(const char* operation, const char* reason) {
  v1::OperationSupport ability;
  ability.set_operation(operation);
  ability.set_supported(*reason == '\0');
  ability.set_reason(reason);
  return ability;
}

}  // namespace

std::vector<AppliedItem> Sharing::Enforce(const PolicySubject& subject) {
  if (!subject.started) {
    (void)Update(subject.id, std::nullopt);
    if (!subject.policy) return {};
    return {MakeAppliedItem(kItem, AppliedItem::OUTCOME_NOT_APPLICABLE, "it does not run")};
  }
  const absl::StatusOr<std::vector<LiveDevice>> devices = devices_.ListDevices(subject.id);
  if (ReasonOf(devices.status()) == v1::ErrorInfo::REASON_NOT_SUPPORTED) return {};
  if (!devices.ok()) {
    return {MakeAppliedItem(kItem, AppliedItem::OUTCOME_FAILED,
                            std::string(devices.status().message()))};
  }
  Member member;
  member.taps = TapsOf(*devices);
  bool opens = false;
  if (!subject.locked && subject.policy) {
    for (const v1::SharingDecision& decision : subject.policy->sharing_decisions()) {
      const absl::StatusOr<std::string> peer = VirtualMachineId(decision.peer());
      if (decision.channel() != v1::SharingRule::CHANNEL_NETWORK || !peer.ok()) continue;
      if (decision.allow_out()) member.may_send_to.insert(*peer);
      if (decision.allow_in()) member.may_hear.insert(*peer);
      opens = true;
    }
  }
  const bool isolated = member.taps.empty();
  const absl::Status status = Update(subject.id, std::move(member));
  if (!subject.policy) return {};
  if (!status.ok()) {
    return {MakeAppliedItem(kItem, AppliedItem::OUTCOME_FAILED, std::string(status.message()))};
  }
  if (isolated && opens) {
    return {MakeAppliedItem(kItem, AppliedItem::OUTCOME_NOT_ENFORCEABLE,
                            "its interfaces are QEMU's own NAT: isolated by construction")};
  }
  return {
      MakeAppliedItem(kItem, AppliedItem::OUTCOME_APPLIED,
                      isolated ? "isolated by construction: it has no interface on a bridge" : "")};
}

// The default is to drop, so the filter need only be there: what is allowed follows.
absl::Status Sharing::BeforeRun(const std::string& id) {
  const absl::StatusOr<std::vector<LiveDevice>> devices = devices_.ListDevices(id);
  if (ReasonOf(devices.status()) == v1::ErrorInfo::REASON_NOT_SUPPORTED) return absl::OkStatus();
  RETURN_IF_ERROR(devices.status());
  Member member;
  member.taps = TapsOf(*devices);
  if (member.taps.empty()) return absl::OkStatus();
  return Update(id, std::move(member));
}

absl::Status Sharing::Update(const std::string& id, std::optional<Member> member) {
  MutexLock lock(mutex_);
  if (member && !member->taps.empty()) {
    members_[id] = *std::move(member);
  } else {
    members_.erase(id);
  }
  if (members_.empty() && !set_) return absl::OkStatus();  // Nobody to keep apart yet.
  TapFlows flows = Flows();
  if (set_ == flows) return absl::OkStatus();
  RETURN_IF_ERROR(SetPacketFilter(flows));
  set_ = std::move(flows);
  return absl::OkStatus();
}

// Both must agree; their policies come one after the other.
TapFlows Sharing::Flows() {
  TapFlows flows;
  for (const auto& [id, from] : members_) {
    for (const std::string& peer : from.may_send_to) {
      const auto to = members_.find(peer);
      if (to == members_.end() || to->second.may_hear.count(id) == 0) continue;
      for (const std::string& first : from.taps) {
        for (const std::string& second : to->second.taps) flows.insert({first, second});
      }
    }
  }
  return flows;
}

std::vector<v1::OperationSupport> SharingAbilities(bool only_user_networks) {
  return {Ability("NetworkSharing", only_user_networks
                                        ? "guests' interfaces are QEMU's own NAT, which keeps them "
                                          "apart; configure a bridge or a network"
                                        : ""),
          Ability("FileSharing", "this controller makes no shared folders"),
          Ability("ClipboardSharing", "guests have no clipboard channel to each other"),
          Ability("IpcSharing", "guests have no sockets to each other")};
}

}  // namespace virmo::vm_controller
