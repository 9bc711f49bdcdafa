// SPDX-License-Identifier: Apache-2.0
// virmo vm …
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "services/cli/command.h"
#include "services/cli/command_watch.h"
#include "services/cli/context.h"
#include "services/cli/exit_code.h"
#include "services/cli/format.h"
#include "services/cli/upload.h"
#include "services/cli/vm_action.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "virmo/v1/fleet_service.grpc.pb.h"

namespace virmo::cli {
namespace {

std::string Id(const v1::DeviceVirtualMachine& vm) { return LastPart(vm.name()); }

std::string Device(const Arguments& arguments) {
  return FullName("devices", arguments.Text("DEVICE"));
}

absl::StatusOr<std::vector<v1::DeviceVirtualMachine>> VirtualMachinesOf(const Peer& server,
                                                                        const std::string& device,
                                                                        absl::string_view goal) {
  v1::ListDeviceVirtualMachinesRequest request;
  request.set_parent(device);
  return server.List(
      &v1::FleetService::Stub::ListDeviceVirtualMachines, request,
      [](v1::ListDeviceVirtualMachinesResponse& page) { return page.mutable_virtual_machines(); },
      goal);
}

// Finds a virtual machine by its id, or by a name that no other one has.
absl::StatusOr<v1::DeviceVirtualMachine> Find(const std::vector<v1::DeviceVirtualMachine>& vms,
                                              const std::string& word, const std::string& goal) {
  const v1::DeviceVirtualMachine* found = nullptr;
  for (const v1::DeviceVirtualMachine& vm : vms) {
    if (Id(vm) == word) return vm;
    if (vm.display_name() != word) continue;
    if (found != nullptr) {
      return UsageError(
          absl::StrCat("cannot ", goal, ": several have that name: ", Id(*found), ", ", Id(vm)));
    }
    found = &vm;
  }
  if (found != nullptr) return *found;
  return Error(v1::ErrorInfo::REASON_VM_NOT_FOUND,
               absl::StrCat("cannot ", goal, ": there is none of that name or id"));
}

absl::Status ListVirtualMachines(Context& context, const Arguments& arguments) {
  const std::string goal =
      absl::StrCat("list virtual machines of \"", LastPart(Device(arguments)), "\"");
  ASSIGN_OR_RETURN(const Peer server, context.Server());
  ASSIGN_OR_RETURN(const std::vector<v1::DeviceVirtualMachine> vms,
                   VirtualMachinesOf(server, Device(arguments), goal));
  const absl::Time now = context.now();
  context.ShowList<v1::DeviceVirtualMachine>(
      vms, {"NAME", "STATE", "MEMORY", "CPUS", "READ", "ID"},
      [now](const v1::DeviceVirtualMachine& vm) -> std::vector<std::string> {
        return {vm.display_name(),
                StateOf(vm),
                Mebibytes(vm.memory_mib()),
                vm.cpu_count() == 0 ? "" : absl::StrCat(vm.cpu_count()),
                Relative(vm.read_time(), now),
                Id(vm)};
      },
      Id);
  return absl::OkStatus();
}

std::string VirtualMachineText(const v1::DeviceVirtualMachine& vm, absl::Time now) {
  std::string last = vm.last_operation();
  if (!last.empty() && vm.last_result_code() != 0) {
    absl::StrAppend(&last, ": ", ResultWord(vm.last_result_code()));
  }
  return PropertiesText(
      {{"Id", Id(vm)},
       {"Name", vm.display_name()},
       {"Description", vm.description()},
       {"State", StateOf(vm)},
       {"Memory", Mebibytes(vm.memory_mib())},
       {"Memory used", absl::StrCat(vm.memory_used_mib(), " MiB")},
       {"CPUs", absl::StrCat(vm.cpu_count())},
       {"Peripherals", absl::StrJoin(vm.enabled_peripherals(), ", ")},
       {"Key escrow", vm.key_escrowed() ? "held" : ""},
       {"Pending", vm.pending() ? "a change waits for the next start" : ""},
       {"Owner", vm.owner()},
       {"Made from", vm.created_from()},
       {"Last operation", last},
       {"Read", Relative(vm.read_time(), now)},
       {"Stale", vm.stale() ? vm.stale_reason().empty() ? "yes" : vm.stale_reason() : ""}});
}

absl::Status ShowVirtualMachine(Context& context, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const v1::DeviceVirtualMachine vm, FindVirtualMachine(context, arguments));
  context.Show(vm, Id(vm), VirtualMachineText(vm, context.now()));
  return absl::OkStatus();
}

absl::Status CheckProvision(const Arguments& arguments) {
  const bool image = arguments.Has("--image");
  const bool url = arguments.Has("--url");
  if (image == url) return UsageError("give either --image or --url");
  if (image && (arguments.Has("--sha256") || arguments.Has("--type"))) {
    return UsageError("--sha256 and --type go with --url; the library knows those of an image");
  }
  if (url && (!arguments.Has("--sha256") || !arguments.Has("--type"))) {
    return UsageError("--url needs --sha256 and --type as well");
  }
  return absl::OkStatus();
}

absl::Status Provision(Context& context, const Arguments& arguments) {
  RETURN_IF_ERROR(CheckProvision(arguments));
  v1::Action action;
  v1::Action::Provision& provision = *action.mutable_provision();
  if (arguments.Has("--image")) provision.set_image(FullName("images", arguments.Text("--image")));
  provision.set_uri(arguments.Text("--url"));
  provision.set_sha256(arguments.Text("--sha256"));
  provision.set_media_type(MediaTypeOf(arguments.Text("--type")));
  provision.set_display_name(arguments.Text("--name"));
  provision.set_virtual_machine_id(arguments.Text("--id"));
  provision.set_memory_mib(arguments.Number("--memory"));
  if (arguments.Number("--cpus") > 1 << 16) return UsageError("--cpus is too large");
  provision.set_cpu_count(static_cast<int32_t>(arguments.Number("--cpus")));
  provision.set_start(arguments.Has("--start"));
  provision.set_encrypted(arguments.Has("--encrypted"));
  provision.set_deployment_option(arguments.Text("--deployment-option"));
  provision.set_accept_eulas(arguments.Has("--accept-eulas"));
  for (const std::string& property : arguments.All("--property")) {
    const size_t equals = property.find('=');
    if (equals == 0 || equals == std::string::npos) return UsageError("--property is KEY=VALUE");
    (*provision.mutable_properties())[property.substr(0, equals)] = property.substr(equals + 1);
  }
  std::string subject = provision.display_name();
  if (subject.empty()) subject = provision.virtual_machine_id();
  if (subject.empty())
    subject = LastPart(provision.image().empty() ? provision.uri() : provision.image());
  return Act(context, arguments, "provision", subject, std::move(action));
}

absl::Status Start(Context& context, const Arguments& arguments) {
  v1::Action action;
  action.mutable_start();
  return ActOn(context, arguments, "start", std::move(action));
}

absl::Status Stop(Context& context, const Arguments& arguments) {
  v1::Action action;
  action.mutable_stop()->set_force(arguments.Has("--force"));
  return ActOn(context, arguments, "stop", std::move(action));
}

absl::Status Suspend(Context& context, const Arguments& arguments) {
  v1::Action action;
  action.mutable_suspend();
  return ActOn(context, arguments, "suspend", std::move(action));
}

absl::Status Resume(Context& context, const Arguments& arguments) {
  v1::Action action;
  action.mutable_resume();
  return ActOn(context, arguments, "resume", std::move(action));
}

absl::Status Pause(Context& context, const Arguments& arguments) {
  v1::Action action;
  action.mutable_pause();
  return ActOn(context, arguments, "pause", std::move(action));
}

absl::Status Unpause(Context& context, const Arguments& arguments) {
  v1::Action action;
  action.mutable_unpause();
  return ActOn(context, arguments, "unpause", std::move(action));
}

absl::Status LockVm(Context& context, const Arguments& arguments) {
  v1::Action action;
  action.mutable_lock()->set_reason(arguments.Text("--reason"));
  const std::string mode = arguments.Text("--mode");
  if (mode == "isolate") action.mutable_lock()->set_mode(v1::Lock::MODE_ISOLATE);
  if (mode == "pause") action.mutable_lock()->set_mode(v1::Lock::MODE_ISOLATE_AND_PAUSE);
  if (mode == "suspend") action.mutable_lock()->set_mode(v1::Lock::MODE_SUSPEND);
  return ActOn(context, arguments, "lock", std::move(action));
}

absl::Status Unlock(Context& context, const Arguments& arguments) {
  v1::Action action;
  action.mutable_unlock();
  return ActOn(context, arguments, "unlock", std::move(action));
}

absl::Status Clone(Context& context, const Arguments& arguments) {
  v1::Action action;
  action.mutable_clone()->set_display_name(arguments.Text("--name"));
  return ActOn(context, arguments, "clone", std::move(action));
}

absl::Status Delete(Context& context, const Arguments& arguments) {
  v1::Action action;
  action.mutable_delete_()->set_force(arguments.Has("--force"));
  return ActOn(context, arguments, "delete", std::move(action));
}

// An action on an existing virtual machine, with its own options.
Command Change(const std::string& word, const std::string& summary, std::vector<Parameter> options,
               absl::Status (*run)(Context&, const Arguments&)) {
  std::vector<Parameter> parameters = {DeviceParameter(), VirtualMachineParameter()};
  parameters.insert(parameters.end(), options.begin(), options.end());
  parameters.push_back(NoWaitOption());
  return {"vm " + word, summary, std::move(parameters), run};
}

Command ProvisionCommand() {
  return {"vm provision",
          "Make a virtual machine on a device",
          {DeviceParameter(),
           {.name = "--image", .kind = Kind::kImage, .help = "An image of the library"},
           {.name = "--url", .help = "Or where the device fetches an image (http, https)"},
           {.name = "--sha256", .help = "The SHA-256 of what is there, 64 hex digits"},
           {.name = "--type",
            .kind = Kind::kChoice,
            .help = "What it is",
            .choices = {"qcow2", "raw", "ova", "ovf"}},
           {.name = "--encrypted",
            .kind = Kind::kFlag,
            .help = "Keep its disks and saved memory encrypted on the device"},
           {.name = "--deployment-option", .help = "OVF: which one. Default: the package's"},
           {.name = "--property", .help = "OVF: KEY=VALUE; may be given again", .many = true},
           {.name = "--accept-eulas", .kind = Kind::kFlag, .help = "OVF: accept its licences"},
           {.name = "--name", .help = "Its name. Default: made from the id"},
           {.name = "--memory", .kind = Kind::kNumber, .help = "Its memory in MiB"},
           {.name = "--cpus", .kind = Kind::kNumber, .help = "Its virtual CPUs"},
           {.name = "--id", .help = "Its id, a UUID. Default: the server makes one"},
           {.name = "--start", .kind = Kind::kFlag, .help = "Start it when it is made"},
           NoWaitOption()},
          Provision};
}

}  // namespace

absl::Status Act(Context& context, const Arguments& arguments, const std::string& verb,
                 const std::string& subject, v1::Action action) {
  const Task task = {
      .device = Device(arguments),
      .action = std::move(action),
      .goal = absl::StrCat(verb, " vm \"", subject, "\" on \"", LastPart(Device(arguments)), "\""),
      .wait = !arguments.Has("--no-wait")};
  ASSIGN_OR_RETURN(const Peer server, context.Server());
  ASSIGN_OR_RETURN(const v1::Command command, RunTask(context, server, task));
  const bool made = task.action.has_provision() || task.action.has_clone();
  if (!task.wait || !made || context.json() || command.virtual_machine_id().empty()) {
    return absl::OkStatus();
  }
  context.Print(context.quiet() ? command.virtual_machine_id() + "\n"
                                : absl::StrCat("made ", command.virtual_machine_id(), "\n"));
  return absl::OkStatus();
}

absl::Status ActOn(Context& context, const Arguments& arguments, const std::string& verb,
                   v1::Action action) {
  action.set_virtual_machine(LastPart(arguments.Text("VM")));
  return Act(context, arguments, verb, arguments.Text("VM"), std::move(action));
}

absl::StatusOr<v1::DeviceVirtualMachine> FindVirtualMachine(Context& context,
                                                            const Arguments& arguments) {
  const std::string goal = absl::StrCat("show vm \"", arguments.Text("VM"), "\" on \"",
                                        LastPart(Device(arguments)), "\"");
  ASSIGN_OR_RETURN(const Peer server, context.Server());
  ASSIGN_OR_RETURN(const std::vector<v1::DeviceVirtualMachine> vms,
                   VirtualMachinesOf(server, Device(arguments), goal));
  return Find(vms, arguments.Text("VM"), goal);
}

std::vector<Command> VirtualMachineCommands() {
  const Parameter name = {.name = "--name", .help = "The copy's name"};
  return {
      {"vm list",
       "List the virtual machines of a device",
       {DeviceParameter()},
       ListVirtualMachines},
      {"vm show",
       "Show a virtual machine as the server last read it",
       {DeviceParameter(), VirtualMachineParameter()},
       ShowVirtualMachine},
      ProvisionCommand(),
      Change("start", "Boot a stopped virtual machine", {}, Start),
      Change("stop", "Shut a virtual machine down",
             {{.name = "--force", .kind = Kind::kFlag, .help = "Cut its power"}}, Stop),
      Change("suspend", "Save its state on disk and release its memory and CPU", {}, Suspend),
      Change("resume", "Go on from the saved state", {}, Resume),
      Change("pause", "Stop its CPUs; it keeps its memory", {}, Pause),
      Change("unpause", "Let its CPUs run again", {}, Unpause),
      Change("lock", "Close every channel to a virtual machine",
             {{.name = "--reason", .help = "Text for the user"},
              {.name = "--mode",
               .kind = Kind::kChoice,
               .help = "What happens to a running one. Default: as it was, at first pause",
               .choices = {"isolate", "pause", "suspend"}}},
             LockVm),
      Change("unlock", "Open them again", {}, Unlock),
      Change("clone", "Copy a stopped virtual machine", {name}, Clone),
      Change("delete", "Delete a virtual machine and everything of it",
             {{.name = "--force", .kind = Kind::kFlag, .help = "Also if it runs"}}, Delete),
  };
}

}  // namespace virmo::cli
