// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/session/outgoing_queue.h"

#include "absl/strings/str_cat.h"
#include "services/syncml/codec.h"

namespace virmo::dm_bridge {
namespace {

using syncml::Command;

// CmdID digits and `<Final/>`.
constexpr size_t kSlack = 64;

// The least that a text can grow to: every octet an escape of six.
constexpr size_t kWorstEscape = 6;

// An upper bound that costs nothing, to measure only what may matter.
size_t SizeBound(const Command& command) {
  size_t bound = 512;
  for (const syncml::Item& item : command.items) {
    bound += 400 + (item.data ? item.data->size() : 0) * kWorstEscape;
    if (item.source) bound += item.source->uri.size() * kWorstEscape;
  }
  return bound;
}

}  // namespace

size_t EncodedSize(const Command& command) {
  syncml::Message message;
  const size_t empty = syncml::Encode(message, syncml::Encoding::kXml).size();
  message.body.push_back(command);
  return syncml::Encode(message, syncml::Encoding::kXml).size() - empty + 8;
}

std::vector<Command> SplitResults(Command results, size_t room) {
  if (SizeBound(results) <= room || EncodedSize(results) <= room) return {std::move(results)};
  std::vector<Command> parts;
  Command part = results;
  part.items.clear();
  const size_t frame = EncodedSize(part);
  size_t size = frame;
  for (syncml::Item& item : results.items) {
    Command single = part;
    single.items = {item};
    const size_t item_size = EncodedSize(single) - frame;
    if (frame + item_size > room) return {};
    if (size + item_size > room) {
      parts.push_back(part);
      part.items.clear();
      size = frame;
    }
    size += item_size;
    part.items.push_back(std::move(item));
  }
  parts.push_back(std::move(part));
  return parts;
}

void OutgoingQueue::Add(Command command, std::string tag) {
  entries_.push_back({std::move(command), std::move(tag)});
}

std::vector<std::pair<std::string, std::string>> OutgoingQueue::Fill(syncml::Message& message,
                                                                     size_t max_bytes) {
  std::vector<std::pair<std::string, std::string>> tagged;
  size_t size = syncml::Encode(message, syncml::Encoding::kXml).size() + kSlack;
  size_t bound = size;
  for (const Entry& entry : entries_) bound += SizeBound(entry.command);
  const bool measure = bound > max_bytes;
  bool any = false;
  while (!entries_.empty()) {
    Entry& entry = entries_.front();
    const size_t entry_size = measure ? EncodedSize(entry.command) : 0;
    if (any && size + entry_size > max_bytes) break;
    size += entry_size;
    any = true;
    entry.command.cmd_id = absl::StrCat(message.body.size() + 1);
    if (!entry.tag.empty()) tagged.emplace_back(entry.command.cmd_id, std::move(entry.tag));
    message.body.push_back(std::move(entry.command));
    entries_.pop_front();
  }
  return tagged;
}

}  // namespace virmo::dm_bridge
