// SPDX-License-Identifier: Apache-2.0
// virmo tree add, delete, copy, exec, sequence, atomic
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

#include "services/cli/command.h"
#include "services/cli/command_watch.h"
#include "services/cli/context.h"
#include "services/cli/exit_code.h"
#include "services/cli/format.h"
#include "services/runtime/status_macros.h"
#include "virmo/v1/fleet_service.grpc.pb.h"

namespace virmo::cli {
namespace {

using Tree = v1::Action::Tree;
using Operation = Tree::Operation;

constexpr const char* kOperationHelp =
    "Each one word: `add[:FORMAT] URI=VALUE`, `replace[:FORMAT] URI=VALUE`, `delete URI`, "
    "`copy FROM TO`, `exec URI[=ARGUMENT]`, `get URI`";

absl::Status Run(Context& context, const Arguments& arguments, const std::string& verb, Tree tree) {
  Task task;
  task.device = FullName("devices", arguments.Text("DEVICE"));
  task.goal = absl::StrCat(verb, " ", tree.operations(0).uri(),
                           tree.operations_size() > 1 ? " and more" : "", " on \"",
                           LastPart(task.device), "\"");
  *task.action.mutable_tree() = std::move(tree);
  task.wait = !arguments.Has("--no-wait");
  ASSIGN_OR_RETURN(const Peer server, context.Server());
  ASSIGN_OR_RETURN(const v1::Command command, RunTask(context, server, task));
  if (!task.wait || context.json()) return absl::OkStatus();
  v1::GetCommandRequest request;
  request.set_name(command.name());
  ASSIGN_OR_RETURN(const v1::Command full,
                   server.Call(&v1::FleetService::Stub::GetCommand, request, task.goal));
  for (const v1::Command::NodeResult& node : full.node_results()) {
    context.Print(context.quiet() ? absl::StrCat(node.value(), "\n")
                                  : absl::StrCat(node.uri(), " = ", node.value(), "\n"));
  }
  return absl::OkStatus();
}

Tree One(Operation::Verb verb, const Arguments& arguments) {
  Tree tree;
  tree.set_mode(Tree::MODE_SEQUENCE);
  Operation& operation = *tree.add_operations();
  operation.set_verb(verb);
  operation.set_uri(arguments.Text("URI"));
  operation.set_value(arguments.Text("VALUE"));
  operation.set_format(arguments.Text("--format"));
  operation.set_type(arguments.Text("--type"));
  return tree;
}

absl::Status Add(Context& context, const Arguments& arguments) {
  Tree tree = One(Operation::VERB_ADD, arguments);
  Operation& operation = *tree.mutable_operations(0);
  if (!arguments.Has("VALUE") && operation.format().empty()) operation.set_format("node");
  return Run(context, arguments, "add", std::move(tree));
}

absl::Status Delete(Context& context, const Arguments& arguments) {
  return Run(context, arguments, "delete", One(Operation::VERB_DELETE, arguments));
}

absl::Status Exec(Context& context, const Arguments& arguments) {
  return Run(context, arguments, "execute", One(Operation::VERB_EXEC, arguments));
}

absl::Status Copy(Context& context, const Arguments& arguments) {
  Tree tree;
  Operation& operation = *tree.add_operations();
  operation.set_verb(Operation::VERB_COPY);
  operation.set_source_uri(arguments.Text("FROM"));
  operation.set_uri(arguments.Text("TO"));
  return Run(context, arguments, "copy to", std::move(tree));
}

std::optional<Operation::Verb> VerbOf(absl::string_view word) {
  if (word == "add") return Operation::VERB_ADD;
  if (word == "replace" || word == "set") return Operation::VERB_REPLACE;
  if (word == "delete") return Operation::VERB_DELETE;
  if (word == "copy") return Operation::VERB_COPY;
  if (word == "exec") return Operation::VERB_EXEC;
  if (word == "get") return Operation::VERB_GET;
  return std::nullopt;
}

// Where the value begins: after `=`, which within `?prop=` and `?list=` is part of the URI.
size_t EqualsOf(absl::string_view text) {
  size_t from = 0;
  for (const char* query : {"?prop=", "?list="}) {
    const size_t at = text.find(query);
    if (at != absl::string_view::npos && at < text.find('=')) from = at + 6;
  }
  return text.find('=', from);
}

absl::StatusOr<Operation> ParseOperation(absl::string_view text) {
  const size_t space = text.find(' ');
  const absl::string_view head = text.substr(0, space);
  const absl::string_view word = head.substr(0, head.find(':'));
  const auto verb = VerbOf(word);
  if (!verb || space == absl::string_view::npos) {
    return UsageError(absl::StrCat("`", text, "` is no operation. ", kOperationHelp));
  }
  Operation operation;
  operation.set_verb(*verb);
  if (word.size() < head.size()) operation.set_format(std::string(head.substr(word.size() + 1)));
  const absl::string_view rest = text.substr(space + 1);
  if (*verb == Operation::VERB_COPY) {
    const size_t second = rest.find(' ');
    if (second == absl::string_view::npos) return UsageError("copy needs two URIs: `copy FROM TO`");
    operation.set_source_uri(std::string(rest.substr(0, second)));
    operation.set_uri(std::string(rest.substr(second + 1)));
    return operation;
  }
  const bool valued = *verb == Operation::VERB_ADD || *verb == Operation::VERB_REPLACE ||
                      *verb == Operation::VERB_EXEC;
  const size_t equals = valued ? EqualsOf(rest) : absl::string_view::npos;
  operation.set_uri(std::string(rest.substr(0, equals)));
  if (equals != absl::string_view::npos) {
    operation.set_value(std::string(rest.substr(equals + 1)));
  } else if (*verb == Operation::VERB_ADD && operation.format().empty()) {
    operation.set_format("node");
  } else if (*verb == Operation::VERB_REPLACE) {
    return UsageError(absl::StrCat("`", text, "` lacks a value: `replace URI=VALUE`"));
  }
  return operation;
}

absl::Status RunAll(Context& context, const Arguments& arguments, Tree::Mode mode) {
  Tree tree;
  tree.set_mode(mode);
  for (const std::string& text : arguments.All("OPERATION")) {
    ASSIGN_OR_RETURN(*tree.add_operations(), ParseOperation(text));
  }
  return Run(context, arguments, "change", std::move(tree));
}

absl::Status Sequence(Context& context, const Arguments& arguments) {
  return RunAll(context, arguments, Tree::MODE_SEQUENCE);
}

absl::Status Atomic(Context& context, const Arguments& arguments) {
  return RunAll(context, arguments, Tree::MODE_ATOMIC);
}

Parameter Uri(const std::string& name) {
  return {.name = name, .help = "The node, as ./VirMO/Ext/x", .required = true};
}

Parameter FormatOption(std::vector<std::string> formats) {
  return {.name = "--format",
          .kind = Kind::kChoice,
          .help = "The value's format. Default chr",
          .choices = std::move(formats)};
}

Command Many(const std::string& path, const std::string& summary,
             absl::Status (*run)(Context&, const Arguments&)) {
  return {path,
          summary,
          {DeviceParameter(),
           {.name = "OPERATION", .help = kOperationHelp, .required = true, .many = true},
           NoWaitOption()},
          run};
}

}  // namespace

std::vector<Command> TreeChangeCommands() {
  const Parameter type = {.name = "--type", .help = "The value's MIME type. Default text/plain"};
  return {
      {"tree add",
       "Add a node to a device's management tree; without VALUE an interior one",
       {DeviceParameter(),
        Uri("URI"),
        {.name = "VALUE", .help = "Its value"},
        FormatOption({"chr", "int", "bool", "b64", "xml", "date", "time", "float", "node"}),
        type,
        NoWaitOption()},
       Add},
      {"tree delete",
       "Delete a node with all below it",
       {DeviceParameter(), Uri("URI"), NoWaitOption()},
       Delete},
      {"tree copy",
       "Copy a leaf to another",
       {DeviceParameter(), Uri("FROM"), Uri("TO"), NoWaitOption()},
       Copy},
      {"tree exec",
       "Execute a node",
       {DeviceParameter(),
        Uri("URI"),
        {.name = "VALUE", .help = "Its argument"},
        FormatOption({"chr", "int", "bool", "b64", "xml"}),
        type,
        NoWaitOption()},
       Exec},
      Many("tree sequence", "Change a device's management tree, one operation after the other",
           Sequence),
      Many("tree atomic", "Change a device's management tree, all or nothing (no exec, no get)",
           Atomic),
  };
}

}  // namespace virmo::cli
