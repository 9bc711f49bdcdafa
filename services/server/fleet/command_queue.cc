// SPDX-License-Identifier: Apache-2.0
#include "services/server/fleet/command_queue.h"

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "services/server/fleet/fleet_names.h"
#include "services/server/fleet/secret_values.h"
#include "services/server/store/page.h"

namespace virmo::server {
namespace {

using v1::Command;

constexpr size_t kMaxExchangeSize = 64 << 10;
constexpr int64_t kMaxExchanges = 200;
// Of one device.
constexpr int64_t kMaxWaiting = 10000;
constexpr const char* kCutMark = "\n<!-- cut -->";

absl::StatusOr<QueuedCommand> Parse(const SqlRow& row) {
  QueuedCommand command;
  command.id = row.Text(0);
  command.device = row.Text(1);
  command.awaits_read = row.Int(2) != 0;
  command.session = row.Text(3);
  command.sealed = row.Text(5);
  if (command.resource.ParseFromString(row.Text(4))) return command;
  return Error(v1::ErrorInfo::REASON_STORAGE_FAILED,
               absl::StrCat("the record of command ", command.id, " is damaged"));
}

std::string Context(const std::string& id) { return absl::StrCat("command:", id); }

int64_t EndTime(const Command& command) {
  return command.has_end_time() ? absl::ToUnixMicros(FromTimestamp(command.end_time())) : 0;
}

bool IsDone(Command::State state) { return state >= Command::STATE_APPLIED; }

absl::Status NotFound(absl::string_view device, absl::string_view id) {
  return Error(v1::ErrorInfo::REASON_NOT_FOUND,
               absl::StrCat("no command ", CommandName(device, id)),
               {{"command", CommandName(device, id)}});
}

}  // namespace

std::string StateName(Command::State state) {
  const std::string name = Command::State_Name(state);
  return std::string(absl::StripPrefix(name, "STATE_"));
}

bool QueuedCommand::ended() const {
  return resource.state() > Command::STATE_APPLIED ||
         (resource.state() == Command::STATE_APPLIED && !awaits_read);
}

CommandQueue::CommandQueue(Database& database, const SecretBox& secrets, Clock clock)
    : database_(database), secrets_(secrets), clock_(std::move(clock)) {}

absl::StatusOr<v1::Action> CommandQueue::Open(const QueuedCommand& command) const {
  if (command.sealed.empty()) return command.resource.action();
  ASSIGN_OR_RETURN(const std::string octets, secrets_.Unseal(command.sealed, Context(command.id)));
  v1::Action action;
  if (action.ParseFromString(octets)) return action;
  return Error(v1::ErrorInfo::REASON_STORAGE_FAILED,
               absl::StrCat("the action of command ", command.id, " is damaged"));
}

absl::Status CommandQueue::CheckRoom(const std::string& device) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT COUNT(*) FROM command WHERE device = ?1 AND state < ?2",
                                   {device, int64_t{Command::STATE_APPLIED}}));
  if (rows[0].Int(0) < kMaxWaiting) return absl::OkStatus();
  return Error(v1::ErrorInfo::REASON_INSUFFICIENT_RESOURCES,
               absl::StrCat("device ", device, " has ", kMaxWaiting,
                            " commands waiting; cancel some, or let it come"));
}

void CommandQueue::Advance(QueuedCommand& command, Command::State state,
                           absl::string_view detail) const {
  const auto now = ToTimestamp(clock_());
  command.resource.set_state(state);
  Command::Step& step = *command.resource.add_timeline();
  step.set_state(state);
  *step.mutable_time() = now;
  step.set_detail(std::string(detail));
  if (IsDone(state) && !command.resource.has_end_time()) {
    *command.resource.mutable_end_time() = now;
  }
  if (state != Command::STATE_APPLIED) command.awaits_read = false;
}

absl::Status CommandQueue::Insert(QueuedCommand& command, Events& events) {
  return database_.Transact([&]() -> absl::Status {
    RETURN_IF_ERROR(CheckRoom(command.device));
    if (HasSecrets(command.resource.action())) {
      ASSIGN_OR_RETURN(command.sealed, secrets_.Seal(command.resource.action().SerializeAsString(),
                                                     Context(command.id)));
      RedactSecrets(*command.resource.mutable_action());
    }
    RETURN_IF_ERROR(
        database_.Execute("UPDATE counter SET value = value + 1 WHERE name = 'command'"));
    ASSIGN_OR_RETURN(const auto rows,
                     database_.Query("SELECT value FROM counter WHERE name = 'command'"));
    Command& resource = command.resource;
    resource.set_name(CommandName(command.device, command.id));
    resource.set_sequence(rows[0].Int(0));
    *resource.mutable_create_time() = ToTimestamp(clock_());
    Advance(command, Command::STATE_QUEUED, "waits for the device's next session");
    RETURN_IF_ERROR(database_.Execute(
        "INSERT INTO command (id, device, sequence, state, virtual_machine, awaits_read, end_time, "
        "session, resource, sealed) VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, '', ?6, ?7)",
        {command.id, command.device, resource.sequence(), int64_t{resource.state()},
         resource.virtual_machine_id(), Blob{resource.SerializeAsString()}, Blob{command.sealed}}));
    events.commands.push_back(resource);
    return absl::OkStatus();
  });
}

absl::Status CommandQueue::Save(const QueuedCommand& command, Events& events) {
  const Command& resource = command.resource;
  RETURN_IF_ERROR(database_.Execute(
      "UPDATE command SET state = ?2, virtual_machine = ?3, awaits_read = ?4, end_time = ?5, "
      "session = ?6, resource = ?7, sealed = ?8 WHERE id = ?1",
      {command.id, int64_t{resource.state()}, resource.virtual_machine_id(),
       int64_t{command.awaits_read}, EndTime(resource), command.session,
       Blob{resource.SerializeAsString()}, Blob{command.ended() ? "" : command.sealed}}));
  events.commands.push_back(resource);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<QueuedCommand>> CommandQueue::Select(
    const std::string& condition, const std::vector<SqlValue>& arguments) {
  ASSIGN_OR_RETURN(
      const auto rows,
      database_.Query(absl::StrCat("SELECT id, device, awaits_read, session, resource, sealed "
                                   "FROM command WHERE ",
                                   condition),
                      arguments));
  std::vector<QueuedCommand> commands;
  for (const SqlRow& row : rows) {
    ASSIGN_OR_RETURN(QueuedCommand command, Parse(row));
    commands.push_back(std::move(command));
  }
  return commands;
}

absl::StatusOr<std::optional<QueuedCommand>> CommandQueue::Find(const std::string& id) {
  ASSIGN_OR_RETURN(auto commands, Select("id = ?1", {id}));
  if (commands.empty()) return std::optional<QueuedCommand>();
  return std::optional<QueuedCommand>(std::move(commands[0]));
}

absl::StatusOr<Command> CommandQueue::Get(const std::string& device, const std::string& id) {
  ASSIGN_OR_RETURN(auto command, Find(id));
  if (!command || command->device != device) return NotFound(device, id);
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT resource FROM exchange WHERE command = ?1 ORDER BY "
                                   "number",
                                   {id}));
  for (const SqlRow& row : rows) command->resource.add_exchanges()->ParseFromString(row.Text(0));
  return std::move(command->resource);
}

absl::StatusOr<v1::ListCommandsResponse> CommandQueue::List(const std::string& device,
                                                            int page_size,
                                                            const std::string& page_token) {
  ASSIGN_OR_RETURN(const int size, PageSize(page_size));
  ASSIGN_OR_RETURN(const int64_t below,
                   PageNumber(page_token, std::numeric_limits<int64_t>::max()));
  const std::string order = "sequence < ?1 ORDER BY sequence DESC LIMIT ?2";
  std::vector<SqlValue> arguments = {below, int64_t{size} + 1};
  if (device != "-") arguments.push_back(device);
  ASSIGN_OR_RETURN(
      auto commands,
      Select(device == "-" ? order : absl::StrCat("device = ?3 AND ", order), arguments));
  v1::ListCommandsResponse response;
  for (QueuedCommand& command : commands) {
    if (response.commands_size() == size) {
      response.set_next_page_token(absl::StrCat(response.commands(size - 1).sequence()));
      break;
    }
    command.resource.clear_node_results();
    *response.add_commands() = std::move(command.resource);
  }
  return response;
}

absl::StatusOr<Command> CommandQueue::Cancel(const std::string& device, const std::string& id,
                                             Events& events) {
  std::optional<QueuedCommand> command;
  RETURN_IF_ERROR(database_.Transact([&]() -> absl::Status {
    ASSIGN_OR_RETURN(command, Find(id));
    if (!command || command->device != device) return NotFound(device, id);
    if (command->state() == Command::STATE_CANCELLED) return absl::OkStatus();
    if (command->state() > Command::STATE_NOTIFIED) {
      return Error(v1::ErrorInfo::REASON_WRONG_STATE,
                   absl::StrCat("cannot cancel a command that is ", StateName(command->state()),
                                ": it was sent to the device already"),
                   {{"state", StateName(command->state())}});
    }
    Advance(*command, Command::STATE_CANCELLED, "cancelled before it was sent");
    return Save(*command, events);
  }));
  return std::move(command->resource);
}

absl::StatusOr<std::vector<QueuedCommand>> CommandQueue::Unfinished(const std::string& device,
                                                                    int limit) {
  return Select("device = ?1 AND state < ?2 ORDER BY sequence LIMIT ?3",
                {device, int64_t{Command::STATE_APPLIED}, int64_t{limit}});
}

absl::StatusOr<std::vector<QueuedCommand>> CommandQueue::AwaitingRead(const std::string& device) {
  return Select("device = ?1 AND state = ?2 AND awaits_read = 1 ORDER BY sequence",
                {device, int64_t{Command::STATE_APPLIED}});
}

absl::StatusOr<std::vector<std::string>> CommandQueue::DevicesWithUnsent() {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT DISTINCT device FROM command WHERE state < ?1",
                                   {int64_t{Command::STATE_FETCHED}}));
  std::vector<std::string> devices;
  for (const SqlRow& row : rows) devices.push_back(row.Text(0));
  return devices;
}

absl::StatusOr<bool> CommandQueue::IsImageNeeded(const std::string& image_name) {
  ASSIGN_OR_RETURN(const auto commands, Select("state < ?1", {int64_t{Command::STATE_APPLIED}}));
  for (const QueuedCommand& command : commands) {
    if (command.resource.action().provision().image() == image_name) return true;
  }
  return false;
}

absl::Status CommandQueue::MarkNotified(const std::string& device, absl::string_view detail,
                                        Events& events) {
  return database_.Transact([&]() -> absl::Status {
    ASSIGN_OR_RETURN(auto commands, Select("device = ?1 AND state = ?2 ORDER BY sequence",
                                           {device, int64_t{Command::STATE_QUEUED}}));
    for (QueuedCommand& command : commands) {
      Advance(command, Command::STATE_NOTIFIED, detail);
      RETURN_IF_ERROR(Save(command, events));
    }
    return absl::OkStatus();
  });
}

absl::Status CommandQueue::AddExchange(const std::string& id, bool sent, std::string syncml) {
  if (syncml.size() > kMaxExchangeSize) {
    syncml.resize(kMaxExchangeSize);
    // Not in the middle of a character: the text must stay UTF-8.
    while (!syncml.empty() && (static_cast<unsigned char>(syncml.back()) & 0xC0) == 0x80) {
      syncml.pop_back();
    }
    if (!syncml.empty() && (static_cast<unsigned char>(syncml.back()) & 0x80) != 0) {
      syncml.pop_back();
    }
    syncml += kCutMark;
  }
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT COUNT(*) FROM exchange WHERE command = ?1", {id}));
  if (rows[0].Int(0) >= kMaxExchanges) return absl::OkStatus();
  Command::Exchange exchange;
  *exchange.mutable_time() = ToTimestamp(clock_());
  exchange.set_sent(sent);
  exchange.set_syncml(std::move(syncml));
  return database_.Execute("INSERT INTO exchange (command, number, resource) VALUES (?1, ?2, ?3)",
                           {id, rows[0].Int(0), Blob{exchange.SerializeAsString()}});
}

}  // namespace virmo::server
