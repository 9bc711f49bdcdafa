// SPDX-License-Identifier: Apache-2.0
#include "services/cli/completion.h"

#include <algorithm>
#include <set>
#include <sstream>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "services/cli/command_line.h"
#include "services/cli/context.h"
#include "services/cli/format.h"
#include "services/cli/width.h"
#include "virmo/v1/fleet_service.grpc.pb.h"
#include "virmo/v1/image_service.grpc.pb.h"

namespace virmo::cli {
namespace {

constexpr char kBashScript[] =
    R"bash(# bash completion for virmo. Use: source <(virmo completion bash)
_virmo() {
  local word line joined= words=() current=${COMP_WORDS[COMP_CWORD]}
  # Bash splits at : and =, and leaves quotes in; we want words as the program gets them.
  for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
    if [[ ${#words[@]} -gt 0 && ( -n $joined || $word == [:=]* ) ]]; then
      words[-1]+=${word//\\/}
    else
      word=${word#[\"\']}
      words+=("${word//\\/}")
    fi
    joined=
    if [[ $word == *[:=] ]]; then joined=yes; fi
  done
  if [[ $current == [:=] ]]; then current=; fi
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line == :files ]]; then
      compopt -o filenames 2>/dev/null
      while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$current")
      return
    fi
    COMPREPLY+=("$(printf '%q' "$line")")
  done < <("${COMP_WORDS[0]}" __complete "${words[@]}" 2>/dev/null)
}
complete -F _virmo virmo
)bash";

// Options of the program itself that take a value.
const std::vector<std::string>& GlobalsWithValue() {
  static const std::vector<std::string> names = {"--server", "--tls-cert", "--tls-key",
                                                 "--tls-ca", "--tls-peer", "-o",
                                                 "--output", "--timeout"};
  return names;
}

bool IsGlobalWithValue(const std::string& word) {
  const std::vector<std::string>& names = GlobalsWithValue();
  return std::find(names.begin(), names.end(), word) != names.end();
}

const Parameter* OptionOf(const Command& command, const std::string& word) {
  for (const Parameter& parameter : command.parameters) {
    const std::vector<std::string> names = absl::StrSplit(parameter.name, ',');
    if (parameter.IsOption() && std::find(names.begin(), names.end(), word) != names.end()) {
      return &parameter;
    }
  }
  return nullptr;
}

const Parameter* PositionalAt(const Command& command, size_t index) {
  for (const Parameter& parameter : command.parameters) {
    if (parameter.IsOption()) continue;
    if (index == 0 || parameter.many) return &parameter;
    --index;
  }
  return nullptr;
}

// Knows the words before the one that is completed.
class Reader {
 public:
  explicit Reader(const std::vector<Command>& commands) : commands_(commands) {}

  void Take(const std::string& word) {
    const size_t equals = word.find('=');
    if (absl::StartsWith(word, "--") && equals != std::string::npos && IsFree()) {
      Take(word.substr(0, equals));
      Take(word.substr(equals + 1));
    } else if (pending_ != nullptr) {
      pending_ = nullptr;
    } else if (!point_.global_wanted.empty()) {
      point_.globals.push_back(word);
      point_.global_wanted.clear();
    } else if (absl::StartsWith(word, "-") && word != "-") {
      TakeOption(word);
    } else if (point_.command != nullptr) {
      point_.positionals.push_back(word);
    } else {
      TakeCommandWord(word);
    }
  }

  CompletionPoint Finish(const std::string& prefix) {
    const size_t equals = prefix.find('=');
    if (absl::StartsWith(prefix, "--") && equals != std::string::npos && IsFree()) {
      Take(prefix.substr(0, equals));
      return Finish(prefix.substr(equals + 1));
    }
    point_.prefix = prefix;
    if (pending_ != nullptr) {
      point_.wanted = pending_;
    } else if (point_.command != nullptr) {
      point_.wanted = PositionalAt(*point_.command, point_.positionals.size());
    }
    return point_;
  }

 private:
  // Whether the next word is not an option's value.
  bool IsFree() const { return pending_ == nullptr && point_.global_wanted.empty(); }

  void TakeOption(const std::string& word) {
    const Parameter* option = FindOption(word);
    if (option != nullptr) {
      if (option->kind != Kind::kFlag) pending_ = option;
      return;
    }
    if (!IsGlobalWithValue(word)) return;
    point_.global_wanted = word;
    point_.globals.push_back(word);
  }

  // An option of the command, or of the group that it will be of.
  const Parameter* FindOption(const std::string& word) const {
    if (point_.command != nullptr) return OptionOf(*point_.command, word);
    for (const Command& command : commands_) {
      const Parameter* option = OptionOf(command, word);
      const bool known = option != nullptr && option->of_group;
      if (known && absl::StartsWith(command.path, point_.group + " ")) return option;
    }
    return nullptr;
  }

  void TakeCommandWord(const std::string& word) {
    const std::string path = point_.group.empty() ? word : absl::StrCat(point_.group, " ", word);
    for (const Command& command : commands_) {
      if (command.path == path) point_.command = &command;
    }
    point_.group = path;
  }

  const std::vector<Command>& commands_;
  CompletionPoint point_;
  const Parameter* pending_ = nullptr;
};

// Names that the server knows.
class Names {
 public:
  explicit Names(const CompletionPoint& point) : point_(point) {}

  std::set<std::string> Of(Kind kind) {
    absl::StatusOr<Peer> server = Server();
    if (!server.ok()) return {};
    switch (kind) {
      case Kind::kDevice:
        return Devices(*server);
      case Kind::kImage:
        return Images(*server);
      case Kind::kVirtualMachine:
        return VirtualMachines(*server);
      case Kind::kCommandId:
        return Commands(*server);
      default:
        return {};
    }
  }

 private:
  absl::StatusOr<Peer> Server() const {
    std::vector<std::string> words = point_.globals;
    words.insert(words.end(), {"--timeout", "2", "device", "list"});
    auto parsed = ParseCommandLine(words, AllCommands(), "");
    if (std::get_if<Farewell>(&parsed) != nullptr) return absl::InvalidArgumentError("");
    const Settings& settings = std::get<Invocation>(parsed).settings;
    return Peer::Connect(settings.server, settings.timeout, "");
  }

  std::string Device() const {
    return point_.positionals.empty() ? "" : FullName("devices", point_.positionals[0]);
  }

  std::set<std::string> Devices(const Peer& server) const {
    std::set<std::string> names;
    const auto devices = server.List(
        &v1::FleetService::Stub::ListDevices, v1::ListDevicesRequest(),
        [](v1::ListDevicesResponse& page) { return page.mutable_devices(); }, "", kEnough);
    if (!devices.ok()) return names;
    for (const v1::Device& device : *devices) names.insert(LastPart(device.name()));
    return names;
  }

  std::set<std::string> Images(const Peer& server) const {
    std::set<std::string> names;
    const auto images = server.List(
        &v1::ImageService::Stub::ListImages, v1::ListImagesRequest(),
        [](v1::ListImagesResponse& page) { return page.mutable_images(); }, "", kEnough);
    if (!images.ok()) return names;
    for (const v1::Image& image : *images) names.insert(LastPart(image.name()));
    return names;
  }

  std::set<std::string> VirtualMachines(const Peer& server) const {
    v1::ListDeviceVirtualMachinesRequest request;
    request.set_parent(Device());
    const auto vms = server.List(
        &v1::FleetService::Stub::ListDeviceVirtualMachines, request,
        [](v1::ListDeviceVirtualMachinesResponse& page) { return page.mutable_virtual_machines(); },
        "", kEnough);
    std::set<std::string> names;
    std::set<std::string> ids;
    if (!vms.ok()) return names;
    for (const v1::DeviceVirtualMachine& vm : *vms) {
      ids.insert(LastPart(vm.name()));
      names.insert(vm.display_name().empty() ? LastPart(vm.name()) : vm.display_name());
    }
    // Ids only for who has begun to write one: names are what people want to see.
    const bool any = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
      return absl::StartsWith(name, point_.prefix);
    });
    return any ? names : ids;
  }

  std::set<std::string> Commands(const Peer& server) const {
    v1::ListCommandsRequest request;
    request.set_parent(Device());
    const auto commands = server.List(
        &v1::FleetService::Stub::ListCommands, request,
        [](v1::ListCommandsResponse& page) { return page.mutable_commands(); }, "", 20);
    std::set<std::string> ids;
    if (!commands.ok()) return ids;
    for (const v1::Command& command : *commands) ids.insert(LastPart(command.name()));
    return ids;
  }

  static constexpr size_t kEnough = 1000;
  const CompletionPoint& point_;
};

std::set<std::string> OptionNames(const CompletionPoint& point) {
  std::set<std::string> names = {"--help",   "--server",   "--output",  "--timeout", "--quiet",
                                 "--tls-ca", "--tls-cert", "--tls-key", "--tls-peer"};
  if (point.command == nullptr) return names;
  for (const Parameter& parameter : point.command->parameters) {
    if (parameter.IsOption()) names.insert(KeyOf(parameter));
  }
  return names;
}

std::set<std::string> CommandWords(const CompletionPoint& point) {
  std::set<std::string> next;
  for (const Command& command : AllCommands()) {
    const std::vector<std::string> parts = absl::StrSplit(command.path, ' ');
    if (point.group.empty()) next.insert(parts[0]);
    if (parts.size() > 1 && parts[0] == point.group) next.insert(parts[1]);
  }
  return next;
}

std::set<std::string> Candidates(const CompletionPoint& point) {
  if (!point.global_wanted.empty()) {
    if (point.global_wanted == "-o" || point.global_wanted == "--output") return {"json", "table"};
    const bool file =
        absl::StartsWith(point.global_wanted, "--tls-") && point.global_wanted != "--tls-peer";
    return file ? std::set<std::string>{kFilesWanted} : std::set<std::string>{};
  }
  if (absl::StartsWith(point.prefix, "-")) return OptionNames(point);
  if (point.wanted == nullptr) {
    return point.command == nullptr ? CommandWords(point) : std::set<std::string>();
  }
  if (point.wanted->kind == Kind::kFile) return {kFilesWanted};
  if (point.wanted->kind == Kind::kChoice) {
    return {point.wanted->choices.begin(), point.wanted->choices.end()};
  }
  return Names(point).Of(point.wanted->kind);
}

absl::Status PrintBashScript(Context& context, const Arguments& /*arguments*/) {
  context.Print(kBashScript);
  return absl::OkStatus();
}

}  // namespace

CompletionPoint FindCompletionPoint(const std::vector<std::string>& words,
                                    const std::vector<Command>& commands) {
  Reader reader(commands);
  for (size_t i = 0; i + 1 < words.size(); ++i) reader.Take(words[i]);
  return reader.Finish(words.empty() ? "" : words.back());
}

std::string Complete(const std::vector<std::string>& words) {
  const CompletionPoint point = FindCompletionPoint(words, AllCommands());
  std::string lines;
  for (const std::string& candidate : Candidates(point)) {
    if (candidate == kFilesWanted) return absl::StrCat(kFilesWanted, "\n");
    if (absl::StartsWith(candidate, point.prefix)) {
      absl::StrAppend(&lines, Printable(candidate), "\n");
    }
  }
  return lines;
}

std::vector<Command> CompletionCommands() {
  return {{"completion bash",
           "Print a completion script: source <(virmo completion bash)",
           {},
           PrintBashScript}};
}

}  // namespace virmo::cli
