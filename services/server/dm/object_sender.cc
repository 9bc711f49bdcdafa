// SPDX-License-Identifier: Apache-2.0
#include "services/server/dm/object_sender.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/runtime/status_macros.h"
#include "services/server/dm/exchange_text.h"

namespace virmo::server {
namespace {

// A message with less room for data than this waits for the next, which has fewer Statuses.
constexpr size_t kLeastChunk = 256;
constexpr int kMaxRestarts = 2;

// At most `size` octets from `begin` on, not ending within a character.
std::string Piece(const std::string& data, size_t begin, size_t size) {
  size_t end = std::min(begin + size, data.size());
  while (end > begin && end < data.size() &&
         (static_cast<unsigned char>(data[end]) & 0xC0) == 0x80) {
    --end;
  }
  return data.substr(begin, end - begin);
}

}  // namespace

bool ObjectSender::CanSplit(const PackagePlanner::Unit& unit) {
  if (unit.command.empty() || unit.outgoing.commands.size() != 1) return false;
  const syncml::Command& command = unit.outgoing.commands[0];
  return command.children.empty() && command.items.size() == 1 && command.items[0].data &&
         command.items[0].data->size() > kLeastChunk;
}

absl::Status ObjectSender::Begin(const PackagePlanner::Unit& unit) {
  const auto size = static_cast<int64_t>(unit.outgoing.commands[0].items[0].data->size());
  if (session_.max_object_size() > 0 && size > session_.max_object_size()) {
    return planner_.Refuse(unit.command, absl::StrCat("its data has ", size,
                                                      " octets; the device takes objects "
                                                      "of at most ",
                                                      session_.max_object_size()));
  }
  session_.set_outgoing_command(unit.command);
  session_.set_outgoing_sent(0);
  session_.set_outgoing_restarts(0);
  return absl::OkStatus();
}

void ObjectSender::Stop() {
  session_.clear_outgoing_command();
  session_.clear_outgoing_sent();
}

absl::StatusOr<bool> ObjectSender::SendChunk(Answer& answer) {
  const std::string id = session_.outgoing_command();
  if (id.empty()) return false;
  if (session_.outgoing_restarts() > kMaxRestarts) {
    Stop();
    RETURN_IF_ERROR(planner_.Refuse(id, "the device lost the object's end again and again"));
    return false;
  }
  ASSIGN_OR_RETURN(const auto queued, parts_.queue.Find(id));
  if (!queued || queued->state() > v1::Command::STATE_FETCHED) {
    Stop();
    return false;
  }
  ASSIGN_OR_RETURN(Outgoing outgoing, planner_.Compose(*queued));
  syncml::Command command = std::move(outgoing.commands[0]);
  const std::string data = *std::move(command.items[0].data);
  const auto begin = static_cast<size_t>(session_.outgoing_sent());
  if (begin == 0) command.items[0].meta.size = static_cast<int64_t>(data.size());
  command.cmd_id = absl::StrCat(session_.commands_numbered() + 1);
  command.items[0].data = "";
  command.items[0].more_data = true;
  answer.message.final = false;
  answer.message.body.push_back(command);
  syncml::Item& item = answer.message.body.back().items[0];
  const size_t empty = answer.Size();
  if (empty + kLeastChunk > answer.Limit() && answer.message.body.size() > 2) {
    answer.message.body.pop_back();  // The Statuses leave no room.
    return true;
  }
  size_t room = empty < answer.Limit() ? answer.Limit() - empty : 1;
  for (item.data = Piece(data, begin, room); answer.Size() > answer.Limit() && room > 1;) {
    room = room * 3 / 4;  // Escapes make it longer.
    item.data = Piece(data, begin, room);
  }
  const size_t end = begin + item.data->size();
  item.more_data = end < data.size();
  answer.message.final = !item.more_data;
  session_.set_commands_numbered(session_.commands_numbered() + 1);
  if (begin == 0) {
    RETURN_IF_ERROR(planner_.NoteFetched(id));
  }
  RETURN_IF_ERROR(
      Note(answer, answer.message.body.back(), static_cast<int64_t>(end), item.more_data));
  return true;
}

absl::Status ObjectSender::Note(const Answer& answer, const syncml::Command& command, int64_t end,
                                bool more) {
  Sent& sent = *session_.add_sent();
  sent.set_msg_id(answer.message.header.msg_id);
  sent.set_cmd_id(command.cmd_id);
  sent.set_element(std::string(syncml::Name(command.kind)));
  sent.set_uri(command.items[0].target->uri);
  sent.set_purpose(Sent::PURPOSE_COMMAND);
  sent.set_subject(session_.outgoing_command());
  sent.set_decides(true);
  sent.set_chunk_begin(session_.outgoing_sent());
  sent.set_chunk_end(end);
  sent.set_more_data(more);
  RETURN_IF_ERROR(
      parts_.queue.AddExchange(session_.outgoing_command(), true, ExchangeText(command)));
  if (!more) Stop();
  return absl::OkStatus();
}

}  // namespace virmo::server
