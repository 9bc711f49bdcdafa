// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace virmo::cli {

class Context;

// What a word of the command line stands for: how it is checked and completed.
enum class Kind {
  kFlag,            // An option without a value.
  kText,            // Anything.
  kNumber,          // A whole number, not negative.
  kFile,            // A path.
  kChoice,          // One of `choices`.
  kDevice,          // A device of the server.
  kVirtualMachine,  // A virtual machine of the device given before.
  kImage,           // An image of the server's library.
  kCommandId,       // A command of the device given before.
};

// A positional argument (`DEVICE`) or an option (`--force`, `-r,--recursive`) of a command.
struct Parameter {
  std::string name;
  Kind kind = Kind::kText;
  std::string help = "";
  bool required = false;                  // Positionals first come, first served.
  bool many = false;                      // Takes all that is left.
  std::vector<std::string> choices = {};  // Of kChoice.
  bool of_group = false;  // An option of the whole group: may stand before the command's word.
  bool IsOption() const { return name[0] == '-'; }
};

// The values of one call, by the parameter's long name: `DEVICE`, `--force`.
class Arguments {
 public:
  explicit Arguments(std::map<std::string, std::vector<std::string>> values)
      : values_(std::move(values)) {}

  bool Has(absl::string_view name) const;
  // The value; empty, or 0, if it was not given.
  std::string Text(absl::string_view name) const;
  int64_t Number(absl::string_view name) const;
  std::vector<std::string> All(absl::string_view name) const;

 private:
  std::map<std::string, std::vector<std::string>> values_;
};

// One command: `vm start`. Its parser, its help and its completion all come from this.
struct Command {
  std::string path;     // `vm start`
  std::string summary;  // One line for --help.
  std::vector<Parameter> parameters;
  absl::Status (*run)(Context& context, const Arguments& arguments);
};

// Parameters that many commands have.
Parameter DeviceParameter();
Parameter VirtualMachineParameter();
Parameter NoWaitOption();

// The word under which a parameter's value is found: the long name of `-r,--recursive`.
std::string KeyOf(const Parameter& parameter);

// Every command, in the order of --help.
const std::vector<Command>& AllCommands();

// What a group is about: `vm` -> "Virtual machines on devices".
std::string GroupSummary(absl::string_view group);

// The groups, one file each.
std::vector<Command> DeviceCommands();
std::vector<Command> ImageCommands();
std::vector<Command> VirtualMachineCommands();
std::vector<Command> VmSettingCommands();
std::vector<Command> ServerCommands();
std::vector<Command> CommandCommands();
std::vector<Command> AlertCommands();
std::vector<Command> TreeCommands();
std::vector<Command> TreeChangeCommands();
std::vector<Command> SyncmlCommands();
std::vector<Command> LocalCommands();
std::vector<Command> CompletionCommands();

}  // namespace virmo::cli
