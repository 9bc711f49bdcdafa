// SPDX-License-Identifier: Apache-2.0
#include "services/cli/command.h"

#include <iterator>

#include "absl/strings/numbers.h"

namespace virmo::cli {

bool Arguments::Has(absl::string_view name) const { return values_.count(std::string(name)) > 0; }

std::vector<std::string> Arguments::All(absl::string_view name) const {
  const auto found = values_.find(std::string(name));
  return found == values_.end() ? std::vector<std::string>() : found->second;
}

std::string Arguments::Text(absl::string_view name) const {
  const std::vector<std::string> all = All(name);
  return all.empty() ? "" : all.front();
}

int64_t Arguments::Number(absl::string_view name) const {
  int64_t number = 0;
  if (!absl::SimpleAtoi(Text(name), &number)) return 0;  // The parser let only numbers through.
  return number;
}

Parameter DeviceParameter() {
  return {.name = "DEVICE", .kind = Kind::kDevice, .help = "The device", .required = true};
}

Parameter VirtualMachineParameter() {
  return {.name = "VM",
          .kind = Kind::kVirtualMachine,
          .help = "The virtual machine: its name, or its id",
          .required = true};
}

Parameter NoWaitOption() {
  return {.name = "--no-wait",
          .kind = Kind::kFlag,
          .help = "Print the command's id and do not wait for its end"};
}

std::string KeyOf(const Parameter& parameter) {
  const size_t comma = parameter.name.rfind(',');
  return comma == std::string::npos ? parameter.name : parameter.name.substr(comma + 1);
}

const std::vector<Command>& AllCommands() {
  static const std::vector<Command> all = [] {
    std::vector<Command> commands;
    for (auto group : {DeviceCommands, ImageCommands, VirtualMachineCommands, VmSettingCommands,
                       CommandCommands, AlertCommands, TreeCommands, TreeChangeCommands,
                       ServerCommands, SyncmlCommands, LocalCommands, CompletionCommands}) {
      std::vector<Command> some = group();
      std::move(some.begin(), some.end(), std::back_inserter(commands));
    }
    return commands;
  }();
  return all;
}

std::string GroupSummary(absl::string_view group) {
  static const std::map<std::string, std::string> summaries = {
      {"device", "Devices that the server manages"},
      {"image", "The server's library of images"},
      {"vm", "Virtual machines on devices"},
      {"command", "What devices were told to do, and what became of it"},
      {"server", "The server itself"},
      {"tree", "Nodes of a device's management tree"},
      {"syncml", "SyncML messages and sessions as text: decode, encode, trace"},
      {"local", "This device's own processes, without the server (for debugging)"},
      {"completion", "Completion for shells"},
  };
  const auto found = summaries.find(std::string(group));
  return found == summaries.end() ? "" : found->second;
}

}  // namespace virmo::cli
