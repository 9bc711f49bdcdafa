// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "services/syncml/message.h"

namespace virmo::dm_bridge {

// Bytes that a command takes in a message.
size_t EncodedSize(const syncml::Command& command);

// A Results command as one or more that take at most `room` bytes each, items kept whole. None if
// an item alone takes more.
std::vector<syncml::Command> SplitResults(syncml::Command results, size_t room);

// Commands that wait to be sent, in order, and what puts them into messages.
class OutgoingQueue {
 public:
  // `tag` is handed back when the command is sent.
  void Add(syncml::Command command, std::string tag = "");
  void Clear() { entries_.clear(); }
  bool empty() const { return entries_.empty(); }

  // Moves commands to the end of `message`, numbered, as long as it stays within `max_bytes` (but
  // one in any case, lest a huge one block the way). Returns CmdID and tag of those with a tag.
  std::vector<std::pair<std::string, std::string>> Fill(syncml::Message& message, size_t max_bytes);

 private:
  struct Entry {
    syncml::Command command;
    std::string tag;
  };
  std::deque<Entry> entries_;
};

}  // namespace virmo::dm_bridge
