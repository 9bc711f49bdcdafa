// SPDX-License-Identifier: Apache-2.0
#include "services/server/dm/virmo_tree.h"

#include <cctype>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/server/fleet/fleet_names.h"

namespace virmo::server {
namespace {

constexpr int kStopped = 10;
constexpr int kRunning = 30;
constexpr int kSuspended = 60;
constexpr int kLocked = 10;

std::string Text(const Leaves& leaves, const char* path) {
  const auto found = leaves.find(path);
  return found == leaves.end() ? "" : found->second;
}

int64_t Number(const Leaves& leaves, const char* path) {
  int64_t number = 0;
  const std::string text = Text(leaves, path);
  return absl::SimpleAtoi(text, &number) ? number : 0;
}

}  // namespace

std::string VirtualMachineUri(absl::string_view id) {
  return absl::StrCat(kVirtualMachinesUri, "/", id);
}

std::string ProvisionUri(absl::string_view command_id) {
  return absl::StrCat("./VirMO/Provision/", command_id);
}

std::string OperationOf(const v1::Action& action) {
  const auto* field =
      action.GetDescriptor()->FindFieldByNumber(static_cast<int>(action.action_case()));
  if (field == nullptr) return "";
  std::string name = field->name();
  name[0] = absl::ascii_toupper(static_cast<unsigned char>(name[0]));
  return name;
}

std::string VirtualMachineOfUri(absl::string_view uri) {
  absl::ConsumePrefix(&uri, "./");
  if (!absl::ConsumePrefix(&uri, "VirMO/VMs/")) return "";
  return std::string(uri.substr(0, uri.find_first_of("/?")));
}

const std::vector<std::string>& InterestingLeaves() {
  static const std::vector<std::string>* const leaves =
      new std::vector<std::string>{"State",
                                   "Name",
                                   "Description",
                                   "Paused",
                                   "Lock/State",
                                   "Resources/RAM/Size",
                                   "Resources/RAM/Used",
                                   "Resources/CPU/Count",
                                   "Owner",
                                   "CreatedFrom",
                                   "LastOperation/Name",
                                   "LastOperation/ResultCode",
                                   "Resources/Pending",
                                   kKeyEscrowLeaf};
  return *leaves;
}

std::optional<v1::DeviceVirtualMachine> ReadVirtualMachine(absl::string_view device,
                                                           absl::string_view id,
                                                           const Leaves& leaves) {
  v1::DeviceVirtualMachine vm;
  vm.set_state(static_cast<int>(Number(leaves, "State")));
  if (vm.state() == 0) return std::nullopt;
  vm.set_name(DeviceVirtualMachineName(device, id));
  vm.set_display_name(Text(leaves, "Name"));
  vm.set_description(Text(leaves, "Description"));
  vm.set_paused(absl::EqualsIgnoreCase(Text(leaves, "Paused"), "true"));
  vm.set_locked(Number(leaves, "Lock/State") == kLocked);
  vm.set_memory_mib(Number(leaves, "Resources/RAM/Size"));
  vm.set_memory_used_mib(Number(leaves, "Resources/RAM/Used"));
  vm.set_cpu_count(static_cast<int>(Number(leaves, "Resources/CPU/Count")));
  vm.set_owner(Text(leaves, "Owner"));
  vm.set_created_from(Text(leaves, "CreatedFrom"));
  vm.set_last_operation(Text(leaves, "LastOperation/Name"));
  vm.set_last_result_code(static_cast<int>(Number(leaves, "LastOperation/ResultCode")));
  vm.set_pending(absl::EqualsIgnoreCase(Text(leaves, "Resources/Pending"), "true"));
  for (const auto& [path, value] : leaves) {
    absl::string_view name = path;
    const bool is_enabled = absl::ConsumePrefix(&name, "Peripherals/") &&
                            absl::ConsumeSuffix(&name, "/Enabled") &&
                            absl::EqualsIgnoreCase(value, "true");
    if (is_enabled) vm.add_enabled_peripherals(std::string(name));
  }
  return vm;
}

bool ReachesGoal(const v1::Action& action, const v1::DeviceVirtualMachine* vm) {
  if (action.has_delete_()) return vm == nullptr;
  if (vm == nullptr) return false;
  switch (action.action_case()) {
    case v1::Action::kProvision:
    case v1::Action::kClone:
      return true;
    case v1::Action::kStart:
    case v1::Action::kResume:
      return vm->state() == kRunning;
    case v1::Action::kStop:
      return vm->state() == kStopped;
    case v1::Action::kSuspend:
      return vm->state() == kSuspended;
    case v1::Action::kPause:
      return vm->paused();
    case v1::Action::kUnpause:
      return !vm->paused();
    case v1::Action::kLock:
      return vm->locked();
    case v1::Action::kUnlock:
      return !vm->locked();
    default:
      return false;
  }
}

std::string DescribeState(const v1::DeviceVirtualMachine* vm) {
  if (vm == nullptr) return "no such virtual machine";
  return absl::StrCat("State ", vm->state(), vm->paused() ? ", paused" : "",
                      vm->locked() ? ", locked" : "");
}

std::string PeripheralNode(v1::PeripheralClass peripheral_class) {
  switch (peripheral_class) {
    case v1::PERIPHERAL_CLASS_USB_STORAGE:
      return "USBStorage";
    case v1::PERIPHERAL_CLASS_OTHER_USB:
      return "OtherUSB";
    case v1::PERIPHERAL_CLASS_MEMORY_CARD:
      return "MemoryCard";
    case v1::PERIPHERAL_CLASS_WIFI:
      return "WiFi";
    case v1::PERIPHERAL_CLASS_BLUETOOTH:
      return "Bluetooth";
    case v1::PERIPHERAL_CLASS_NFC:
      return "NFC";
    case v1::PERIPHERAL_CLASS_GPS:
      return "GPS";
    case v1::PERIPHERAL_CLASS_VOICE_CALL_OUT:
      return "VoiceCallOut";
    case v1::PERIPHERAL_CLASS_VOICE_CALL_IN:
      return "VoiceCallIn";
    case v1::PERIPHERAL_CLASS_CAMERA:
      return "Camera";
    case v1::PERIPHERAL_CLASS_MICROPHONE:
      return "Microphone";
    case v1::PERIPHERAL_CLASS_DISPLAY:
      return "Display";
    case v1::PERIPHERAL_CLASS_CELLULAR_DATA:
      return "CellularData";
    case v1::PERIPHERAL_CLASS_SMART_CARD:
      return "SmartCard";
    default:
      return "";
  }
}

std::vector<Setting> ResourceSettings(const v1::Action::SetResources& resources,
                                      absl::string_view vm) {
  std::vector<Setting> settings;
  const auto add = [&](const char* leaf, int64_t value) {
    settings.push_back({.uri = absl::StrCat(VirtualMachineUri(vm), "/Resources/", leaf),
                        .format = "int",
                        .value = absl::StrCat(value)});
  };
  if (resources.has_memory_mib()) add("RAM/Size", resources.memory_mib());
  if (resources.has_cpu_count()) add("CPU/Count", resources.cpu_count());
  if (resources.has_cpu_shares()) add("CPU/Shares", resources.cpu_shares());
  if (resources.has_cpu_limit()) add("CPU/Limit", resources.cpu_limit());
  if (resources.has_network_in_kbps()) add("Network/InAverage", resources.network_in_kbps());
  if (resources.has_network_out_kbps()) add("Network/OutAverage", resources.network_out_kbps());
  return settings;
}

std::string SharingChannel(v1::SharingRule::Channel channel) {
  switch (channel) {
    case v1::SharingRule::CHANNEL_ANY:
      return "*";
    case v1::SharingRule::CHANNEL_NETWORK:
      return "network";
    case v1::SharingRule::CHANNEL_FILE:
      return "file";
    case v1::SharingRule::CHANNEL_CLIPBOARD:
      return "clipboard";
    case v1::SharingRule::CHANNEL_IPC:
      return "ipc";
    default:
      return "";
  }
}

std::string SharingDirection(v1::SharingRule::Direction direction) {
  switch (direction) {
    case v1::SharingRule::DIRECTION_IN:
      return "in";
    case v1::SharingRule::DIRECTION_OUT:
      return "out";
    case v1::SharingRule::DIRECTION_BOTH:
      return "both";
    default:
      return "";
  }
}

std::string SharingRuleUri(absl::string_view vm, const v1::Action::SetSharing& sharing) {
  const auto word = [](const std::string& text) { return text == "*" ? "any" : text; };
  return absl::StrCat(VirtualMachineUri(vm), "/DataSharing/Rules/", word(sharing.peer()), "-",
                      word(SharingChannel(sharing.channel())), "-",
                      SharingDirection(sharing.direction()));
}

std::string TransferUri(absl::string_view command_id) {
  return absl::StrCat("./VirMO/Transfers/", command_id);
}

std::string FirmwareUri(absl::string_view vm) {
  return absl::StrCat(VirtualMachineUri(vm), "/Firmware");
}

bool IsSuccessResult(absl::string_view alert_type, int result_code) {
  const bool fumo = absl::StrContains(alert_type, "firmwareupdate") ||
                    absl::StrContains(alert_type, "oma:at:fumo");
  const int first = fumo && result_code < 1000 ? 200 : 1200;
  return result_code >= first && result_code < first + 100;
}

}  // namespace virmo::server
