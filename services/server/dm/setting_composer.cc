// SPDX-License-Identifier: Apache-2.0
// The commands that change settings: peripherals, resources, data sharing, transfers, user unlock.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/runtime/clock.h"
#include "services/server/dm/command_composer.h"
#include "services/server/dm/virmo_tree.h"

namespace virmo::server {
namespace {

using syncml::Command;
using syncml::CommandKind;

Command Set(const std::string& uri, const std::string& value, const char* format) {
  return MakeLeaf(CommandKind::kReplace, uri, value, format);
}

const char* Bool(bool value) { return value ? "true" : "false"; }

Outgoing OneOrSequence(std::vector<Command> steps, const std::string& id) {
  if (steps.size() == 1) return Alone(std::move(steps[0]), id);
  return InSequence(std::move(steps), id, Decides::kAll);
}

}  // namespace

Outgoing ComposePeripheral(const OpenCommand& command) {
  const v1::Action::SetPeripheral& set = command.action.set_peripheral();
  const std::string node = absl::StrCat(VirtualMachineUri(command.virtual_machine_id),
                                        "/Peripherals/", PeripheralNode(set.peripheral_class()));
  std::vector<Command> steps;
  if (set.has_exclusive()) {
    steps.push_back(Set(absl::StrCat(node, "/Exclusive"), Bool(set.exclusive()), "bool"));
  }
  steps.push_back(MakeExec(absl::StrCat(node, "/Operations/", set.enabled() ? "Enable" : "Disable"),
                           command.id, ""));
  return OneOrSequence(std::move(steps), command.id);
}

Outgoing ComposeResources(const OpenCommand& command) {
  std::vector<Command> steps;
  for (const Setting& setting :
       ResourceSettings(command.action.set_resources(), command.virtual_machine_id)) {
    steps.push_back(Set(setting.uri, setting.value, setting.format.c_str()));
  }
  return OneOrSequence(std::move(steps), command.id);
}

// The rule's node is named after what it is about, so that the same rule is never there twice.
Outgoing ComposeSharing(const OpenCommand& command) {
  const v1::Action::SetSharing& set = command.action.set_sharing();
  const std::string node = SharingRuleUri(command.virtual_machine_id, set);
  std::vector<Command> steps;
  const auto add = [&](const char* leaf, const std::string& value, const char* format) {
    steps.push_back(MakeLeaf(CommandKind::kAdd, absl::StrCat(node, "/", leaf), value, format));
  };
  add("Peer", set.peer(), "chr");
  add("Direction", SharingDirection(set.direction()), "chr");
  add("Channel", SharingChannel(set.channel()), "chr");
  add("Allow", Bool(set.allow()), "bool");
  steps.push_back(Set(absl::StrCat(node, "/Allow"), Bool(set.allow()), "bool"));
  return InSequence(std::move(steps), command.id, Decides::kLast);
}

Outgoing ComposeTransfer(const OpenCommand& command) {
  const v1::Action::Transfer& transfer = command.action.transfer();
  const std::string node = TransferUri(command.id);
  std::vector<Command> steps;
  const auto add = [&](const char* leaf, const std::string& value, const char* format) {
    steps.push_back(MakeLeaf(CommandKind::kAdd, absl::StrCat(node, "/", leaf), value, format));
  };
  add("From", command.virtual_machine_id, "chr");
  add("To", transfer.to(), "chr");
  const v1::Transfer& amounts = transfer.amounts();
  const std::pair<const char*, int64_t> leaves[] = {
      {"RAM", amounts.memory_mib()},          {"CPUCount", amounts.cpu_count()},
      {"CPULimit", amounts.cpu_limit()},      {"NetIn", amounts.network_in_kbps()},
      {"NetOut", amounts.network_out_kbps()}, {"Storage", amounts.storage_mib()}};
  for (const auto& [leaf, amount] : leaves) {
    if (amount != 0) add(leaf, absl::StrCat(amount), "int");
  }
  steps.push_back(MakeExec(absl::StrCat(node, "/Operations/Execute"), command.id, ""));
  return InSequence(std::move(steps), command.id, Decides::kLast);
}

// What the grant says comes first, so that it is never in force half made; taking it comes alone.
Outgoing ComposeGrant(const OpenCommand& command) {
  const v1::UserUnlock& grant = command.action.grant_user_unlock().grant();
  const std::string& secret = command.action.grant_user_unlock().secret();
  const std::string node =
      absl::StrCat(VirtualMachineUri(command.virtual_machine_id), "/Lock/UserUnlock/");
  std::vector<Command> steps;
  if (grant.allowed()) {
    steps.push_back(Set(node + "Method", absl::StrCat(static_cast<int>(grant.method())), "int"));
    if (!secret.empty()) steps.push_back(Set(node + "Secret", secret, "chr"));
    const std::string until =
        grant.has_valid_until()
            ? absl::FormatTime("%Y%m%dT%H%M%SZ", FromTimestamp(grant.valid_until()),
                               absl::UTCTimeZone())
            : "";
    steps.push_back(Set(node + "ValidUntil", until, "chr"));
    if (grant.max_attempts() != 0) {
      steps.push_back(Set(node + "MaxAttempts", absl::StrCat(grant.max_attempts()), "int"));
    }
    steps.push_back(Set(node + "OneTime", Bool(grant.one_time()), "bool"));
    steps.push_back(Set(node + "WipeAfter", absl::StrCat(grant.wipe_after()), "int"));
  }
  steps.push_back(Set(node + "Allowed", Bool(grant.allowed()), "bool"));
  return OneOrSequence(std::move(steps), command.id);
}

}  // namespace virmo::server
