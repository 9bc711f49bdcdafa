// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/session/outgoing_queue.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/syncml/base64.h"

namespace virmo::dm_bridge {
namespace {

using syncml::Command;
using syncml::Encoding;
using syncml::Item;

// An Alert 1222 and `<Final/>`.
constexpr size_t kSlack = 192;

// What a CmdID that is not given yet adds: digits, and an end tag instead of the slash.
constexpr size_t kCmdIdRoom = 16;

// A command takes at least that.
constexpr size_t kLeastSize = 128;

// The most that a text can grow to: every octet an escape of six.
constexpr size_t kWorstEscape = 6;

// Chunks smaller than that are not worth a message.
constexpr size_t kMinChunk = 64;

// The end of the longest piece from `begin` on of which XML takes at most `room` bytes, never
// within a character.
size_t EndOfPiece(const std::string& text, size_t begin, size_t room) {
  size_t end = begin;
  size_t size = 0;
  while (end < text.size()) {
    size_t next = end + 1;
    while (next < text.size() && (static_cast<unsigned char>(text[next]) & 0xC0U) == 0x80U) ++next;
    const bool escaped = std::string("&<>\r\"").find(text[end]) != std::string::npos;
    const size_t width = escaped ? kWorstEscape : next - end;
    if (size + width > room) break;
    size += width;
    end = next;
  }
  return end;
}

}  // namespace

size_t EncodedSize(const Command& command) { return syncml::XmlSize(command) + kCmdIdRoom; }

std::vector<Command> SplitResults(Command results, size_t room) {
  if (EncodedSize(results) <= room) return {std::move(results)};
  std::vector<Command> parts;
  Command part = results;
  part.items.clear();
  const size_t frame = EncodedSize(part);
  size_t size = frame;
  const auto close = [&] {
    if (!part.items.empty()) parts.push_back(part);
    part.items.clear();
    size = frame;
  };
  for (Item& item : results.items) {
    Command single = part;
    single.items = {item};
    const size_t item_size = EncodedSize(single) - frame;
    if (size + item_size > room) close();
    size += item_size;
    part.items.push_back(std::move(item));
  }
  close();
  return parts;
}

void OutgoingQueue::Add(Command&& command, std::string tag) {
  entries_.emplace_back(std::move(command), std::move(tag));
}

void OutgoingQueue::Clear() { entries_.clear(); }

void OutgoingQueue::DropRestOfObject() {
  if (!entries_.empty() && entries_.front().sent > 0) entries_.pop_front();
}

size_t OutgoingQueue::SizeOf(const syncml::Message& message) const {
  return syncml::Encode(message, encoding_).size() + kSlack;
}

// Cuts the next chunk off the data of `entry`'s one item. False if that has nothing to be cut, or
// not even a small chunk fits.
bool OutgoingQueue::MakeChunk(Entry& entry, size_t room, bool must, Command* chunk) const {
  if (entry.command.items.size() != 1 || !entry.command.items[0].data) return false;
  Item& item = entry.command.items[0];
  // XML holds no octets, and base64 must be cut as a whole.
  if (encoding_ == Encoding::kXml && absl::EqualsIgnoreCase(item.meta.format.value_or(""), "bin")) {
    item.meta.format = "b64";
    item.data = syncml::Base64Encode(*item.data);
  }
  const std::string& data = *item.data;
  *chunk = entry.command;
  Item& piece = chunk->items[0];
  piece.data = "";
  piece.more_data = true;
  if (entry.sent == 0) piece.meta.size = static_cast<int64_t>(data.size());
  const size_t frame = EncodedSize(*chunk);
  if (must) room = std::max(room, frame + kMinChunk);
  if (frame + kMinChunk > room) return false;
  const size_t end = EndOfPiece(data, entry.sent, room - frame);
  piece.data = data.substr(entry.sent, end - entry.sent);
  piece.more_data = end < data.size();
  entry.sent = end;
  return true;
}

OutgoingQueue::Sent OutgoingQueue::Fill(syncml::Message& message, size_t max_bytes) {
  Sent result;
  const size_t base = SizeOf(message);
  size_t size = base;
  message.body.reserve(message.body.size() + std::min(entries_.size(), max_bytes / kLeastSize) + 1);
  for (bool any = false; !entries_.empty(); any = true) {
    Entry& entry = entries_.front();
    const size_t entry_size = EncodedSize(entry.command);
    const bool fits = size + entry_size <= max_bytes && entry.sent == 0;
    if (!fits && any && base + entry_size <= max_bytes) break;  // It fits the next one.
    bool more = false;
    Command chunk;
    if (!fits && MakeChunk(entry, max_bytes - std::min(size, max_bytes), !any, &chunk)) {
      more = chunk.items[0].more_data;
      size += EncodedSize(chunk);
      message.body.push_back(std::move(chunk));
    } else if (!fits && any) {
      break;
    } else {
      size += entry_size;
      message.body.push_back(std::move(entry.command));
    }
    Command& command = message.body.back();
    command.cmd_id = absl::StrCat(message.body.size());
    if (more) {
      result.chunk.emplace(command.cmd_id, entry.tag);
    } else if (!entry.tag.empty()) {
      result.tags.emplace_back(command.cmd_id, std::move(entry.tag));
    }
    if (more) break;
    entries_.pop_front();
  }
  return result;
}

}  // namespace virmo::dm_bridge
