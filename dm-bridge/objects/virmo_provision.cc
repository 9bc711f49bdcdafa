// SPDX-License-Identifier: Apache-2.0
// `./VirMO/Provision`: requests to make virtual machines (VirMO-HLF-01): their nodes. How they
// are carried out: provisioner.h.

#include <utility>

#include "absl/strings/str_cat.h"
#include "dm-bridge/objects/provisioner.h"
#include "dm-bridge/objects/virmo.h"
#include "dm-bridge/tree/value.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {
namespace {

// A node that a server makes by writing it.
NodeType StoredNode(ProvisionStore& store, const std::string& path, Format format,
                    unsigned access) {
  NodeType node{.path = "Provision/*/" + path, .format = format, .access = access};
  node.present = [&store, path](const Call& call) -> absl::StatusOr<bool> {
    ASSIGN_OR_RETURN(const auto value, store.GetLeaf(call.names[0], path));
    return value.has_value();
  };
  node.add = [&store, path](const Call& call) {
    return store.SetLeaf(call.names[0], path, call.value);
  };
  node.remove = [&store, path](const Call& call) { return store.RemoveLeaf(call.names[0], path); };
  if (format == Format::kNode) return node;
  node.write = node.add;
  node.read = [&store, path](const Call& call) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(const auto value, store.GetLeaf(call.names[0], path));
    return value.value_or("");
  };
  return node;
}

NodeType RequestNode(ProvisionStore& store, const Provisioner& provisioner) {
  NodeType node{.path = "Provision/*", .access = kGet | kAdd | kDelete | kReplace};
  node.list = [&store](const Call&) { return store.Names(); };
  node.present = [&store](const Call& call) { return store.Has(call.names[0]); };
  node.add = [&store](const Call& call) { return store.Create(call.names[0]); };
  node.remove = [&store, provisioner](const Call& call) -> absl::Status {
    ASSIGN_OR_RETURN(const ProvisionRecord record, provisioner.Read(call.names[0]));
    if (record.running()) {
      return Error(v1::ErrorInfo::REASON_WRONG_STATE, "the request is being carried out");
    }
    return store.Remove(call.names[0]);
  };
  node.rename = [&store, provisioner](const Call& call) -> absl::Status {
    ASSIGN_OR_RETURN(const ProvisionRecord record, provisioner.Read(call.names[0]));
    if (record.running()) {
      return Error(v1::ErrorInfo::REASON_WRONG_STATE, "the request is being carried out");
    }
    return store.Rename(call.names[0], call.value);
  };
  node.save = [&store](const Call& call) { return store.Save(call.names[0]); };
  node.restore = [&store](const Call& call) { return store.Restore(call.names[0], call.value); };
  return node;
}

NodeType RecordLeaf(const Provisioner& provisioner, const std::string& name, Format format,
                    std::function<std::string(const ProvisionRecord&)> value) {
  NodeType node{.path = "Provision/*/" + name, .format = format};
  node.read = [provisioner, value](const Call& call) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(const ProvisionRecord record, provisioner.Read(call.names[0]));
    return value(record);
  };
  return node;
}

NodeType VmRefLeaf(const Provisioner& provisioner) {
  NodeType node = RecordLeaf(provisioner, "VMRef", Format::kChr, [](const ProvisionRecord& record) {
    return absl::StrCat("./VirMO/VMs/", record.vm_id);
  });
  node.present = [provisioner](const Call& call) -> absl::StatusOr<bool> {
    ASSIGN_OR_RETURN(const ProvisionRecord record, provisioner.Read(call.names[0]));
    return record.status == ProvisionStatus::kProvisioned;
  };
  return node;
}

void AddStored(ProvisionStore& store, std::vector<NodeType>& nodes) {
  for (const char* name : {"PkgID", "VMID", "Name", "Description", "PkgURL", "PkgType", "Digest"}) {
    nodes.push_back(StoredNode(store, name, Format::kChr, kGet | kReplace));
  }
  nodes.push_back(StoredNode(store, "Signature", Format::kBin, kReplace));
  nodes.push_back(StoredNode(store, "SignerCert", Format::kBin, kReplace));
  nodes.push_back(StoredNode(store, "AutoStart", Format::kBool, kGet | kReplace));
  for (const char* name : {"Resources", "Resources/RAM", "Resources/CPU", "Resources/Storage"}) {
    nodes.push_back(StoredNode(store, name, Format::kNode, kGet | kAdd));
  }
  for (const char* name : {"Resources/RAM/Size", "Resources/CPU/Count", "Resources/CPU/Shares",
                           "Resources/CPU/Limit", "Resources/Storage/Size"}) {
    nodes.push_back(StoredNode(store, name, Format::kInt, kGet | kReplace));
  }
}

// What an OVF package needs to be told: a deployment option, whether its licences are accepted, and
// a leaf for each property, named by its key.
void AddOvf(ProvisionStore& store, std::vector<NodeType>& nodes) {
  for (const char* name : {"Ext", "Ext/VirMO", "Ext/VirMO/Properties"}) {
    nodes.push_back(StoredNode(store, name, Format::kNode, kGet | kAdd));
  }
  nodes.push_back(StoredNode(store, "Ext/VirMO/DeploymentOption", Format::kChr, kGet | kReplace));
  nodes.push_back(StoredNode(store, "Ext/VirMO/AcceptEULAs", Format::kBool, kGet | kReplace));
  const std::string folder = "Ext/VirMO/Properties";
  // Values may be passwords: they are written and never read.
  NodeType property{.path = absl::StrCat("Provision/*/", folder, "/*"),
                    .format = Format::kChr,
                    .access = kReplace};
  property.list = [&store, folder](const Call& call) -> absl::StatusOr<std::vector<std::string>> {
    ASSIGN_OR_RETURN(const auto leaves, store.LeavesBelow(call.names[0], folder));
    std::vector<std::string> names;
    for (const auto& [key, value] : leaves) names.push_back(key);
    return names;
  };
  property.present = [&store, folder](const Call& call) -> absl::StatusOr<bool> {
    ASSIGN_OR_RETURN(const auto value,
                     store.GetLeaf(call.names[0], absl::StrCat(folder, "/", call.names[1])));
    return value.has_value();
  };
  property.add = [&store, folder](const Call& call) {
    return store.SetLeaf(call.names[0], absl::StrCat(folder, "/", call.names[1]), call.value);
  };
  property.write = property.add;
  nodes.push_back(std::move(property));
}

NodeType ExecNode(const char* name, std::function<absl::StatusOr<ExecOutcome>(const Call&)> exec) {
  NodeType node{.path = absl::StrCat("Provision/*/Operations/", name),
                .format = Format::kNull,
                .access = kExec};
  node.exec = std::move(exec);
  return node;
}

}  // namespace

std::vector<NodeType> ProvisionNodes(DeviceView& view, ProvisionStore& store) {
  const Provisioner provisioner(view, store);
  std::vector<NodeType> nodes = {{.path = "Provision", .access = kGet | kAdd},
                                 RequestNode(store, provisioner)};
  AddStored(store, nodes);
  AddOvf(store, nodes);
  nodes.push_back(RecordLeaf(provisioner, "Status", Format::kInt, [](const auto& record) {
    return IntText(static_cast<int>(record.status));
  }));
  nodes.push_back(RecordLeaf(provisioner, "Progress", Format::kInt, [&store](const auto& record) {
    const bool done = record.status == ProvisionStatus::kProvisioned ||
                      record.status == ProvisionStatus::kDownloadComplete;
    return IntText(done ? 100 : store.ProgressOf(record.operation));
  }));
  nodes.push_back(VmRefLeaf(provisioner));
  nodes.push_back({.path = "Provision/*/Operations"});
  nodes.push_back(ExecNode("Download", [provisioner](const Call& call) {
    return provisioner.Begin(call, Provisioner::What::kDownload);
  }));
  nodes.push_back(ExecNode("DownloadProvision", [provisioner](const Call& call) {
    return provisioner.Begin(call, Provisioner::What::kDownloadProvision);
  }));
  nodes.push_back(ExecNode("Provision", [provisioner](const Call& call) {
    return provisioner.Begin(call, Provisioner::What::kProvision);
  }));
  nodes.push_back(
      ExecNode("Cancel", [provisioner](const Call& call) { return provisioner.Cancel(call); }));
  return nodes;
}

}  // namespace virmo::dm_bridge
