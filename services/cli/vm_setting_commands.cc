// SPDX-License-Identifier: Apache-2.0
// virmo vm peripheral, set, share, transfer, grant-unlock, firmware
#include <array>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "services/cli/command.h"
#include "services/cli/command_watch.h"
#include "services/cli/context.h"
#include "services/cli/exit_code.h"
#include "services/cli/format.h"
#include "services/cli/secret_input.h"
#include "services/cli/vm_action.h"
#include "services/runtime/status_macros.h"
#include "virmo/v1/fleet_service.grpc.pb.h"

namespace virmo::cli {
namespace {

// The tree's names of PeripheralClass, in the order of its numbers.
constexpr std::array<const char*, 14> kClasses = {
    "USBStorage", "OtherUSB", "MemoryCard",   "WiFi",        "Bluetooth",
    "NFC",        "GPS",      "VoiceCallOut", "VoiceCallIn", "Camera",
    "Microphone", "Display",  "CellularData", "SmartCard"};

absl::StatusOr<v1::PeripheralClass> ClassOf(const std::string& name) {
  for (size_t i = 0; i < kClasses.size(); ++i) {
    if (name == kClasses[i]) return static_cast<v1::PeripheralClass>(i + 1);
  }
  return UsageError(absl::StrCat("CLASS is none of ", absl::StrJoin(kClasses, ", ")));
}

absl::Status ListPeripherals(Context& context, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const v1::DeviceVirtualMachine vm, FindVirtualMachine(context, arguments));
  if (context.json()) {
    context.Show(vm, LastPart(vm.name()), "");
    return absl::OkStatus();
  }
  std::string text;
  for (const std::string& name : vm.enabled_peripherals()) absl::StrAppend(&text, name, "\n");
  context.Print(text);
  if (text.empty()) context.Tell("no peripherals are enabled\n");
  return absl::OkStatus();
}

absl::Status SetPeripheral(Context& context, const Arguments& arguments) {
  const std::string verb = arguments.Text("ACTION");
  if (verb == "list") return ListPeripherals(context, arguments);
  v1::Action action;
  v1::Action::SetPeripheral& set = *action.mutable_set_peripheral();
  ASSIGN_OR_RETURN(const v1::PeripheralClass peripheral, ClassOf(arguments.Text("CLASS")));
  set.set_peripheral_class(peripheral);
  set.set_enabled(verb == "enable");
  if (arguments.Has("--exclusive") && arguments.Has("--shared")) {
    return UsageError("--exclusive and --shared exclude each other");
  }
  if (arguments.Has("--exclusive")) set.set_exclusive(true);
  if (arguments.Has("--shared")) set.set_exclusive(false);
  return ActOn(context, arguments, absl::StrCat(verb, " ", arguments.Text("CLASS"), " of"),
               std::move(action));
}

absl::StatusOr<int32_t> Count(const Arguments& arguments, const std::string& option) {
  const int64_t number = arguments.Number(option);
  if (number > std::numeric_limits<int32_t>::max()) {
    return UsageError(absl::StrCat(option, " is too large"));
  }
  return static_cast<int32_t>(number);
}

absl::Status SetResources(Context& context, const Arguments& arguments) {
  v1::Action action;
  v1::Action::SetResources& set = *action.mutable_set_resources();
  if (arguments.Has("--memory")) set.set_memory_mib(arguments.Number("--memory"));
  if (arguments.Has("--cpus")) {
    ASSIGN_OR_RETURN(const int32_t count, Count(arguments, "--cpus"));
    set.set_cpu_count(count);
  }
  if (arguments.Has("--cpu-shares")) {
    ASSIGN_OR_RETURN(const int32_t shares, Count(arguments, "--cpu-shares"));
    set.set_cpu_shares(shares);
  }
  if (arguments.Has("--cpu-limit")) set.set_cpu_limit(arguments.Number("--cpu-limit"));
  if (arguments.Has("--net-in")) set.set_network_in_kbps(arguments.Number("--net-in"));
  if (arguments.Has("--net-out")) set.set_network_out_kbps(arguments.Number("--net-out"));
  if (set.ByteSizeLong() == 0) return UsageError("say what to change: --memory, --cpus, …");
  return ActOn(context, arguments, "change", std::move(action));
}

absl::Status Share(Context& context, const Arguments& arguments) {
  v1::Action action;
  v1::Action::SetSharing& set = *action.mutable_set_sharing();
  set.set_peer(LastPart(arguments.Text("PEER")));
  const std::string channel = arguments.Has("--channel") ? arguments.Text("--channel") : "any";
  if (channel == "any") set.set_channel(v1::SharingRule::CHANNEL_ANY);
  if (channel == "network") set.set_channel(v1::SharingRule::CHANNEL_NETWORK);
  if (channel == "file") set.set_channel(v1::SharingRule::CHANNEL_FILE);
  if (channel == "clipboard") set.set_channel(v1::SharingRule::CHANNEL_CLIPBOARD);
  if (channel == "ipc") set.set_channel(v1::SharingRule::CHANNEL_IPC);
  const std::string direction = arguments.Text("--direction");
  set.set_direction(direction == "in"    ? v1::SharingRule::DIRECTION_IN
                    : direction == "out" ? v1::SharingRule::DIRECTION_OUT
                                         : v1::SharingRule::DIRECTION_BOTH);
  set.set_allow(!arguments.Has("--deny"));
  return ActOn(context, arguments, set.allow() ? "allow sharing with" : "deny sharing with",
               std::move(action));
}

absl::Status Transfer(Context& context, const Arguments& arguments) {
  v1::Action action;
  v1::Action::Transfer& transfer = *action.mutable_transfer();
  transfer.set_to(LastPart(arguments.Text("TO")));
  v1::Transfer& amounts = *transfer.mutable_amounts();
  amounts.set_memory_mib(arguments.Number("--memory"));
  ASSIGN_OR_RETURN(const int32_t count, Count(arguments, "--cpus"));
  amounts.set_cpu_count(count);
  amounts.set_cpu_limit(arguments.Number("--cpu-limit"));
  amounts.set_network_in_kbps(arguments.Number("--net-in"));
  amounts.set_network_out_kbps(arguments.Number("--net-out"));
  amounts.set_storage_mib(arguments.Number("--storage"));
  if (amounts.ByteSizeLong() == 0) return UsageError("say what to move: --memory, --cpus, …");
  action.set_virtual_machine(LastPart(arguments.Text("FROM")));
  return Act(context, arguments, "transfer from", arguments.Text("FROM"), std::move(action));
}

absl::Status GrantUnlock(Context& context, const Arguments& arguments) {
  v1::Action action;
  v1::Action::GrantUserUnlock& set = *action.mutable_grant_user_unlock();
  if (arguments.Has("--revoke")) {
    return ActOn(context, arguments, "revoke the user's unlock of", std::move(action));
  }
  v1::UserUnlock& grant = *set.mutable_grant();
  grant.set_allowed(true);
  grant.set_method(arguments.Has("--no-secret") ? v1::UserUnlock::METHOD_NONE
                                                : v1::UserUnlock::METHOD_SECRET);
  ASSIGN_OR_RETURN(const int32_t attempts, Count(arguments, "--attempts"));
  grant.set_max_attempts(attempts);
  ASSIGN_OR_RETURN(const int32_t wipe, Count(arguments, "--wipe-after"));
  grant.set_wipe_after(wipe);
  grant.set_one_time(arguments.Has("--one-time"));
  if (arguments.Has("--hours")) {
    const int64_t hours = arguments.Number("--hours");
    if (hours < 1 || hours > 24 * 3660) return UsageError("--hours must be 1 to 87840");
    grant.mutable_valid_until()->set_seconds(
        absl::ToUnixSeconds(context.now() + absl::Hours(hours)));
  }
  if (grant.method() == v1::UserUnlock::METHOD_SECRET) {
    ASSIGN_OR_RETURN(*set.mutable_secret(),
                     ReadSecret(arguments.Text("--secret-file"), "PIN or password for the user"));
  } else if (arguments.Has("--secret-file")) {
    return UsageError("--no-secret and --secret-file exclude each other");
  }
  return ActOn(context, arguments, "let the user unlock", std::move(action));
}

absl::Status Firmware(Context& context, const Arguments& arguments) {
  v1::Action action;
  v1::Action::UpdateFirmware& update = *action.mutable_update_firmware();
  if (arguments.Has("--image") == arguments.Has("--url")) {
    return UsageError("give either --image or --url");
  }
  if (arguments.Has("--url") != arguments.Has("--sha256")) {
    return UsageError("--url and --sha256 go together");
  }
  if (arguments.Has("--image")) update.set_image(FullName("images", arguments.Text("--image")));
  update.set_uri(arguments.Text("--url"));
  update.set_sha256(arguments.Text("--sha256"));
  update.set_version(arguments.Text("--version-text"));
  return ActOn(context, arguments, "update the firmware of", std::move(action));
}

Parameter NumberOption(const std::string& name, const std::string& help) {
  return {.name = name, .kind = Kind::kNumber, .help = help};
}

Parameter Flag(const std::string& name, const std::string& help) {
  return {.name = name, .kind = Kind::kFlag, .help = help};
}

Command PeripheralCommand() {
  return {"vm peripheral",
          "Give a class of peripherals to a virtual machine, take it, or list what it has",
          {{.name = "ACTION",
            .kind = Kind::kChoice,
            .help = "What to do",
            .required = true,
            .choices = {"enable", "disable", "list"}},
           DeviceParameter(),
           VirtualMachineParameter(),
           {.name = "CLASS",
            .kind = Kind::kChoice,
            .help = "Which; not for list",
            .choices = {kClasses.begin(), kClasses.end()}},
           Flag("--exclusive", "No other virtual machine has it meanwhile"),
           Flag("--shared", "Others may have it too"),
           NoWaitOption()},
          SetPeripheral};
}

Command ShareCommand() {
  return {
      "vm share",
      "Allow or deny what a virtual machine shares with another",
      {DeviceParameter(),
       VirtualMachineParameter(),
       {.name = "PEER", .kind = Kind::kVirtualMachine, .help = "The other, or *", .required = true},
       {.name = "--channel",
        .kind = Kind::kChoice,
        .help = "Which way data takes. Default any",
        .choices = {"any", "network", "file", "clipboard", "ipc"}},
       {.name = "--direction",
        .kind = Kind::kChoice,
        .help = "As seen from VM. Default both",
        .choices = {"in", "out", "both"}},
       Flag("--deny", "Deny it; without this it is allowed"),
       NoWaitOption()},
      Share};
}

Command GrantCommand() {
  return {"vm grant-unlock",
          "Let the device's user unlock a locked virtual machine, or take that back",
          {DeviceParameter(),
           VirtualMachineParameter(),
           {.name = "--secret-file",
            .kind = Kind::kFile,
            .help = "Where the user's PIN or password is (first line; - for standard input). "
                    "Default: asked for"},
           Flag("--no-secret", "Being logged in on the device is enough"),
           NumberOption("--hours", "How long it holds. Default: no end"),
           NumberOption("--attempts", "How many tries the user has. Default 5"),
           Flag("--one-time", "One unlock ends it"),
           NumberOption("--wipe-after", "Wipe the virtual machine after so many wrong tries"),
           Flag("--revoke", "Take the grant"),
           NoWaitOption()},
          GrantUnlock};
}

Command TransferCommand() {
  return {"vm transfer",
          "Move resources from one virtual machine to another, all or nothing",
          {DeviceParameter(),
           {.name = "FROM", .kind = Kind::kVirtualMachine, .help = "Who gives", .required = true},
           {.name = "TO", .kind = Kind::kVirtualMachine, .help = "Who gets", .required = true},
           NumberOption("--memory", "MiB of memory"),
           NumberOption("--cpus", "Virtual CPUs"),
           NumberOption("--cpu-limit", "Hundredths of a physical CPU"),
           NumberOption("--net-in", "kbit/s to the guest"),
           NumberOption("--net-out", "kbit/s from the guest"),
           NumberOption("--storage", "MiB of storage quota"),
           NoWaitOption()},
          Transfer};
}

}  // namespace

std::vector<Command> VmSettingCommands() {
  return {
      PeripheralCommand(),
      {"vm set",
       "Change a virtual machine's memory, CPUs and network rate",
       {DeviceParameter(), VirtualMachineParameter(), NumberOption("--memory", "MiB of memory"),
        NumberOption("--cpus", "Virtual CPUs"),
        NumberOption("--cpu-limit", "Hundredths of a physical CPU; 0 = none"),
        NumberOption("--cpu-shares", "Weight among others, 1 to 10000"),
        NumberOption("--net-in", "kbit/s to the guest; 0 = unlimited"),
        NumberOption("--net-out", "kbit/s from the guest; 0 = unlimited"), NoWaitOption()},
       SetResources},
      ShareCommand(),
      TransferCommand(),
      GrantCommand(),
      {"vm firmware",
       "Install firmware for a stopped virtual machine",
       {DeviceParameter(),
        VirtualMachineParameter(),
        {.name = "--image", .kind = Kind::kImage, .help = "An image of the library"},
        {.name = "--url", .help = "Or where the device fetches it (http, https)"},
        {.name = "--sha256", .help = "The SHA-256 of what is there, 64 hex digits"},
        {.name = "--version-text", .help = "Its version, for people"},
        NoWaitOption()},
       Firmware},
  };
}

}  // namespace virmo::cli
