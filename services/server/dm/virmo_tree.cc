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
                                   "LastOperation/ResultCode"};
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

bool SameValue(absl::string_view format, absl::string_view a, absl::string_view b) {
  if (format == "int") {
    int64_t x = 0;
    int64_t y = 0;
    return absl::SimpleAtoi(a, &x) && absl::SimpleAtoi(b, &y) && x == y;
  }
  if (format == "bool" || format == "b64") {
    a = absl::StripAsciiWhitespace(a);
    b = absl::StripAsciiWhitespace(b);
    return format == "bool" ? absl::EqualsIgnoreCase(a, b) : a == b;
  }
  return a == b;
}

}  // namespace virmo::server
