// SPDX-License-Identifier: Apache-2.0
#include "services/server/dm/command_composer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "services/server/dm/virmo_tree.h"
#include "services/server/fleet/fleet_names.h"
#include "services/server/images/image_service.h"

namespace virmo::server {
namespace {

using syncml::Command;
using syncml::CommandKind;

Command MakeLeaf(CommandKind kind, const std::string& uri, const std::string& value,
                 const std::string& format) {
  Command command;
  command.kind = kind;
  command.items.push_back(syncml::MakeTargetItem(uri, value));
  command.items[0].meta.format = format;
  command.items[0].meta.type = "text/plain";
  return command;
}

Command MakeExec(const std::string& uri, const std::string& correlator,
                 const std::string& argument) {
  Command command;
  command.kind = CommandKind::kExec;
  command.correlator = correlator;
  command.items.push_back(syncml::MakeTargetItem(uri));
  if (!argument.empty()) {
    command.items[0].data = argument;
    command.items[0].meta.format = "chr";
    command.items[0].meta.type = "text/plain";
  }
  return command;
}

Sent NoteOf(const Command& command, const std::string& subject, bool decides) {
  Sent sent;
  sent.set_element(std::string(syncml::Name(command.kind)));
  if (!command.items.empty() && command.items[0].target) {
    sent.set_uri(command.items[0].target->uri);
  }
  sent.set_purpose(Sent::PURPOSE_COMMAND);
  sent.set_subject(subject);
  sent.set_decides(decides);
  return sent;
}

Outgoing Alone(Command command, const std::string& subject) {
  Outgoing outgoing;
  outgoing.sent.push_back(NoteOf(command, subject, true));
  outgoing.commands.push_back(std::move(command));
  return outgoing;
}

// The last child decides, and those marked so.
Outgoing InSequence(std::vector<Command> children, const std::string& subject, bool all_decide) {
  Command sequence;
  sequence.kind = CommandKind::kSequence;
  Outgoing outgoing;
  outgoing.sent.push_back(NoteOf(sequence, subject, false));
  for (size_t i = 0; i < children.size(); ++i) {
    outgoing.sent.push_back(NoteOf(children[i], subject, all_decide || i + 1 == children.size()));
  }
  sequence.children = std::move(children);
  outgoing.commands.push_back(std::move(sequence));
  return outgoing;
}

struct Package {
  std::string id;
  std::string uri;
  std::string media_type;
  std::string sha256;
};

absl::StatusOr<Package> PackageOf(const v1::Action::Provision& provision, ImageLibrary& images,
                                  const std::string& public_url) {
  if (provision.image().empty()) {
    return Package{absl::StrCat("sha-256:", provision.sha256()), provision.uri(),
                   provision.media_type(), provision.sha256()};
  }
  ASSIGN_OR_RETURN(const std::string id, ImageId(provision.image(), "image"));
  ASSIGN_OR_RETURN(const v1::Image image, images.Get(id));
  return Package{image.name(), ImageUri(public_url, image), image.media_type(), image.sha256()};
}

absl::StatusOr<Outgoing> ComposeProvision(const QueuedCommand& command, ImageLibrary& images,
                                          const std::string& public_url) {
  const v1::Action::Provision& provision = command.resource.action().provision();
  ASSIGN_OR_RETURN(const Package package, PackageOf(provision, images, public_url));
  const std::string node = ProvisionUri(command.id);
  std::vector<Command> steps;
  const auto add = [&](const char* leaf, const std::string& value, const char* format = "chr") {
    steps.push_back(MakeLeaf(CommandKind::kAdd, absl::StrCat(node, "/", leaf), value, format));
  };
  add("PkgID", package.id);
  add("VMID", command.resource.virtual_machine_id());
  add("Name", ProvisionedName(command.resource));
  add("PkgURL", package.uri);
  add("PkgType", package.media_type);
  add("Digest", absl::StrCat("sha-256:", package.sha256));
  if (provision.memory_mib() != 0) {
    add("Resources/RAM/Size", absl::StrCat(provision.memory_mib()), "int");
  }
  if (provision.cpu_count() != 0) {
    add("Resources/CPU/Count", absl::StrCat(provision.cpu_count()), "int");
  }
  add("AutoStart", provision.start() ? "true" : "false", "bool");
  steps.push_back(MakeExec(absl::StrCat(node, "/Operations/DownloadProvision"), command.id, ""));
  return InSequence(std::move(steps), command.id, false);
}

Outgoing ComposeLock(const QueuedCommand& command) {
  const v1::Action::Lock& lock = command.resource.action().lock();
  const std::string vm = VirtualMachineUri(command.resource.virtual_machine_id());
  Command exec = MakeExec(absl::StrCat(vm, "/Operations/Lock"), command.id, lock.reason());
  if (lock.mode() == v1::Lock::MODE_UNSPECIFIED) return Alone(std::move(exec), command.id);
  std::vector<Command> steps;
  steps.push_back(MakeLeaf(CommandKind::kReplace, absl::StrCat(vm, "/Lock/Mode"),
                           absl::StrCat(static_cast<int>(lock.mode())), "int"));
  steps.push_back(std::move(exec));
  return InSequence(std::move(steps), command.id, true);
}

Outgoing ComposeReads(const QueuedCommand& command) {
  Outgoing outgoing;
  for (const std::string& uri : command.resource.action().get().uris()) {
    Outgoing get = ComposeGet(uri, Sent::PURPOSE_COMMAND, command.id);
    outgoing.commands.push_back(std::move(get.commands[0]));
    outgoing.sent.push_back(std::move(get.sent[0]));
  }
  return outgoing;
}

Outgoing ComposeReplace(const QueuedCommand& command) {
  const v1::Action::Replace& replace = command.resource.action().replace();
  return Alone(MakeLeaf(CommandKind::kReplace, replace.uri(), replace.value(),
                        replace.format().empty() ? "chr" : replace.format()),
               command.id);
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

void NumberCommand(const std::string& msg_id, int* next, Command& command, std::vector<Sent>& sent,
                   size_t* index) {
  command.cmd_id = absl::StrCat((*next)++);
  Sent& note = sent[(*index)++];
  note.set_msg_id(msg_id);
  note.set_cmd_id(command.cmd_id);
  for (Command& child : command.children) NumberCommand(msg_id, next, child, sent, index);
}

}  // namespace

absl::StatusOr<Outgoing> ComposeCommand(const QueuedCommand& command, ImageLibrary& images,
                                        const std::string& public_url) {
  const v1::Action& action = command.resource.action();
  switch (action.action_case()) {
    case v1::Action::kProvision:
      return ComposeProvision(command, images, public_url);
    case v1::Action::kLock:
      return ComposeLock(command);
    case v1::Action::kGet:
      return ComposeReads(command);
    case v1::Action::kReplace:
      return ComposeReplace(command);
    case v1::Action::ACTION_NOT_SET:
      return Error(v1::ErrorInfo::REASON_INTERNAL, "a command without an action was queued");
    default:
      return Alone(MakeExec(absl::StrCat(VirtualMachineUri(command.resource.virtual_machine_id()),
                                         "/Operations/", OperationOf(action)),
                            command.id, ArgumentOf(action)),
                   command.id);
  }
}

Outgoing ComposeGet(const std::string& uri, Sent::Purpose purpose, const std::string& subject) {
  Command get;
  get.kind = CommandKind::kGet;
  get.items.push_back(syncml::MakeTargetItem(uri));
  Outgoing outgoing = Alone(std::move(get), subject);
  outgoing.sent[0].set_purpose(purpose);
  return outgoing;
}

void Number(const std::string& msg_id, int* next, Outgoing& outgoing) {
  size_t index = 0;
  for (Command& command : outgoing.commands) {
    NumberCommand(msg_id, next, command, outgoing.sent, &index);
  }
}

}  // namespace virmo::server
