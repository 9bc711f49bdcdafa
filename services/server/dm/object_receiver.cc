// SPDX-License-Identifier: Apache-2.0
#include "services/server/dm/object_receiver.h"

#include <string>
#include <utility>

#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/base64.h"

namespace virmo::server {
namespace {

using syncml::Command;
using syncml::StatusCode;

std::string UriOf(const syncml::Item& item) {
  if (item.source) return item.source->uri;
  return item.target ? item.target->uri : "";
}

// A device may have counted the octets that base64 stands for.
bool IsSize(int64_t told, const std::string& data, absl::string_view format) {
  if (told == 0 || told == static_cast<int64_t>(data.size())) return true;
  if (format != "b64") return false;
  const auto octets = syncml::Base64Decode(data);
  return octets.ok() && told == static_cast<int64_t>(octets->size());
}

}  // namespace

absl::StatusOr<int> ObjectReceiver::Take(Command& command) {
  if (session_.has_incoming()) {
    if (Continues(command)) return GoOn(command);
    spdlog::warn("an object broke off device={} uri=\"{}\"", session_.device(),
                 session_.incoming().uri());
    broken_ = true;
    RETURN_IF_ERROR(Drop());
  }
  if (command.items.empty() || !command.items.back().more_data) return 0;
  return Begin(command);
}

bool ObjectReceiver::Continues(const Command& command) const {
  const IncomingObject& object = session_.incoming();
  if (command.items.empty() || object.element() != syncml::NameOf(command)) return false;
  const std::string uri = UriOf(command.items[0]);
  return (uri.empty() || uri == object.uri()) &&
         (command.cmd_ref.empty() || command.cmd_ref == object.cmd_ref());
}

absl::Status ObjectReceiver::Store(const std::string& data) {
  IncomingObject& object = *session_.mutable_incoming();
  object.set_received(object.received() + static_cast<int64_t>(data.size()));
  object.set_chunks(object.chunks() + 1);
  return parts_.database.Execute(
      "INSERT INTO object_chunk (token, number, data) VALUES (?1, ?2, ?3)",
      {session_.token(), int64_t{object.chunks()}, Blob{data}});
}

absl::StatusOr<int> ObjectReceiver::Begin(Command& command) {
  syncml::Item item = std::move(command.items.back());
  command.items.pop_back();
  const auto limit = static_cast<int64_t>(parts_.max_object_bytes);
  const int64_t size = item.meta.size.value_or(command.meta.size.value_or(0));
  if (size > limit || static_cast<int64_t>(item.data.value_or("").size()) > limit) {
    return Number(StatusCode::kEntityTooLarge);
  }
  IncomingObject& object = *session_.mutable_incoming();
  object.set_element(std::string(syncml::NameOf(command)));
  object.set_cmd_ref(command.cmd_ref);
  object.set_uri(UriOf(item));
  object.set_format(std::string(syncml::FormatOf(command, item)));
  object.set_type(item.meta.type.value_or(""));
  object.set_mark(item.meta.mark.value_or(""));
  object.set_size(size);
  RETURN_IF_ERROR(Store(item.data.value_or("")));
  return Number(StatusCode::kChunkAccepted);
}

absl::StatusOr<int> ObjectReceiver::GoOn(Command& command) {
  syncml::Item& item = command.items[0];
  const auto more = static_cast<int64_t>(item.data.value_or("").size());
  if (session_.incoming().received() + more > static_cast<int64_t>(parts_.max_object_bytes)) {
    RETURN_IF_ERROR(Drop());
    command.items.erase(command.items.begin());
    return Number(StatusCode::kEntityTooLarge);
  }
  RETURN_IF_ERROR(Store(item.data.value_or("")));
  if (!item.more_data) return Complete(command);
  command.items.erase(command.items.begin());
  return Number(StatusCode::kChunkAccepted);
}

absl::StatusOr<int> ObjectReceiver::Complete(Command& command) {
  ASSIGN_OR_RETURN(
      const auto rows,
      parts_.database.Query("SELECT data FROM object_chunk WHERE token = ?1 ORDER BY number",
                            {session_.token()}));
  std::string data;
  for (const SqlRow& row : rows) data += row.Text(0);
  const IncomingObject object = session_.incoming();
  RETURN_IF_ERROR(Drop());
  syncml::Item& item = command.items[0];
  if (!IsSize(object.size(), data, object.format())) {
    command.items.erase(command.items.begin());
    return Number(StatusCode::kSizeMismatch);
  }
  item.data = std::move(data);
  // What the first chunk said holds for the whole.
  if (!object.uri().empty()) item.source = syncml::Location{.uri = object.uri(), .name = ""};
  item.meta.format = object.format();
  if (!object.type().empty()) item.meta.type = object.type();
  if (!object.mark().empty()) item.meta.mark = object.mark();
  if (command.items.back().more_data) return Begin(command);
  return 0;
}

absl::Status ObjectReceiver::Drop() {
  session_.clear_incoming();
  return parts_.database.Execute("DELETE FROM object_chunk WHERE token = ?1", {session_.token()});
}

}  // namespace virmo::server
