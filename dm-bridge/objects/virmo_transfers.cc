// SPDX-License-Identifier: Apache-2.0
// `./VirMO/Transfers`: moves of resources between virtual machines (VirMO-HLF-05), all or nothing.

#include <utility>

#include "absl/strings/str_cat.h"
#include "dm-bridge/objects/invoke.h"
#include "dm-bridge/objects/request_id.h"
#include "dm-bridge/objects/virmo.h"
#include "dm-bridge/tree/dm_error.h"
#include "dm-bridge/tree/value.h"
#include "services/runtime/error.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"

namespace virmo::dm_bridge {
namespace {

using google::longrunning::Operation;

// How far the operation of a transfer is: what was stored, until it has ended.
absl::StatusOr<TransferRecord> Read(DeviceView& view, TransferStore& store,
                                    const std::string& name) {
  ASSIGN_OR_RETURN(TransferRecord record, store.Get(name));
  if (record.status != TransferStatus::kProgressing) return record;
  google::longrunning::GetOperationRequest request;
  request.set_name(OperationName(record.operation));
  const absl::StatusOr<Operation> operation = Invoke(
      view.policy_operations(), &google::longrunning::Operations::Stub::GetOperation, request);
  if (absl::IsNotFound(operation.status())) {
    // It was never accepted: the call did not arrive. The server may Exec again.
    record.status = TransferStatus::kIdle;
    record.operation.clear();
  } else {
    RETURN_IF_ERROR(operation.status());
    if (!operation->done()) return record;
    record.status = operation->has_error() ? TransferStatus::kFailed : TransferStatus::kDone;
  }
  RETURN_IF_ERROR(store.Set(name, record));
  return record;
}

absl::Status CheckIdle(DeviceView& view, TransferStore& store, const std::string& name) {
  ASSIGN_OR_RETURN(const TransferRecord record, Read(view, store, name));
  if (record.status != TransferStatus::kProgressing) return absl::OkStatus();
  return Error(v1::ErrorInfo::REASON_WRONG_STATE, "the transfer is being carried out");
}

NodeType RequestNode(DeviceView& view, TransferStore& store) {
  NodeType node{.path = "Transfers/*", .access = kGet | kAdd | kDelete};
  node.list = [&store](const Call&) { return store.Names(); };
  node.present = [&store](const Call& call) { return store.Has(call.names[0]); };
  node.add = [&store](const Call& call) { return store.Create(call.names[0], {}); };
  node.remove = [&view, &store](const Call& call) -> absl::Status {
    RETURN_IF_ERROR(CheckIdle(view, store, call.names[0]));
    return store.Remove(call.names[0]);
  };
  return node;
}

using Getter = std::function<std::string(const v1::Transfer&)>;  // Empty: not there.
using Setter = std::function<absl::Status(const std::string&, v1::Transfer&)>;

NodeType StoredLeaf(DeviceView& view, TransferStore& store, const std::string& name, Format format,
                    Getter get, Setter set) {
  NodeType node{.path = "Transfers/*/" + name, .format = format, .access = kGet | kReplace};
  node.read = [&store, get](const Call& call) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(const TransferRecord record, store.Get(call.names[0]));
    return get(record.transfer);
  };
  node.present = [read = node.read](const Call& call) -> absl::StatusOr<bool> {
    ASSIGN_OR_RETURN(const std::string value, read(call));
    return !value.empty();
  };
  node.write = [&view, &store, set](const Call& call) -> absl::Status {
    RETURN_IF_ERROR(CheckIdle(view, store, call.names[0]));
    ASSIGN_OR_RETURN(TransferRecord record, store.Get(call.names[0]));
    RETURN_IF_ERROR(set(call.value, record.transfer));
    return store.Set(call.names[0], record);
  };
  node.add = node.write;
  node.remove = [write = node.write](const Call& call) {
    Call cleared = call;
    cleared.value.clear();
    return write(cleared);
  };
  return node;
}

NodeType MachineLeaf(DeviceView& view, TransferStore& store, const std::string& name,
                     const std::string& (v1::Transfer::*get)() const,
                     std::string* (v1::Transfer::*mutable_field)()) {
  return StoredLeaf(
      view, store, name, Format::kChr,
      [get](const v1::Transfer& transfer) {
        return VirtualMachineId((transfer.*get)()).value_or("");
      },
      [mutable_field, name](const std::string& value, v1::Transfer& transfer) -> absl::Status {
        if (!value.empty() && !IsUuid(value)) {
          return DmError(syncml::StatusCode::kBadRequest,
                         absl::StrCat(name, " is the ID of a virtual machine"));
        }
        *(transfer.*mutable_field)() = value.empty() ? "" : VirtualMachineName(value);
        return absl::OkStatus();
      });
}

template <typename Integer>
NodeType AmountLeaf(DeviceView& view, TransferStore& store, const std::string& name,
                    Integer (v1::Transfer::*get)() const, void (v1::Transfer::*set)(Integer)) {
  return StoredLeaf(
      view, store, name, Format::kInt,
      [get](const v1::Transfer& transfer) {
        return (transfer.*get)() == 0 ? "" : IntText((transfer.*get)());
      },
      [set, name](const std::string& value, v1::Transfer& transfer) -> absl::Status {
        ASSIGN_OR_RETURN(const int64_t amount, ParseInt(value.empty() ? "0" : value));
        if (amount < 0) {
          return DmError(syncml::StatusCode::kBadRequest, absl::StrCat(name, " is negative"));
        }
        (transfer.*set)(static_cast<Integer>(amount));
        return absl::OkStatus();
      });
}

absl::StatusOr<ExecOutcome> Execute(DeviceView& view, TransferStore& store, const Call& call) {
  const std::string& name = call.names[0];
  ASSIGN_OR_RETURN(TransferRecord record, Read(view, store, name));
  if (record.transfer.from().empty() || record.transfer.to().empty()) {
    return DmError(syncml::StatusCode::kIncompleteCommand, "From and To name the virtual machines");
  }
  v1::TransferResourcesRequest request;
  *request.mutable_transfer() = record.transfer;
  request.set_request_id(RequestIdOf(call));
  *request.mutable_initiator() = InitiatorOf(call);
  if (record.status != TransferStatus::kIdle && record.operation != request.request_id()) {
    return Error(v1::ErrorInfo::REASON_WRONG_STATE,
                 "it was carried out before, or is just now: add another one");
  }
  if (record.status == TransferStatus::kIdle) {
    // Noted before the call: a crash in between is found out by asking for the operation.
    record.status = TransferStatus::kProgressing;
    record.operation = request.request_id();
    RETURN_IF_ERROR(store.Set(name, record));
  }
  for (const std::string& vm : {record.transfer.from(), record.transfer.to()}) {
    view.OnWrite(VirtualMachineId(vm).value_or(""));
  }
  absl::StatusOr<ExecOutcome> outcome =
      OutcomeOf(Invoke(view.policies(), &v1::PolicyService::Stub::TransferResources, request));
  // What was refused may be mended and tried again; what got no answer is asked for later.
  if (!outcome.ok() && !absl::IsUnavailable(outcome.status())) {
    record.status = TransferStatus::kIdle;
    record.operation.clear();
    RETURN_IF_ERROR(store.Set(name, record));
  }
  return outcome;
}

}  // namespace

std::vector<NodeType> TransferNodes(DeviceView& view, TransferStore& store) {
  using Transfer = v1::Transfer;
  std::vector<NodeType> nodes = {{.path = "Transfers", .access = kGet | kAdd},
                                 RequestNode(view, store)};
  nodes.push_back(MachineLeaf(view, store, "From", &Transfer::from, &Transfer::mutable_from));
  nodes.push_back(MachineLeaf(view, store, "To", &Transfer::to, &Transfer::mutable_to));
  const auto add = [&](const char* name, auto get, auto set) {
    nodes.push_back(AmountLeaf(view, store, name, get, set));
  };
  add("RAM", &Transfer::memory_mib, &Transfer::set_memory_mib);
  add("CPUCount", &Transfer::cpu_count, &Transfer::set_cpu_count);
  add("CPULimit", &Transfer::cpu_limit, &Transfer::set_cpu_limit);
  add("NetIn", &Transfer::network_in_kbps, &Transfer::set_network_in_kbps);
  add("NetOut", &Transfer::network_out_kbps, &Transfer::set_network_out_kbps);
  add("Storage", &Transfer::storage_mib, &Transfer::set_storage_mib);
  NodeType status{.path = "Transfers/*/Status", .format = Format::kInt};
  status.read = [&view, &store](const Call& call) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(const TransferRecord record, Read(view, store, call.names[0]));
    return IntText(static_cast<int>(record.status));
  };
  nodes.push_back(std::move(status));
  nodes.push_back({.path = "Transfers/*/Operations"});
  NodeType execute{
      .path = "Transfers/*/Operations/Execute", .format = Format::kNull, .access = kExec};
  execute.exec = [&view, &store](const Call& call) { return Execute(view, store, call); };
  nodes.push_back(std::move(execute));
  return nodes;
}

}  // namespace virmo::dm_bridge
