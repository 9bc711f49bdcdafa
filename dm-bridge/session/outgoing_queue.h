// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "services/syncml/codec.h"
#include "services/syncml/message.h"

namespace virmo::dm_bridge {

// Bytes that a command takes in a message, at most: in XML, which is the longer encoding.
size_t EncodedSize(const syncml::Command& command);

// A Results command as one or more that take at most `room` bytes each. An item that alone takes
// more has one of its own, which OutgoingQueue sends in chunks.
std::vector<syncml::Command> SplitResults(syncml::Command results, size_t room);

// Commands that wait to be sent, in order, and what puts them into messages: as many as fit, the
// data of one too large for any message as a large object, in chunks (OMA-TS-DM_Protocol §7).
class OutgoingQueue {
 public:
  explicit OutgoingQueue(syncml::Encoding encoding = syncml::Encoding::kXml)
      : encoding_(encoding) {}

  // `tag` is handed back when the command is sent, the last of it.
  void Add(syncml::Command&& command, std::string tag = "");
  void Clear();
  bool empty() const { return entries_.empty(); }

  // What a message took out of the queue.
  struct Sent {
    std::vector<std::pair<std::string, std::string>> tags;  // CmdID and tag.
    // CmdID and tag of a chunk that more follows upon.
    std::optional<std::pair<std::string, std::string>> chunk;
  };
  // Moves commands to the end of `message`, numbered, as long as it stays within `max_bytes`. A
  // command that cannot be cut is sent in any case, lest it block the way.
  Sent Fill(syncml::Message& message, size_t max_bytes);

  // The peer refused a chunk: the rest of that object is not sent.
  void DropRestOfObject();

 private:
  struct Entry {
    syncml::Command command;
    std::string tag;
    size_t sent = 0;  // Octets of its data that went in chunks.
  };

  size_t SizeOf(const syncml::Message& message) const;
  bool MakeChunk(Entry& entry, size_t room, bool must, syncml::Command* chunk) const;

  const syncml::Encoding encoding_;
  std::deque<Entry> entries_;
};

}  // namespace virmo::dm_bridge
