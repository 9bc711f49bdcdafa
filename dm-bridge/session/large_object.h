// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "services/syncml/message.h"

namespace virmo::dm_bridge {

// Puts the large objects of a server together: an Item's data that comes in chunks, in messages
// that follow one another (OMA-TS-DM_Protocol §7). Not thread-safe.
class LargeObjectAssembler {
 public:
  // Objects of more than `max_bytes` are refused (413), whole ones too.
  explicit LargeObjectAssembler(int64_t max_bytes) : max_bytes_(max_bytes) {}

  // A message begins.
  void BeginMessage(const std::string& msg_id);

  // Whether Take() would do anything about the command: it brings a chunk or an object that is too
  // large, or an object is open.
  bool Concerns(const syncml::Command& command) const;

  // What is left of a command of the message's body to be carried out, with the object's whole data
  // where this was its last chunk; nothing if it only brought a chunk. Adds to `answers` the Status
  // of each item that is not in there, and an Alert 1225 if an object was broken off.
  std::optional<syncml::Command> Take(syncml::Command command,
                                      std::vector<syncml::Command>& answers);

  // The message is over: adds an Alert 1225 if it did not go on with an object that was open.
  void EndMessage(std::vector<syncml::Command>& answers);

  // Everything begins anew.
  void Reset() { object_.reset(); }

  // More of an object is to come.
  bool open() const { return object_.has_value(); }

 private:
  struct Object {
    syncml::CommandKind kind;
    std::string target;
    syncml::Item first;    // With the data so far.
    bool refused = false;  // The rest is thrown away.
  };

  bool IsTooLarge(const syncml::Item& item) const;
  bool GoesOn(const syncml::Command& command, const syncml::Item& item) const;
  void BreakOff(std::vector<syncml::Command>& answers);
  // The code of an item that was a chunk or an object that must not be; nothing if the item, now
  // with all its data, is to be carried out.
  std::optional<syncml::StatusCode> TakeItem(const syncml::Command& command, syncml::Item& item);
  std::optional<syncml::StatusCode> Finish(syncml::Item& item);

  const int64_t max_bytes_;
  std::string msg_id_;
  std::optional<Object> object_;
  bool was_open_ = false;  // When the message began, and nothing came of it yet.
};

}  // namespace virmo::dm_bridge
