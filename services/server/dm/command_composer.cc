// SPDX-License-Identifier: Apache-2.0
#include "services/server/dm/command_composer.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "services/server/dm/virmo_tree.h"
#include "services/server/fleet/fleet_names.h"
#include "services/server/images/image_service.h"
#include "services/syncml/base64.h"
#include "services/syncml/uri.h"

namespace virmo::server {
namespace {

using syncml::Command;
using syncml::CommandKind;
using Operation = v1::Action::Tree::Operation;

std::string OperationUri(const OpenCommand& command) {
  return absl::StrCat(VirtualMachineUri(command.virtual_machine_id), "/Operations/",
                      OperationOf(command.action));
}

Outgoing ComposeLock(const OpenCommand& command) {
  const v1::Action::Lock& lock = command.action.lock();
  const std::string vm = VirtualMachineUri(command.virtual_machine_id);
  Command exec = MakeExec(OperationUri(command), command.id, lock.reason());
  if (lock.mode() == v1::Lock::MODE_UNSPECIFIED) return Alone(std::move(exec), command.id);
  std::vector<Command> steps;
  steps.push_back(MakeLeaf(CommandKind::kReplace, absl::StrCat(vm, "/Lock/Mode"),
                           absl::StrCat(static_cast<int>(lock.mode())), "int"));
  steps.push_back(std::move(exec));
  return InSequence(std::move(steps), command.id, Decides::kAll);
}

Outgoing ComposeReads(const OpenCommand& command) {
  Outgoing outgoing;
  for (const std::string& uri : command.action.get().uris()) {
    Append(ComposeGet(uri, Sent::PURPOSE_COMMAND, command.id), outgoing);
  }
  return outgoing;
}

std::string FormatOr(const std::string& format) { return format.empty() ? "chr" : format; }

Outgoing ComposeReplace(const OpenCommand& command) {
  const v1::Action::Replace& replace = command.action.replace();
  return Alone(
      MakeLeaf(CommandKind::kReplace, replace.uri(), replace.value(), FormatOr(replace.format())),
      command.id);
}

// A node without value or format `node` is an interior one.
Command MakeAdd(const Operation& operation) {
  Command add =
      MakeLeaf(CommandKind::kAdd, operation.uri(), operation.value(), FormatOr(operation.format()));
  if (operation.format() == "node") {
    add.items[0].data.reset();
    add.items[0].meta.type.reset();
  }
  return add;
}

Command MakeOperation(const Operation& operation, const std::string& correlator) {
  Command command;
  switch (operation.verb()) {
    case Operation::VERB_ADD:
      command = MakeAdd(operation);
      break;
    case Operation::VERB_REPLACE:
      command = MakeLeaf(CommandKind::kReplace, operation.uri(), operation.value(),
                         FormatOr(operation.format()));
      break;
    case Operation::VERB_EXEC:
      command = MakeExec(operation.uri(), correlator, operation.value());
      if (!operation.format().empty() && !operation.value().empty()) {
        command.items[0].meta.format = operation.format();
      }
      break;
    case Operation::VERB_GET:
      return MakeGet(operation.uri());
    default:
      command.kind =
          operation.verb() == Operation::VERB_COPY ? CommandKind::kCopy : CommandKind::kDelete;
      command.items.push_back(syncml::MakeTargetItem(operation.uri()));
      if (command.kind == CommandKind::kCopy) {
        command.items[0].source = syncml::Location{.uri = operation.source_uri(), .name = ""};
      }
      return command;
  }
  if (!operation.type().empty()) command.items[0].meta.type = operation.type();
  return command;
}

// The command ends with the alert of its last Exec, which therefore has its id; the others' alerts
// are kept under ids of their own.
Outgoing ComposeTree(const OpenCommand& command) {
  const v1::Action::Tree& tree = command.action.tree();
  int execs = 0;
  for (const Operation& operation : tree.operations()) {
    execs += operation.verb() == Operation::VERB_EXEC ? 1 : 0;
  }
  std::vector<Command> steps;
  for (const Operation& operation : tree.operations()) {
    std::string correlator = command.id;
    if (operation.verb() == Operation::VERB_EXEC && --execs > 0) {
      absl::StrAppend(&correlator, "-", execs);
    }
    steps.push_back(MakeOperation(operation, correlator));
  }
  if (tree.mode() == v1::Action::Tree::MODE_ATOMIC) return InAtomic(std::move(steps), command.id);
  if (steps.size() == 1) return Alone(std::move(steps[0]), command.id);
  return InSequence(std::move(steps), command.id, Decides::kAll);
}

std::string ArgumentOf(const v1::Action& action) {
  switch (action.action_case()) {
    case v1::Action::kStop:
      return action.stop().force() ? "force" : "";
    case v1::Action::kDelete:
      return action.delete_().force() ? "force" : "";
    case v1::Action::kClone:
      return action.clone().display_name();
    default:
      return "";
  }
}

}  // namespace

absl::StatusOr<CommandComposer::Package> CommandComposer::ImageOf(const std::string& image) const {
  ASSIGN_OR_RETURN(const std::string id, ImageId(image, "image"));
  ASSIGN_OR_RETURN(const v1::Image found, images_.Get(id));
  return Package{found.name(), ImageUri(public_url_, found), found.media_type(), found.sha256()};
}

absl::StatusOr<Outgoing> CommandComposer::ComposeProvision(const OpenCommand& command) const {
  const v1::Action::Provision& provision = command.action.provision();
  Package package{absl::StrCat("sha-256:", provision.sha256()), provision.uri(),
                  provision.media_type(), provision.sha256()};
  if (!provision.image().empty()) {
    ASSIGN_OR_RETURN(package, ImageOf(provision.image()));
  }
  const std::string node = ProvisionUri(command.id);
  std::vector<Command> steps;
  const auto add = [&](const std::string& leaf, const std::string& value,
                       const char* format = "chr") {
    steps.push_back(MakeLeaf(CommandKind::kAdd, absl::StrCat(node, "/", leaf), value, format));
  };
  add("PkgID", package.id);
  add("VMID", command.virtual_machine_id);
  add("Name", ProvisionedName(provision, command.virtual_machine_id));
  add("PkgURL", package.uri);
  add("PkgType", package.media_type);
  add("Digest", absl::StrCat("sha-256:", package.sha256));
  if (provision.memory_mib() != 0) {
    add("Resources/RAM/Size", absl::StrCat(provision.memory_mib()), "int");
  }
  if (provision.cpu_count() != 0) {
    add("Resources/CPU/Count", absl::StrCat(provision.cpu_count()), "int");
  }
  if (provision.encrypted()) add("Ext/VirMO/Encrypted", "true", "bool");
  if (!provision.deployment_option().empty()) {
    add("Ext/VirMO/DeploymentOption", provision.deployment_option());
  }
  if (provision.accept_eulas()) add("Ext/VirMO/AcceptEULAs", "true", "bool");
  for (const auto& [key, value] : provision.properties()) {
    add(absl::StrCat("Ext/VirMO/Properties/", syncml::EscapeSegment(key)), value);
  }
  add("AutoStart", provision.start() ? "true" : "false", "bool");
  Command exec = MakeExec(absl::StrCat(node, "/Operations/DownloadProvision"), command.id, "");
  if (!provision.encrypted()) {
    steps.push_back(std::move(exec));
    return InSequence(std::move(steps), command.id, Decides::kLast);
  }
  // A device that knows no encryption must not make a machine whose disk is open.
  if (command.prepared) return Alone(std::move(exec), command.id);
  Outgoing outgoing = InSequence(std::move(steps), command.id, Decides::kLast);
  for (Sent& sent : outgoing.sent) {
    sent.set_decides(sent.element() == "Sequence");
    sent.set_essential(sent.uri() == absl::StrCat(node, "/Ext/VirMO/Encrypted"));
  }
  return outgoing;
}

// Of an encrypted machine the device may have no key any more: it gets it with the command.
absl::StatusOr<Outgoing> CommandComposer::ComposeUnlock(const OpenCommand& command) const {
  std::string argument;
  ASSIGN_OR_RETURN(const bool held, escrow_.Holds(command.device, command.virtual_machine_id));
  if (held) {
    ASSIGN_OR_RETURN(const std::string key,
                     escrow_.Release(command.device, command.virtual_machine_id));
    argument = absl::StrCat("key:", syncml::Base64Encode(key));
  }
  return Alone(MakeExec(OperationUri(command), command.id, argument), command.id);
}

absl::StatusOr<Outgoing> CommandComposer::ComposeFirmware(const OpenCommand& command) const {
  const v1::Action::UpdateFirmware& update = command.action.update_firmware();
  Package package{"", update.uri(), "", update.sha256()};
  if (!update.image().empty()) {
    ASSIGN_OR_RETURN(package, ImageOf(update.image()));
  }
  const std::string node = FirmwareUri(command.virtual_machine_id);
  std::vector<Command> steps;
  const auto set = [&](const char* leaf, const std::string& value) {
    steps.push_back(MakeLeaf(CommandKind::kReplace, absl::StrCat(node, "/", leaf), value, "chr"));
  };
  if (!update.version().empty()) set("PkgVersion", update.version());
  set("Ext/VirMO/Digest", absl::StrCat("sha-256:", package.sha256));
  set("DownloadAndUpdate/PkgURL", package.uri);
  steps.push_back(MakeExec(absl::StrCat(node, "/DownloadAndUpdate"), command.id, ""));
  Outgoing outgoing = InSequence(std::move(steps), command.id, Decides::kAll);
  // The version is for people: FUMO lets a device do without the node.
  for (Sent& sent : outgoing.sent) {
    if (sent.uri() == absl::StrCat(node, "/PkgVersion")) sent.set_decides(false);
  }
  return outgoing;
}

absl::StatusOr<Outgoing> CommandComposer::Compose(const OpenCommand& command) const {
  switch (command.action.action_case()) {
    case v1::Action::kProvision:
      return ComposeProvision(command);
    case v1::Action::kLock:
      return ComposeLock(command);
    case v1::Action::kUnlock:
      return ComposeUnlock(command);
    case v1::Action::kGet:
      return ComposeReads(command);
    case v1::Action::kReplace:
      return ComposeReplace(command);
    case v1::Action::kSetPeripheral:
      return ComposePeripheral(command);
    case v1::Action::kSetResources:
      return ComposeResources(command);
    case v1::Action::kSetSharing:
      return ComposeSharing(command);
    case v1::Action::kTransfer:
      return ComposeTransfer(command);
    case v1::Action::kGrantUserUnlock:
      return ComposeGrant(command);
    case v1::Action::kUpdateFirmware:
      return ComposeFirmware(command);
    case v1::Action::kTree:
      return ComposeTree(command);
    case v1::Action::ACTION_NOT_SET:
      return Error(v1::ErrorInfo::REASON_INTERNAL, "a command without an action was queued");
    default:
      return Alone(MakeExec(OperationUri(command), command.id, ArgumentOf(command.action)),
                   command.id);
  }
}

}  // namespace virmo::server
