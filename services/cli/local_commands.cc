// SPDX-License-Identifier: Apache-2.0
// virmo local …: straight to the device's own processes.
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "services/cli/command.h"
#include "services/cli/context.h"
#include "services/cli/exit_code.h"
#include "services/cli/format.h"
#include "services/cli/local.h"
#include "services/runtime/error.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"
#include "virmo/v1/alert_service.grpc.pb.h"
#include "virmo/v1/dm_bridge_service.grpc.pb.h"
#include "virmo/v1/policy_service.grpc.pb.h"
#include "virmo/v1/virtual_machine_service.grpc.pb.h"

namespace virmo::cli {
namespace {

std::string Id(const v1::VirtualMachine& vm) { return LastPart(vm.name()); }

std::string Memory(const v1::VirtualMachine& vm) {
  for (const v1::AppliedAllocation& applied : vm.applied_allocations()) {
    if (applied.kind() == v1::RESOURCE_KIND_MEMORY) return Mebibytes(applied.actual_quantity());
  }
  return "";
}

absl::StatusOr<std::vector<v1::VirtualMachine>> Vms(const Peer& controller,
                                                    const std::string& goal) {
  return controller.List(
      &v1::VirtualMachineService::Stub::ListVirtualMachines, v1::ListVirtualMachinesRequest(),
      [](v1::ListVirtualMachinesResponse& page) { return page.mutable_virtual_machines(); }, goal);
}

absl::Status ListVms(Context& context, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Peer peer, LocalPeer(context, arguments, "vm-controller"));
  ASSIGN_OR_RETURN(const std::vector<v1::VirtualMachine> vms, Vms(peer, "list virtual machines"));
  context.ShowList<v1::VirtualMachine>(
      vms, {"ID", "NAME", "STATE", "MEMORY", "PID", "OPERATION", "DETAIL"},
      [](const v1::VirtualMachine& vm) -> std::vector<std::string> {
        return {Id(vm),
                vm.display_name(),
                StateOf(vm),
                Memory(vm),
                vm.host_pid() == 0 ? "" : absl::StrCat(vm.host_pid()),
                LastPart(vm.current_operation()),
                vm.state_detail()};
      },
      Id);
  return absl::OkStatus();
}

std::string VmText(const v1::VirtualMachine& vm, absl::Time now) {
  std::vector<std::string> disks;
  for (const auto& disk : vm.disks()) {
    disks.push_back(absl::StrCat(disk.target(), " ", disk.capacity_mib(), " MiB (takes ",
                                 disk.allocation_mib(), ")"));
  }
  std::vector<std::string> interfaces;
  for (const auto& interface : vm.network_interfaces()) {
    interfaces.push_back(absl::StrCat(interface.mac_address(), " ", interface.source(),
                                      interface.link_up() ? " up" : " down"));
  }
  const auto& last = vm.last_operation();
  return PropertiesText({
      {"Id", Id(vm)},
      {"Name", vm.display_name()},
      {"State", StateOf(vm)},
      {"Detail", vm.state_detail()},
      {"Wanted",
       vm.requested_state() == 0 ? "" : StateWord(static_cast<int>(vm.requested_state()))},
      {"Memory", Memory(vm)},
      {"Disks", absl::StrJoin(disks, ", ")},
      {"Interfaces", absl::StrJoin(interfaces, ", ")},
      {"PID", vm.host_pid() == 0 ? "" : absl::StrCat(vm.host_pid())},
      {"Owner", vm.owner()},
      {"Made from", vm.created_from()},
      {"Policy", absl::StrCat("version ", vm.policy_version())},
      {"Operation", vm.current_operation()},
      {"Last",
       last.kind().empty() ? "" : absl::StrCat(last.kind(), ": ", ResultWord(last.result_code()))},
      {"Changed", Relative(vm.update_time(), now)},
  });
}

absl::Status ShowVm(Context& context, const Arguments& arguments) {
  const std::string goal = absl::StrCat("show vm \"", arguments.Text("ID"), "\"");
  ASSIGN_OR_RETURN(const Peer peer, LocalPeer(context, arguments, "vm-controller"));
  v1::GetVirtualMachineRequest request;
  ASSIGN_OR_RETURN(*request.mutable_name(), LocalVmName(peer, arguments.Text("ID"), goal));
  ASSIGN_OR_RETURN(const v1::VirtualMachine vm,
                   peer.Call(&v1::VirtualMachineService::Stub::GetVirtualMachine, request, goal));
  context.Show(vm, Id(vm), VmText(vm, context.now()));
  return absl::OkStatus();
}

std::string HostText(const v1::Host& host) {
  std::vector<std::string> lacking;
  for (const v1::OperationSupport& operation : host.operations()) {
    if (!operation.supported()) {
      lacking.push_back(absl::StrCat(operation.operation(), " (", operation.reason(), ")"));
    }
  }
  return PropertiesText({
      {"Hypervisor", absl::StrCat(host.hypervisor_name(), " ", host.hypervisor_version(), ", ",
                                  host.accelerator())},
      {"Reachable", host.reachable() ? "yes" : absl::StrCat("no: ", host.detail())},
      {"Architecture", host.architecture()},
      {"Memory", Mebibytes(host.memory_total_mib())},
      {"Processors", absl::StrCat(host.processor_total() / 100)},
      {"Storage",
       absl::StrCat(host.storage_free_mib(), " of ", host.storage_total_mib(), " MiB free")},
      {"Not supported", absl::StrJoin(lacking, ", ")},
  });
}

absl::Status ShowHost(Context& context, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Peer peer, LocalPeer(context, arguments, "vm-controller"));
  ASSIGN_OR_RETURN(const v1::Host host, peer.Call(&v1::VirtualMachineService::Stub::GetHost,
                                                  v1::GetHostRequest(), "ask for the host"));
  context.Show(host, host.hypervisor_name(), HostText(host));
  return absl::OkStatus();
}

// What of a policy is not in force, or could not be.
std::string OpenItems(const v1::PolicyStatus& status) {
  std::vector<std::string> open;
  for (const v1::AppliedItem& item : status.applied_items()) {
    if (item.outcome() != v1::AppliedItem::OUTCOME_FAILED &&
        item.outcome() != v1::AppliedItem::OUTCOME_NOT_ENFORCEABLE) {
      continue;
    }
    open.push_back(absl::StrCat(
        item.item(), ": ", Word(v1::AppliedItem::Outcome_Name(item.outcome()), "OUTCOME_"),
        item.detail().empty() ? "" : " (", item.detail(), item.detail().empty() ? "" : ")"));
  }
  return absl::StrJoin(open, "; ");
}

absl::Status ListPolicies(Context& context, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Peer peer, LocalPeer(context, arguments, "policy-engine"));
  ASSIGN_OR_RETURN(
      const std::vector<v1::PolicyStatus> policies,
      peer.List(
          &v1::PolicyService::Stub::ListPolicies, v1::ListPoliciesRequest(),
          [](v1::ListPoliciesResponse& page) { return page.mutable_policies(); }, "list policies"));
  context.ShowList<v1::PolicyStatus>(
      policies, {"VM", "LOCK", "VERSION", "APPLIED", "RESERVED", "OPEN"},
      [](const v1::PolicyStatus& status) -> std::vector<std::string> {
        const v1::Lock& lock = status.policy().lock();
        return {LastPart(status.policy().virtual_machine()),
                !lock.locked()
                    ? "open"
                    : absl::StrCat("locked by ", lock.locked_by().empty() ? "?" : lock.locked_by()),
                absl::StrCat(status.policy().version()),
                absl::StrCat(status.applied_version()),
                status.holds_resources() ? "yes" : "no",
                OpenItems(status)};
      },
      [](const v1::PolicyStatus& status) { return LastPart(status.policy().virtual_machine()); });
  return absl::OkStatus();
}

absl::Status ListPools(Context& context, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Peer peer, LocalPeer(context, arguments, "policy-engine"));
  ASSIGN_OR_RETURN(
      const v1::ListPoolsResponse response,
      peer.Call(&v1::PolicyService::Stub::ListPools, v1::ListPoolsRequest(), "list pools"));
  const std::vector<v1::ResourcePool> pools(response.pools().begin(), response.pools().end());
  context.ShowList<v1::ResourcePool>(
      pools, {"POOL", "KIND", "CAPACITY", "RESERVED", "FREE", "KEPT FOR HOST"},
      [](const v1::ResourcePool& pool) -> std::vector<std::string> {
        return {LastPart(pool.name()),
                Word(v1::ResourceKind_Name(pool.kind()), "RESOURCE_KIND_"),
                absl::StrCat(pool.capacity()),
                absl::StrCat(pool.reserved()),
                absl::StrCat(pool.capacity() - pool.reserved()),
                absl::StrCat(pool.host_reserve())};
      },
      [](const v1::ResourcePool& pool) { return LastPart(pool.name()); });
  return absl::OkStatus();
}

absl::Status ListAlerts(Context& context, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Peer peer, LocalPeer(context, arguments, "alert-emitter"));
  ASSIGN_OR_RETURN(
      const std::vector<v1::StoredAlert> alerts,
      peer.List(
          &v1::AlertService::Stub::ListAlerts, v1::ListAlertsRequest(),
          [](v1::ListAlertsResponse& page) { return page.mutable_alerts(); }, "list alerts"));
  const absl::Time now = context.now();
  context.ShowList<v1::StoredAlert>(
      alerts, {"SEQ", "WHEN", "EVENT", "VM", "RESULT", "DELIVERY", "TRIES", "LAST ERROR"},
      [now](const v1::StoredAlert& stored) -> std::vector<std::string> {
        const v1::Alert& alert = stored.alert();
        return {absl::StrCat(alert.sequence()),
                Relative(alert.create_time(), now),
                alert.event(),
                LastPart(alert.virtual_machine()),
                ResultWord(alert.result_code()),
                Word(v1::StoredAlert::State_Name(stored.state()), "STATE_"),
                absl::StrCat(stored.attempts()),
                stored.last_error()};
      },
      [](const v1::StoredAlert& stored) { return stored.alert().alert_id(); });
  return absl::OkStatus();
}

void AddNode(const v1::Node& node, Table& table) {
  table.Add({node.uri(), node.format(),
             node.error().empty() ? node.value() : absl::StrCat("(", node.error(), ")")});
  for (const v1::Node& child : node.children()) AddNode(child, table);
}

absl::Status ShowNode(Context& context, const Arguments& arguments) {
  v1::GetNodeRequest request;
  request.set_uri(arguments.Text("URI"));
  request.set_recursive(arguments.Has("--recursive"));
  ASSIGN_OR_RETURN(const Peer peer, LocalPeer(context, arguments, "dm-bridge"));
  ASSIGN_OR_RETURN(const v1::Node node, peer.Call(&v1::DmBridgeService::Stub::GetNode, request,
                                                  absl::StrCat("read ", request.uri())));
  Table table({"URI", "FORMAT", "VALUE"});
  AddNode(node, table);
  context.Show(node, node.value(), table.Text());
  return absl::OkStatus();
}

absl::Status RunSession(Context& context, const Arguments& arguments) {
  v1::RunSessionRequest request;
  request.set_server_id(arguments.Text("SERVER"));
  ASSIGN_OR_RETURN(const Peer peer, LocalPeer(context, arguments, "dm-bridge"));
  ASSIGN_OR_RETURN(const v1::Session session,
                   peer.Call(&v1::DmBridgeService::Stub::RunSession, request, "run a session"));
  const absl::Duration length = ToTime(session.end_time()) - ToTime(session.start_time());
  context.Show(session, session.session_id(),
               PropertiesText({{"Server", session.server_id()},
                               {"Session", session.session_id()},
                               {"Messages", absl::StrCat(session.messages())},
                               {"Commands", absl::StrCat(session.commands())},
                               {"Alerts", absl::StrCat(session.alerts())},
                               {"Took", Seconds(length)},
                               {"Error", session.error()}}));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> LocalVmName(const Peer& controller, const std::string& word,
                                        const std::string& goal) {
  const std::string id = LastPart(word);
  if (IsUuid(id)) return VirtualMachineName(id);
  ASSIGN_OR_RETURN(const std::vector<v1::VirtualMachine> vms, Vms(controller, goal));
  std::vector<std::string> found;
  for (const v1::VirtualMachine& vm : vms) {
    if (vm.display_name() == word) found.push_back(vm.name());
  }
  if (found.size() == 1) return found[0];
  if (found.size() > 1)
    return UsageError(absl::StrCat("cannot ", goal, ": several have that name"));
  return WithHint(Error(v1::ErrorInfo::REASON_VM_NOT_FOUND,
                        absl::StrCat("cannot ", goal, ": there is none of that name")),
                  "see what there is: virmo local vms");
}

std::vector<Command> LocalCommands() {
  const Parameter socket = SocketOption();
  const Parameter id = {
      .name = "ID", .help = "The virtual machine: its id, or its name", .required = true};
  const Parameter seconds = {
      .name = "--seconds", .kind = Kind::kNumber, .help = "Leave after so long"};
  const Parameter backlog = {.name = "--backlog",
                             .kind = Kind::kNumber,
                             .help = "Bytes written before to show first. Default 4096"};
  const Parameter process = {.name = "PROCESS",
                             .kind = Kind::kChoice,
                             .help = "Which process",
                             .required = true,
                             .choices = LocalProcesses()};
  const Parameter level = {
      .name = "LEVEL",
      .kind = Kind::kChoice,
      .help = "The level",
      .required = true,
      .choices = {"trace", "debug", "info", "warn", "error", "critical", "off"}};
  const Parameter uri = {.name = "URI", .help = "The node, as ./VirMO/VMs", .required = true};
  const Parameter recursive = {
      .name = "-r,--recursive", .kind = Kind::kFlag, .help = "Also all below it"};
  const Parameter server = {.name = "SERVER", .help = "The server's id, if there are several"};
  const Parameter answer = {.name = "--answer",
                            .help = "Answer all so: yes, no, cancel, a text, or numbers as 1,3"};
  const Parameter once = {.name = "--once", .kind = Kind::kFlag, .help = "Leave after one answer"};
  return {
      {"local status", "Ask all four processes how they are", {socket}, LocalStatus},
      {"local vms", "List virtual machines (vm-controller)", {socket}, ListVms},
      {"local vm", "Show a virtual machine (vm-controller)", {id, socket}, ShowVm},
      {"local console",
       "A guest's serial console (vm-controller)",
       {id, seconds, backlog, socket},
       LocalConsole},
      {"local host", "Show the host and its hypervisor (vm-controller)", {socket}, ShowHost},
      {"local policies",
       "List policies, decided and applied (policy-engine)",
       {socket},
       ListPolicies},
      {"local pools", "List pools of resources (policy-engine)", {socket}, ListPools},
      {"local alerts", "List alerts on their way (alert-emitter)", {socket}, ListAlerts},
      {"local node",
       "Read a node of the management tree (dm-bridge)",
       {uri, recursive, socket},
       ShowNode},
      {"local session",
       "Run a session with the server now (dm-bridge)",
       {server, socket},
       RunSession},
      {"local prompts",
       "Show what servers ask the user, and answer it (dm-bridge)",
       {answer, once, socket},
       LocalPrompts},
      {"local bootstrap",
       "Take over a bootstrap document with an account (dm-bridge)",
       {{.name = "FILE",
         .help = "TNDS as XML or WBXML, or a DM message that adds it to ./Inbox",
         .required = true},
        {.name = "--mac", .help = "Its MAC, as of its Content-Type; without, it is trusted"},
        {.name = "--pin", .help = "The PIN that the MAC was made with"},
        {.name = "--secret-file", .help = "A file with the secret that the MAC was made with"},
        socket},
       LocalBootstrap},
      {"local ddf", "Describe the management tree as DDF (dm-bridge)", {socket}, LocalDescription},
      {"local log-level",
       "Set a process' log level until it ends",
       {process, level, socket},
       LocalLogLevel},
  };
}

}  // namespace virmo::cli
