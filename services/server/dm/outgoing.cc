// SPDX-License-Identifier: Apache-2.0
#include "services/server/dm/outgoing.h"

#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"

namespace virmo::server {
namespace {

using syncml::Command;
using syncml::CommandKind;

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

Outgoing Within(CommandKind kind, std::vector<Command> children, const std::string& subject,
                Decides decides) {
  Command whole;
  whole.kind = kind;
  Outgoing outgoing;
  outgoing.sent.push_back(NoteOf(whole, subject, false));
  for (size_t i = 0; i < children.size(); ++i) {
    const bool does = decides == Decides::kAll || i + 1 == children.size();
    outgoing.sent.push_back(NoteOf(children[i], subject, does));
  }
  whole.children = std::move(children);
  outgoing.commands.push_back(std::move(whole));
  return outgoing;
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

Command MakeGet(const std::string& uri) {
  Command get;
  get.kind = CommandKind::kGet;
  get.items.push_back(syncml::MakeTargetItem(uri));
  return get;
}

Outgoing Alone(Command command, const std::string& subject) {
  Outgoing outgoing;
  outgoing.sent.push_back(NoteOf(command, subject, true));
  outgoing.commands.push_back(std::move(command));
  return outgoing;
}

Outgoing InSequence(std::vector<Command> children, const std::string& subject, Decides decides) {
  return Within(CommandKind::kSequence, std::move(children), subject, decides);
}

Outgoing InAtomic(std::vector<Command> children, const std::string& subject) {
  return Within(CommandKind::kAtomic, std::move(children), subject, Decides::kAll);
}

Outgoing ComposeGet(const std::string& uri, Sent::Purpose purpose, const std::string& subject) {
  Outgoing outgoing = Alone(MakeGet(uri), subject);
  outgoing.sent[0].set_purpose(purpose);
  return outgoing;
}

void Append(Outgoing more, Outgoing& to) {
  to.commands.insert(to.commands.end(), std::make_move_iterator(more.commands.begin()),
                     std::make_move_iterator(more.commands.end()));
  to.sent.insert(to.sent.end(), std::make_move_iterator(more.sent.begin()),
                 std::make_move_iterator(more.sent.end()));
}

void Number(const std::string& msg_id, int* next, Outgoing& outgoing) {
  size_t index = 0;
  for (Command& command : outgoing.commands) {
    NumberCommand(msg_id, next, command, outgoing.sent, &index);
  }
}

}  // namespace virmo::server
