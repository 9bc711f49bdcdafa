// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/runtime/clock.h"
#include "services/runtime/sqlite.h"
#include "services/server/fleet/event_feed.h"
#include "services/server/store/secret_box.h"
#include "virmo/v1/command.pb.h"
#include "virmo/v1/fleet_service.pb.h"

namespace virmo::server {

// A command with what the API does not show.
struct QueuedCommand {
  std::string id;
  std::string device;
  v1::Command resource;      // without `exchanges`; secrets redacted
  std::string session;       // token of the session it was last sent in
  bool awaits_read = false;  // done; reading it back will confirm it
  std::string sealed;        // the action with its secrets, if it has some and has not ended

  v1::Command::State state() const { return resource.state(); }
  bool ended() const;
};

// The commands of each device, in the order in which they are delivered, with their timelines and
// what was said about them. Durable when the (caller's) transaction is. Thread-safe.
class CommandQueue {
 public:
  CommandQueue(Database& database, const SecretBox& secrets, Clock clock);

  // Records a new command, QUEUED, with the next sequence number; its secrets are sealed.
  // ALREADY_EXISTS for a known id, RESOURCE_EXHAUSTED while too many wait for the device.
  absl::Status Insert(QueuedCommand& command, Events& events);

  absl::StatusOr<std::optional<QueuedCommand>> Find(const std::string& id);
  // The command's action with its secrets.
  absl::StatusOr<v1::Action> Open(const QueuedCommand& command) const;
  // NOT_FOUND unless it is a command of `device`. With its exchanges.
  absl::StatusOr<v1::Command> Get(const std::string& device, const std::string& id);
  // Newest first; `device` "-" = all.
  absl::StatusOr<v1::ListCommandsResponse> List(const std::string& device, int page_size,
                                                const std::string& page_token);

  // FAILED_PRECONDITION (WRONG_STATE) once it was sent.
  absl::StatusOr<v1::Command> Cancel(const std::string& device, const std::string& id,
                                     Events& events);

  // Commands in QUEUED to ACCEPTED, in order of sequence, at most `limit`.
  absl::StatusOr<std::vector<QueuedCommand>> Unfinished(const std::string& device, int limit);
  // Commands that are done and wait to be read back.
  absl::StatusOr<std::vector<QueuedCommand>> AwaitingRead(const std::string& device);
  // Devices that have commands which were never sent.
  absl::StatusOr<std::vector<std::string>> DevicesWithUnsent();
  // Whether an unfinished command provisions from this image.
  absl::StatusOr<bool> IsImageNeeded(const std::string& image_name);

  // Moves it on: state, timeline, end time. Not stored before Save().
  void Advance(QueuedCommand& command, v1::Command::State state, absl::string_view detail) const;
  absl::Status Save(const QueuedCommand& command, Events& events);

  // QUEUED commands become NOTIFIED.
  absl::Status MarkNotified(const std::string& device, absl::string_view detail, Events& events);

  // Keeps what was said about a command, cut to a sane size.
  absl::Status AddExchange(const std::string& id, bool sent, std::string syncml);

 private:
  absl::Status CheckRoom(const std::string& device);
  absl::StatusOr<std::vector<QueuedCommand>> Select(const std::string& condition,
                                                    const std::vector<SqlValue>& arguments);

  Database& database_;
  const SecretBox& secrets_;
  const Clock clock_;
};

// `QUEUED`, for texts.
std::string StateName(v1::Command::State state);

}  // namespace virmo::server
