// SPDX-License-Identifier: Apache-2.0
// virmo command …
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "services/cli/command.h"
#include "services/cli/command_watch.h"
#include "services/cli/context.h"
#include "services/cli/exit_code.h"
#include "services/cli/format.h"
#include "services/cli/width.h"
#include "services/runtime/status_macros.h"
#include "virmo/v1/fleet_service.grpc.pb.h"

namespace virmo::cli {
namespace {

std::string Id(const v1::Command& command) { return LastPart(command.name()); }

std::string Name(const Arguments& arguments) {
  return absl::StrCat(FullName("devices", arguments.Text("DEVICE")), "/commands/",
                      LastPart(arguments.Text("ID")));
}

// The virtual machine that a command is about, as it was named.
std::string Subject(const v1::Command& command) {
  const v1::Action& action = command.action();
  if (!action.virtual_machine().empty()) return action.virtual_machine();
  if (action.has_provision() && !action.provision().display_name().empty()) {
    return action.provision().display_name();
  }
  if (action.has_replace()) return action.replace().uri();
  if (action.get().uris_size() > 0) return action.get().uris(0);
  if (action.tree().operations_size() > 0) return action.tree().operations(0).uri();
  return command.virtual_machine_id();
}

absl::StatusOr<v1::Command> Get(const Peer& server, const std::string& name) {
  v1::GetCommandRequest request;
  request.set_name(name);
  return server.Call(&v1::FleetService::Stub::GetCommand, request,
                     absl::StrCat("show command ", LastPart(name)));
}

std::string CommandText(const v1::Command& command, absl::Time now) {
  std::string text = PropertiesText({
      {"Command", Id(command)},
      {"Device", PartAfter(command.name(), "devices")},
      {"Action", ActionWord(command.action())},
      {"About", Subject(command)},
      {"VM id", command.virtual_machine_id()},
      {"State", StateWord(command.state())},
      {"Progress",
       command.progress_percent() == 0 ? "" : absl::StrCat(command.progress_percent(), " %")},
      {"DM status", command.dm_status() == 0 ? "" : absl::StrCat(command.dm_status())},
      {"Result", ResultWord(command.result_code())},
      {"Detail", command.detail()},
      {"Queued", Relative(command.create_time(), now)},
      {"Ended", Relative(command.end_time(), now)},
      {"Attempts", absl::StrCat(command.attempts())},
  });
  if (command.timeline_size() > 0) absl::StrAppend(&text, "Timeline:\n");
  for (const v1::Command::Step& step : command.timeline()) text += StepText(command, step);
  if (command.node_results_size() > 0) absl::StrAppend(&text, "Read:\n");
  for (const v1::Command::NodeResult& node : command.node_results()) {
    absl::StrAppend(&text, "  ", node.dm_status(), "  ", Printable(node.uri()), " = ",
                    Printable(node.value()), "\n");
  }
  for (const v1::Command::Exchange& message : command.exchanges()) {
    absl::StrAppend(&text, "\n", message.sent() ? "server -> device  " : "device -> server  ",
                    Rfc3339(message.time()), "\n");
    for (absl::string_view line : absl::StrSplit(message.syncml(), '\n')) {
      absl::StrAppend(&text, "  ", Printable(line), "\n");
    }
  }
  return text;
}

absl::Status ListCommands(Context& context, const Arguments& arguments) {
  v1::ListCommandsRequest request;
  request.set_parent(FullName("devices", arguments.Has("DEVICE") ? arguments.Text("DEVICE") : "-"));
  const size_t limit = arguments.Has("--limit") ? arguments.Number("--limit") : 50;
  ASSIGN_OR_RETURN(const Peer server, context.Server());
  ASSIGN_OR_RETURN(const std::vector<v1::Command> commands,
                   server.List(
                       &v1::FleetService::Stub::ListCommands, request,
                       [](v1::ListCommandsResponse& page) { return page.mutable_commands(); },
                       "list commands", limit));
  const absl::Time now = context.now();
  context.ShowList<v1::Command>(
      commands, {"ID", "DEVICE", "ACTION", "ABOUT", "STATE", "RESULT", "QUEUED", "DETAIL"},
      [now](const v1::Command& command) -> std::vector<std::string> {
        return {Id(command),
                PartAfter(command.name(), "devices"),
                ActionWord(command.action()),
                Subject(command),
                StateWord(command.state()),
                ResultWord(command.result_code()),
                Relative(command.create_time(), now),
                command.detail()};
      },
      Id);
  return absl::OkStatus();
}

absl::Status ShowCommand(Context& context, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Peer server, context.Server());
  ASSIGN_OR_RETURN(v1::Command command, Get(server, Name(arguments)));
  if (arguments.Has("--brief")) command.clear_exchanges();
  context.Show(command, Id(command), CommandText(command, context.now()));
  return absl::OkStatus();
}

absl::Status CancelCommand(Context& context, const Arguments& arguments) {
  v1::CancelCommandRequest request;
  request.set_name(Name(arguments));
  ASSIGN_OR_RETURN(const Peer server, context.Server());
  ASSIGN_OR_RETURN(const v1::Command command,
                   server.Call(&v1::FleetService::Stub::CancelCommand, request,
                               absl::StrCat("cancel command ", LastPart(request.name()))));
  context.Show(command, Id(command), absl::StrCat("cancelled ", Id(command), "\n"));
  return absl::OkStatus();
}

absl::Status WatchCommand(Context& context, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Peer server, context.Server());
  ASSIGN_OR_RETURN(v1::Command command, Get(server, Name(arguments)));
  std::string goal = ActionWord(command.action());
  if (!Subject(command).empty()) absl::StrAppend(&goal, " \"", Subject(command), "\"");
  absl::StrAppend(&goal, " on \"", PartAfter(command.name(), "devices"), "\"");
  context.Tell(Printable(goal) + "\n");
  const absl::Status outcome = FollowCommand(context, server, command.name(), goal, &command);
  if (context.json()) context.Print(ToJson(command));
  return outcome;
}

}  // namespace

std::vector<Command> CommandCommands() {
  const Parameter id = {
      .name = "ID", .kind = Kind::kCommandId, .help = "The command's id", .required = true};
  return {
      {"command list",
       "List commands, newest first",
       {{.name = "DEVICE", .kind = Kind::kDevice, .help = "Of this device alone"},
        {.name = "--limit", .kind = Kind::kNumber, .help = "At most so many; 0 = all. Default 50"}},
       ListCommands},
      {"command show",
       "Show a command with its timeline, what it read, and the SyncML that was said about it",
       {DeviceParameter(),
        id,
        {.name = "--brief", .kind = Kind::kFlag, .help = "Without the SyncML that was said"},
        {.name = "--exchange",
         .kind = Kind::kFlag,
         .help = "With it, as is usual now; kept for scripts"}},
       ShowCommand},
      {"command cancel",
       "Take back a command that was not sent yet",
       {DeviceParameter(), id},
       CancelCommand},
      {"command watch",
       "Follow a command to its end; the exit code is its outcome",
       {DeviceParameter(), id},
       WatchCommand},
  };
}

}  // namespace virmo::cli
