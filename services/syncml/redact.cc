// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/redact.h"

#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace virmo::syncml {
namespace {

bool NamesSecret(absl::string_view text) {
  const std::string lower = absl::AsciiStrToLower(text);
  return absl::StrContains(lower, "secret") || absl::StrContains(lower, "authdata");
}

void RedactMeta(Meta& meta) {
  if (meta.next_nonce) meta.next_nonce = std::string(kRedacted);
}

}  // namespace

bool IsSecret(const Command& command, const Item& item, absl::string_view data) {
  if (command.kind == CommandKind::kStatus && command.cmd == "Alert") return true;
  if (item.target && NamesSecret(item.target->uri)) return true;
  if (item.source && NamesSecret(item.source->uri)) return true;
  // Results may name the node only beside the items, as a reference.
  for (const std::string& uri : command.target_refs) {
    if (command.kind == CommandKind::kResults && NamesSecret(uri)) return true;
  }
  for (const std::string& uri : command.source_refs) {
    if (command.kind == CommandKind::kResults && NamesSecret(uri)) return true;
  }
  return absl::StrContains(TypeOf(command, item), "dmtnds") ? NamesSecret(data)
                                                            : absl::StrContains(data, "AAuth");
}

Command Redact(Command command) {
  if (command.cred) command.cred->data = std::string(kRedacted);
  if (command.chal) RedactMeta(command.chal->meta);
  RedactMeta(command.meta);
  for (Item& item : command.items) {
    RedactMeta(item.meta);
    if (item.data && IsSecret(command, item, *item.data)) item.data = std::string(kRedacted);
  }
  for (Command& child : command.children) child = Redact(std::move(child));
  return command;
}

Message Redact(Message message) {
  if (message.header.cred) message.header.cred->data = std::string(kRedacted);
  RedactMeta(message.header.meta);
  for (Command& command : message.body) command = Redact(std::move(command));
  return message;
}

}  // namespace virmo::syncml
