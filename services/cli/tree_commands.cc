// SPDX-License-Identifier: Apache-2.0
// virmo tree …
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

#include "services/cli/command.h"
#include "services/cli/command_watch.h"
#include "services/cli/context.h"
#include "services/cli/exit_code.h"
#include "services/cli/format.h"
#include "services/runtime/status_macros.h"
#include "virmo/v1/fleet_service.grpc.pb.h"

namespace virmo::cli {
namespace {

// Follows a command without telling of each step: its values are what counts.
absl::StatusOr<v1::Command> RunQuietly(Context& context, const Peer& server, const Task& task) {
  Settings settings = context.settings();
  settings.quiet = true;
  settings.json = false;
  Context silent(settings, {.out = context.err(), .err = context.err()});
  return RunTask(silent, server, task);
}

// What a Get read. A server that does not list the nodes tells of them in `detail`, as lines of
// `URI = value`.
std::vector<v1::Command::NodeResult> NodesOf(const v1::Command& command) {
  std::vector<v1::Command::NodeResult> nodes(command.node_results().begin(),
                                             command.node_results().end());
  if (!nodes.empty()) return nodes;
  for (absl::string_view line : absl::StrSplit(command.detail(), '\n', absl::SkipEmpty())) {
    const size_t equals = line.find(" = ");
    if (absl::StartsWith(line, "./") && equals != absl::string_view::npos) {
      nodes.emplace_back().set_uri(std::string(line.substr(0, equals)));
      nodes.back().set_value(std::string(line.substr(equals + 3)));
      nodes.back().set_dm_status(command.dm_status());
    } else if (!nodes.empty()) {
      nodes.back().mutable_value()->append(absl::StrCat("\n", line));
    }
  }
  return nodes;
}

absl::Status GetNodes(Context& context, const Arguments& arguments) {
  Task task;
  task.device = FullName("devices", arguments.Text("DEVICE"));
  const std::string list = arguments.Text("--list");
  for (const std::string& uri : arguments.All("URI")) {
    task.action.mutable_get()->add_uris(list.empty() ? uri : absl::StrCat(uri, "?list=", list));
  }
  task.goal = absl::StrCat("read ", absl::StrJoin(arguments.All("URI"), ", "), " on \"",
                           LastPart(task.device), "\"");
  task.wait = !arguments.Has("--no-wait");
  ASSIGN_OR_RETURN(const Peer server, context.Server());
  if (!task.wait) return RunTask(context, server, task).status();
  ASSIGN_OR_RETURN(const v1::Command command, RunQuietly(context, server, task));
  v1::GetCommandRequest request;
  request.set_name(command.name());
  ASSIGN_OR_RETURN(const v1::Command full,
                   server.Call(&v1::FleetService::Stub::GetCommand, request, task.goal));
  const std::vector<v1::Command::NodeResult> nodes = NodesOf(full);
  // A script wants the bare value of a node.
  if (context.quiet() && !context.json()) {
    for (const v1::Command::NodeResult& node : nodes) context.Print(node.value() + "\n");
    return absl::OkStatus();
  }
  context.ShowList<v1::Command::NodeResult>(
      nodes, {"URI", "FORMAT", "STATUS", "VALUE"},
      [](const v1::Command::NodeResult& node) -> std::vector<std::string> {
        return {node.uri(), node.format(), absl::StrCat(node.dm_status()), node.value()};
      },
      [](const v1::Command::NodeResult& node) { return node.value(); });
  return absl::OkStatus();
}

absl::Status SetNode(Context& context, const Arguments& arguments) {
  Task task;
  task.device = FullName("devices", arguments.Text("DEVICE"));
  v1::Action::Replace& replace = *task.action.mutable_replace();
  replace.set_uri(arguments.Text("URI"));
  replace.set_value(arguments.Text("VALUE"));
  replace.set_format(arguments.Has("--format") ? arguments.Text("--format") : "chr");
  task.goal = absl::StrCat("set ", replace.uri(), " on \"", LastPart(task.device), "\"");
  task.wait = !arguments.Has("--no-wait");
  ASSIGN_OR_RETURN(const Peer server, context.Server());
  return RunTask(context, server, task).status();
}

}  // namespace

std::vector<Command> TreeCommands() {
  return {
      {"tree get",
       "Read nodes of a device's management tree; -q prints the bare values",
       {DeviceParameter(),
        {.name = "URI", .help = "Nodes, as ./DevInfo/Man", .required = true, .many = true},
        {.name = "--list",
         .help = "What is below them too: Struct, StructData, TNDS, or TNDS with +Prop and -Prop"},
        NoWaitOption()},
       GetNodes},
      {"tree set",
       "Write a leaf of a device's management tree",
       {DeviceParameter(),
        {.name = "URI", .help = "The node", .required = true},
        {.name = "VALUE", .help = "Its new value", .required = true},
        {.name = "--format",
         .kind = Kind::kChoice,
         .help = "The value's format. Default chr",
         .choices = {"chr", "int", "bool", "b64", "xml"}},
        NoWaitOption()},
       SetNode},
  };
}

}  // namespace virmo::cli
