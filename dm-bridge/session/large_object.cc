// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/session/large_object.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "services/syncml/base64.h"
#include "services/syncml/codec.h"
#include "services/syncml/tnds.h"

namespace virmo::dm_bridge {
namespace {

using syncml::Command;
using syncml::Item;
using syncml::StatusCode;

std::string TargetOf(const Item& item) {
  return item.target ? std::string(absl::StripAsciiWhitespace(item.target->uri)) : "";
}

// A document in WBXML that came whole was made XML by the codec, which could not do so with chunks.
void ExpandTnds(const Command& command, Item& item) {
  if (!absl::EqualsIgnoreCase(syncml::TypeOf(command, item), syncml::kTndsWbxmlType)) return;
  std::string octets = *item.data;
  if (absl::EqualsIgnoreCase(syncml::FormatOf(command, item), "b64")) {
    absl::StatusOr<std::string> decoded = syncml::Base64Decode(octets);
    if (!decoded.ok()) return;
    octets = *std::move(decoded);
  }
  const absl::StatusOr<syncml::TndsDocument> document = syncml::ReadTnds(octets);
  if (!document.ok()) return;
  item.meta.type = std::string(syncml::kTndsXmlType);
  item.meta.format = "xml";
  item.data = syncml::WriteTnds(*document, syncml::Encoding::kXml);
}

}  // namespace

void LargeObjectAssembler::BeginMessage(const std::string& msg_id) {
  msg_id_ = msg_id;
  was_open_ = open();
}

bool LargeObjectAssembler::GoesOn(const Command& command, const Item& item) const {
  return object_ && object_->kind == command.kind && object_->target == TargetOf(item);
}

void LargeObjectAssembler::BreakOff(std::vector<Command>& answers) {
  was_open_ = false;
  if (!object_) return;
  if (!object_->refused) {  // Of a refused one the server knows.
    Command alert = syncml::MakeAlert("", syncml::AlertCode::kNoEndOfData);
    Item item;
    item.target = object_->first.target;
    item.source = object_->first.source;
    alert.items = {std::move(item)};
    answers.push_back(std::move(alert));
  }
  object_.reset();
}

bool LargeObjectAssembler::IsTooLarge(const Item& item) const {
  return item.data && static_cast<int64_t>(item.data->size()) > max_bytes_;
}

bool LargeObjectAssembler::Concerns(const Command& command) const {
  return open() || std::ranges::any_of(command.items, [this](const Item& item) {
           return item.more_data || IsTooLarge(item);
         });
}

std::optional<Command> LargeObjectAssembler::Take(Command command, std::vector<Command>& answers) {
  const bool goes_on = !command.items.empty() && GoesOn(command, command.items.front());
  if (was_open_ && !goes_on) BreakOff(answers);
  was_open_ = false;
  std::vector<Item> items;
  std::vector<Command> chunk_answers;
  for (Item& item : command.items) {
    const std::optional<StatusCode> code = TakeItem(command, item);
    if (!code) {
      items.push_back(std::move(item));
    } else {
      chunk_answers.push_back(syncml::MakeItemStatus("", msg_id_, command, item, *code));
    }
  }
  const bool only_chunks = items.empty() && !chunk_answers.empty();
  for (Command& answer : chunk_answers) answers.push_back(std::move(answer));
  if (only_chunks) return std::nullopt;
  command.items = std::move(items);
  return command;
}

std::optional<StatusCode> LargeObjectAssembler::TakeItem(const Command& command, Item& item) {
  const bool goes_on = GoesOn(command, item);
  if (!goes_on && !item.more_data) {
    return IsTooLarge(item) ? std::optional(StatusCode::kEntityTooLarge) : std::nullopt;
  }
  if (!goes_on) {
    object_ = Object{.kind = command.kind, .target = TargetOf(item), .first = item};
    object_->first.data.emplace();
    if (!object_->first.meta.size) object_->first.meta.size = command.meta.size;
    object_->refused = object_->first.meta.size.value_or(0) > max_bytes_;
  }
  std::string& data = *object_->first.data;
  const std::string& chunk = item.data.value_or("");
  if (static_cast<int64_t>(data.size() + chunk.size()) > max_bytes_) object_->refused = true;
  if (object_->refused) {
    data.clear();
  } else {
    data.append(chunk);
  }
  if (!item.more_data) return Finish(item);
  return object_->refused ? StatusCode::kEntityTooLarge : StatusCode::kChunkAccepted;
}

// The last chunk: `item` becomes the whole.
std::optional<StatusCode> LargeObjectAssembler::Finish(Item& item) {
  Object object = *std::exchange(object_, std::nullopt);
  if (object.refused) return StatusCode::kEntityTooLarge;
  const std::optional<int64_t> size = object.first.meta.size;
  if (size && *size != static_cast<int64_t>(object.first.data->size())) {
    return StatusCode::kSizeMismatch;
  }
  item = std::move(object.first);
  item.more_data = false;
  Command frame;
  frame.kind = object.kind;
  ExpandTnds(frame, item);
  return std::nullopt;
}

void LargeObjectAssembler::EndMessage(std::vector<Command>& answers) {
  if (was_open_) BreakOff(answers);
}

}  // namespace virmo::dm_bridge
