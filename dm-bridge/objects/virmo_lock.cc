// SPDX-License-Identifier: Apache-2.0
// `./VirMO/VMs/<x>/Lock`: whether a virtual machine is locked, and how (VirMO-HLF-14, 15).

#include <utility>

#include "absl/strings/str_cat.h"
#include "dm-bridge/objects/invoke.h"
#include "dm-bridge/objects/request_id.h"
#include "dm-bridge/objects/virmo.h"
#include "dm-bridge/tree/dm_error.h"
#include "dm-bridge/tree/value.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {
namespace {

constexpr int kLocked = 10;
constexpr int kUnlocked = 30;

// Without a record it counts as locked: the record was lost, not the lock.
absl::StatusOr<v1::Lock> LockOf(DeviceView& view, const std::string& id) {
  ASSIGN_OR_RETURN(const DeviceView::Policy status, view.GetPolicy(id));
  if (status != nullptr) return status->policy().lock();
  v1::Lock lock;
  lock.set_locked(true);
  lock.set_locked_by("policy-engine");
  return lock;
}

int ModeOf(const v1::Lock& lock) {
  const bool unset = lock.mode() == v1::Lock::MODE_UNSPECIFIED;
  return unset ? v1::Lock::MODE_ISOLATE_AND_PAUSE : lock.mode();
}

NodeType LockLeaf(DeviceView& view, const std::string& name, Format format,
                  std::function<std::string(const v1::Lock&)> value) {
  NodeType node{.path = "VMs/*/Lock/" + name, .format = format};
  node.read = [&view, value = std::move(value)](const Call& call) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(const v1::Lock lock, LockOf(view, call.names[0]));
    return value(lock);
  };
  return node;
}

// Only there while it is locked.
NodeType WhileLocked(DeviceView& view, NodeType node) {
  node.present = [&view](const Call& call) -> absl::StatusOr<bool> {
    ASSIGN_OR_RETURN(const v1::Lock lock, LockOf(view, call.names[0]));
    return lock.locked();
  };
  return node;
}

// policy-engine takes no etag here: who comes between reading and writing is not noticed.
absl::Status CheckUnchanged(DeviceView& view, const Call& call, const std::string& field) {
  if (!call.expected) return absl::OkStatus();
  v1::GetPolicyRequest get;
  get.set_virtual_machine(VirtualMachineName(call.names[0]));
  ASSIGN_OR_RETURN(const v1::PolicyStatus status,
                   Invoke(view.policies(), &v1::PolicyService::Stub::GetPolicy, get));
  const v1::Lock& lock = status.policy().lock();
  return CheckExpected(call, field == "mode" ? IntText(ModeOf(lock)) : lock.reason());
}

absl::Status Update(DeviceView& view, const Call& call, v1::Lock lock, const char* field) {
  RETURN_IF_ERROR(CheckUnchanged(view, call, field));
  v1::UpdateLockSettingsRequest request;
  request.set_virtual_machine(VirtualMachineName(call.names[0]));
  *request.mutable_lock() = std::move(lock);
  request.mutable_update_mask()->add_paths(field);
  request.set_request_id(RequestIdOf(call));
  view.OnWrite(call.names[0]);
  return Invoke(view.policies(), &v1::PolicyService::Stub::UpdateLockSettings, request).status();
}

NodeType ModeLeaf(DeviceView& view) {
  NodeType node = LockLeaf(view, "Mode", Format::kInt,
                           [](const v1::Lock& lock) { return IntText(ModeOf(lock)); });
  node.access = kGet | kReplace;
  node.write = [&view](const Call& call) -> absl::Status {
    ASSIGN_OR_RETURN(const int64_t mode, ParseInt(call.value));
    if (mode == 0 || !v1::Lock::Mode_IsValid(static_cast<int>(mode))) {
      return DmError(syncml::StatusCode::kBadRequest, "Mode is 10, 20 or 30");
    }
    v1::Lock lock;
    lock.set_mode(static_cast<v1::Lock::Mode>(mode));
    return Update(view, call, lock, "mode");
  };
  return node;
}

NodeType ReasonLeaf(DeviceView& view) {
  NodeType node =
      LockLeaf(view, "Reason", Format::kChr, [](const v1::Lock& lock) { return lock.reason(); });
  node.access = kGet | kReplace;
  node.write = [&view](const Call& call) {
    v1::Lock lock;
    lock.set_reason(call.value);
    return Update(view, call, lock, "reason");
  };
  return node;
}

}  // namespace

std::vector<NodeType> MachineLockNodes(DeviceView& view) {
  std::vector<NodeType> nodes = {{.path = "VMs/*/Lock"}};
  nodes.push_back(LockLeaf(view, "State", Format::kInt, [](const v1::Lock& lock) {
    return IntText(lock.locked() ? kLocked : kUnlocked);
  }));
  nodes.push_back(ModeLeaf(view));
  nodes.push_back(
      WhileLocked(view, LockLeaf(view, "LockedBy", Format::kChr,
                                 [](const v1::Lock& lock) { return lock.locked_by(); })));
  nodes.push_back(ReasonLeaf(view));
  nodes.push_back(WhileLocked(view, LockLeaf(view, "Since", Format::kChr, [](const v1::Lock& lock) {
                                return IsoTime(lock.since());
                              })));
  return nodes;
}

}  // namespace virmo::dm_bridge
