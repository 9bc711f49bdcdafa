// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/objects/virmo.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "dm-bridge/tree/dm_error.h"
#include "dm-bridge/tree/value.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "virmo/v1/operation.pb.h"

namespace virmo::dm_bridge {
namespace {

using HostReader = std::function<std::string(const v1::Host&)>;

NodeType HostLeaf(DeviceView& view, std::string path, Format format, HostReader value) {
  NodeType node{.path = std::move(path), .format = format};
  node.read = [&view, value = std::move(value)](const Call&) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(const v1::Host host, view.GetHost());
    return value(host);
  };
  return node;
}

absl::StatusOr<v1::ResourcePool> FindPool(DeviceView& view, v1::ResourceKind kind) {
  ASSIGN_OR_RETURN(const v1::ListPoolsResponse pools, view.GetPools());
  for (const v1::ResourcePool& pool : pools.pools()) {
    if (pool.primordial() && pool.kind() == kind) return pool;
  }
  return v1::ResourcePool();
}

NodeType PoolLeaf(DeviceView& view, std::string path, v1::ResourceKind kind,
                  std::function<int64_t(const v1::ResourcePool&)> value) {
  NodeType node{.path = std::move(path), .format = Format::kInt};
  node.read = [&view, kind, value](const Call&) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(const v1::ResourcePool pool, FindPool(view, kind));
    return IntText(value(pool));
  };
  return node;
}

void AddHostResources(DeviceView& view, std::vector<NodeType>& nodes) {
  const auto reserved = [](const v1::ResourcePool& pool) { return pool.host_reserve(); };
  const auto free = [](const v1::ResourcePool& pool) { return pool.capacity() - pool.reserved(); };
  const std::string root = "Host/Resources";
  for (const char* path : {"", "/RAM", "/CPU", "/Storage"}) nodes.push_back({.path = root + path});
  nodes.push_back(HostLeaf(view, root + "/RAM/Total", Format::kInt,
                           [](const v1::Host& host) { return IntText(host.memory_total_mib()); }));
  nodes.push_back(PoolLeaf(view, root + "/RAM/Reserved", v1::RESOURCE_KIND_MEMORY, reserved));
  nodes.push_back(PoolLeaf(view, root + "/RAM/Free", v1::RESOURCE_KIND_MEMORY, free));
  nodes.push_back(HostLeaf(view, root + "/CPU/Total", Format::kInt,
                           [](const v1::Host& host) { return IntText(host.processor_total()); }));
  nodes.push_back(PoolLeaf(view, root + "/CPU/Reserved", v1::RESOURCE_KIND_PROCESSOR, reserved));
  nodes.push_back(PoolLeaf(view, root + "/CPU/Free", v1::RESOURCE_KIND_PROCESSOR, free));
  nodes.push_back(HostLeaf(view, root + "/Storage/Total", Format::kInt,
                           [](const v1::Host& host) { return IntText(host.storage_total_mib()); }));
  nodes.push_back(PoolLeaf(view, root + "/Storage/Reserved", v1::RESOURCE_KIND_STORAGE, reserved));
  nodes.push_back(HostLeaf(view, root + "/Storage/Free", Format::kInt,
                           [](const v1::Host& host) { return IntText(host.storage_free_mib()); }));
}

void AddHostCapabilities(DeviceView& view, std::vector<NodeType>& nodes) {
  nodes.push_back({.path = "Host/Capabilities"});
  NodeType one{.path = "Host/Capabilities/*", .format = Format::kBool};
  one.list = [&view](const Call&) -> absl::StatusOr<std::vector<std::string>> {
    ASSIGN_OR_RETURN(const v1::Host host, view.GetHost());
    std::vector<std::string> names;
    for (const v1::OperationSupport& support : host.operations()) {
      names.push_back(support.operation());
    }
    return names;
  };
  one.present = [list = one.list](const Call& call) -> absl::StatusOr<bool> {
    ASSIGN_OR_RETURN(const std::vector<std::string> names, list(call));
    return std::find(names.begin(), names.end(), call.names.back()) != names.end();
  };
  one.read = [&view](const Call& call) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(const v1::Host host, view.GetHost());
    for (const v1::OperationSupport& support : host.operations()) {
      if (support.operation() == call.names.back()) return BoolText(support.supported());
    }
    return BoolText(false);
  };
  nodes.push_back(std::move(one));
}

NodeType ConfigLeaf(SettingsStore& settings, const std::string& name, Format format,
                    const std::string& otherwise) {
  NodeType node{.path = "Config/" + name, .format = format, .access = kGet | kReplace};
  node.read = [&settings, name, otherwise](const Call&) { return settings.Get(name, otherwise); };
  node.write = [&settings, name](const Call& call) { return settings.Set(name, call.value); };
  return node;
}

void Append(std::vector<NodeType> from, std::vector<NodeType>& to) {
  for (NodeType& node : from) to.push_back(std::move(node));
}

}  // namespace

absl::StatusOr<ExecOutcome> OutcomeOf(
    const absl::StatusOr<google::longrunning::Operation>& operation) {
  RETURN_IF_ERROR(operation.status());
  v1::OperationMetadata metadata;
  operation->metadata().UnpackTo(&metadata);
  // Also of one that has ended meanwhile: its alert tells the server, once.
  if (!operation->done() || !metadata.alert_id().empty()) return ExecOutcome::kAccepted;
  if (operation->has_error()) return FromRpc(operation->error());
  return ExecOutcome::kDone;
}

std::string IsoTime(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "";
  return absl::FormatTime("%Y%m%dT%H%M%SZ", absl::FromUnixSeconds(time.seconds()),
                          absl::UTCTimeZone());
}

std::vector<NodeType> HostNodes(DeviceView& view) {
  std::vector<NodeType> nodes = {{.path = "Host"}};
  nodes.push_back(HostLeaf(view, "Host/HypervisorType", Format::kInt,
                           [](const v1::Host& host) { return IntText(host.hypervisor_type()); }));
  nodes.push_back(HostLeaf(view, "Host/HypervisorName", Format::kChr,
                           [](const v1::Host& host) { return host.hypervisor_name(); }));
  nodes.push_back(HostLeaf(view, "Host/HypervisorVersion", Format::kChr,
                           [](const v1::Host& host) { return host.hypervisor_version(); }));
  nodes.push_back(HostLeaf(view, "Host/Arch", Format::kChr,
                           [](const v1::Host& host) { return host.architecture(); }));
  NodeType management = HostLeaf(view, "Host/MgmtVM", Format::kChr,
                                 [](const v1::Host& host) { return host.management_vm(); });
  management.present = [&view](const Call&) -> absl::StatusOr<bool> {
    ASSIGN_OR_RETURN(const v1::Host host, view.GetHost());
    return !host.management_vm().empty();
  };
  nodes.push_back(std::move(management));
  nodes.push_back(HostLeaf(view, "Host/MaxVMs", Format::kInt, [](const v1::Host& host) {
    return IntText(host.max_virtual_machines());
  }));
  AddHostResources(view, nodes);
  AddHostCapabilities(view, nodes);
  return nodes;
}

std::vector<NodeType> ConfigNodes(SettingsStore& settings) {
  NodeType timeout = ConfigLeaf(settings, "StopTimeout", Format::kInt, "60");
  timeout.write = [&settings](const Call& call) -> absl::Status {
    ASSIGN_OR_RETURN(const int64_t seconds, ParseInt(call.value));
    if (seconds < 1 || seconds > 86400) {
      return DmError(syncml::StatusCode::kForbidden, "1423 StopTimeout is 1 to 86400 seconds");
    }
    return settings.Set("StopTimeout", call.value);
  };
  std::vector<NodeType> nodes = {{.path = "Config"}};
  nodes.push_back(std::move(timeout));
  nodes.push_back(ConfigLeaf(settings, "AlertServer", Format::kChr, ""));
  nodes.push_back(ConfigLeaf(settings, "NotifyUser", Format::kBool, "false"));
  return nodes;
}

ManagementObject MakeVirmoObject(DeviceView& view, SettingsStore& settings,
                                 ProvisionStore& provisions, TransferStore& transfers) {
  ManagementObject object{.root = "VirMO", .nodes = {}};
  object.nodes.push_back({.path = "", .type = "urn:oma:mo:oma-virmo:1.0"});
  Append(HostNodes(view), object.nodes);
  Append(ConfigNodes(settings), object.nodes);
  Append(ProvisionNodes(view, provisions), object.nodes);
  Append(TransferNodes(view, transfers), object.nodes);
  Append(MachineNodes(view), object.nodes);
  Append(MachineOperationNodes(view, settings), object.nodes);
  Append(MachineResourceNodes(view), object.nodes);
  Append(MachineLockNodes(view), object.nodes);
  Append(MachineUserUnlockNodes(view), object.nodes);
  Append(MachinePeripheralNodes(view), object.nodes);
  return object;
}

}  // namespace virmo::dm_bridge
