// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/client/prompt_board.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"

namespace virmo::dm_bridge {
namespace {

using syncml::AlertCode;
using syncml::Interaction;
using syncml::StatusCode;

constexpr absl::Duration kAnswerTime = absl::Minutes(1);
constexpr absl::Duration kDisplayTime = absl::Seconds(5);
constexpr absl::Duration kLongestTime = absl::Hours(1);  // Whatever MAXDT says.

absl::Duration TimeOf(const Interaction& interaction) {
  const absl::Duration usual = interaction.code == AlertCode::kDisplay ? kDisplayTime : kAnswerTime;
  const absl::Duration time = interaction.options.max_display_time.value_or(usual);
  const absl::Duration least = interaction.options.min_display_time.value_or(absl::ZeroDuration());
  return std::min(std::max(time, least), kLongestTime);
}

void SetTime(absl::Time time, google::protobuf::Timestamp& timestamp) {
  timestamp.set_seconds(absl::ToUnixSeconds(time));
}

v1::Prompt MakePrompt(const std::string& server_id, const Interaction& interaction,
                      absl::Time expires) {
  const syncml::InteractionOptions& options = interaction.options;
  v1::Prompt prompt;
  prompt.set_id(NewUuid());
  prompt.set_server_id(server_id);
  prompt.set_code(syncml::Number(interaction.code));
  prompt.set_text(interaction.text);
  for (const std::string& choice : interaction.choices) prompt.add_choices(choice);
  prompt.set_default_response(options.default_response.value_or(""));
  prompt.set_masked(options.masked);
  prompt.set_max_length(
      static_cast<int32_t>(std::min<size_t>(options.max_length.value_or(0), 1 << 20)));
  prompt.set_input_type(std::string(1, static_cast<char>(options.input_type)));
  SetTime(expires, *prompt.mutable_expire_time());
  return prompt;
}

// Of UTF-8.
size_t CharactersOf(absl::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

bool AreAll(absl::string_view text, absl::string_view allowed) {
  return text.find_first_not_of(allowed) == absl::string_view::npos;
}

absl::Status CheckText(const v1::Prompt& prompt, absl::string_view text) {
  if (prompt.max_length() > 0 && CharactersOf(text) > static_cast<size_t>(prompt.max_length())) {
    return InvalidField("text", absl::StrCat("longer than ", prompt.max_length(), " characters"));
  }
  constexpr absl::string_view kDigits = "0123456789";
  const std::string& type = prompt.input_type();
  const bool date_or_time = type == "D" || type == "T";
  if (type == "N" && !AreAll(text, kDigits)) return InvalidField("text", "digits only");
  if (date_or_time && (!AreAll(text, kDigits) || text.size() != (type == "D" ? 8 : 6))) {
    return InvalidField("text", type == "D" ? "not a date as DDMMYYYY" : "not a time as hhmmss");
  }
  if (type == "P" && !AreAll(text, "0123456789*#+pw")) {
    return InvalidField("text", "not a phone number: digits, *, #, +, p and w only");
  }
  if (type == "I" && !AreAll(text, "0123456789.")) {
    return InvalidField("text", "not an IP address in dotted decimal");
  }
  return absl::OkStatus();
}

absl::StatusOr<PromptAnswer> ReadChoices(const v1::Prompt& prompt,
                                         const v1::AnswerPromptRequest& request) {
  const bool single = prompt.code() == syncml::Number(AlertCode::kSingleChoice);
  const std::set<int> numbers(request.choices().begin(), request.choices().end());
  if (numbers.empty() || (single && numbers.size() > 1)) {
    return InvalidField("choices", single ? "choose one" : "choose at least one, or cancel");
  }
  PromptAnswer answer;
  for (const int number : numbers) {
    if (number < 1 || number > prompt.choices_size()) {
      return InvalidField("choices",
                          absl::StrCat(number, " is not within 1..", prompt.choices_size()));
    }
    answer.items.push_back(absl::StrCat(number));
  }
  return answer;
}

absl::StatusOr<PromptAnswer> ReadAnswer(const v1::Prompt& prompt,
                                        const v1::AnswerPromptRequest& request) {
  if (request.cancelled()) return PromptAnswer{.code = StatusCode::kOperationCancelled};
  switch (static_cast<AlertCode>(prompt.code())) {
    case AlertCode::kConfirm:
      return PromptAnswer{.code = request.confirmed() ? StatusCode::kOk : StatusCode::kNotModified};
    case AlertCode::kTextInput:
      RETURN_IF_ERROR(CheckText(prompt, request.text()));
      return PromptAnswer{.items = {request.text()}};
    case AlertCode::kSingleChoice:
    case AlertCode::kMultipleChoice:
      return ReadChoices(prompt, request);
    default:
      return PromptAnswer{};
  }
}

// What the server would have answered; 214 if it does not say.
PromptAnswer DefaultAnswer(const Interaction& interaction) {
  const PromptAnswer none = {.code = StatusCode::kOperationCancelled};
  if (interaction.code == AlertCode::kDisplay) return {};  // Asks for nothing.
  if (!interaction.options.default_response) return none;
  const std::string& given = *interaction.options.default_response;
  if (interaction.code == AlertCode::kConfirm) {
    if (given == "1" || absl::EqualsIgnoreCase(given, "yes")) return {};
    return {.code = StatusCode::kNotModified};
  }
  if (interaction.code == AlertCode::kTextInput) return {.items = {given}};
  PromptAnswer answer;
  for (const int number : syncml::ParseChoices(given, interaction.choices.size())) {
    answer.items.push_back(absl::StrCat(number));
  }
  const bool single = interaction.code == AlertCode::kSingleChoice;
  return answer.items.empty() || (single && answer.items.size() > 1) ? none : answer;
}

}  // namespace

PromptAnswer PromptBoard::AnswerUnattended(const Interaction& interaction) const {
  switch (unattended_) {
    case config::v1::DmBridgeConfig::UNATTENDED_PROMPTS_CANCEL:
      return {.code = StatusCode::kOperationCancelled};
    case config::v1::DmBridgeConfig::UNATTENDED_PROMPTS_UNSUPPORTED:
      return {.code = StatusCode::kOptionalFeatureNotSupported};
    default:
      return DefaultAnswer(interaction);
  }
}

PromptAnswer PromptBoard::Ask(const std::string& server_id, const Interaction& interaction) {
  const absl::Time begin = absl::Now();
  const v1::Prompt prompt = MakePrompt(server_id, interaction, begin + TimeOf(interaction));
  const bool display = interaction.code == AlertCode::kDisplay;
  const absl::Duration least =
      display ? interaction.options.min_display_time.value_or(absl::ZeroDuration())
              : absl::ZeroDuration();
  MutexLock lock(mutex_);
  if (watchers_ == 0 && !closed_) return AnswerUnattended(interaction);
  if (closed_) return {.code = StatusCode::kOperationCancelled};
  const auto open = open_.emplace(prompt.id(), Open{.prompt = prompt, .answer = {}}).first;
  Event event;
  *event.mutable_opened() = prompt;
  events_.Publish(event);
  lock.WaitFor(changed_, TimeOf(interaction),
               [&] { return closed_ || open->second.answer.has_value(); });
  const absl::Duration shown = absl::Now() - begin;
  if (shown < least) lock.WaitFor(changed_, least - shown, [&] { return closed_; });
  const PromptAnswer late = {.code = display ? StatusCode::kOk : StatusCode::kRequestTimeout};
  PromptAnswer answer = open->second.answer.value_or(late);
  if (closed_) answer = {.code = StatusCode::kOperationCancelled};
  open_.erase(open);
  event.Clear();
  event.set_closed(prompt.id());
  events_.Publish(event);
  return answer;
}

absl::Status PromptBoard::Answer(const v1::AnswerPromptRequest& request) {
  MutexLock lock(mutex_);
  const auto open = open_.find(request.id());
  if (open == open_.end() || open->second.answer) {
    return Error(
        v1::ErrorInfo::REASON_NOT_FOUND,
        absl::StrCat("no prompt ", request.id(), " waits: it was answered, or its time is over"));
  }
  ASSIGN_OR_RETURN(open->second.answer, ReadAnswer(open->second.prompt, request));
  changed_.notify_all();
  return absl::OkStatus();
}

void PromptBoard::CancelLocked(Open& open) {
  if (!open.answer) open.answer = PromptAnswer{.code = StatusCode::kOperationCancelled};
  changed_.notify_all();
}

void PromptBoard::CancelAllOf(const std::string& server_id) {
  MutexLock lock(mutex_);
  for (auto& [id, open] : open_) {
    if (open.prompt.server_id() == server_id) CancelLocked(open);
  }
}

void PromptBoard::Close() {
  MutexLock lock(mutex_);
  closed_ = true;
  changed_.notify_all();
  events_.Close();
}

PromptBoard::Watcher::Watcher(PromptBoard& board) : board_(board), subscription_(board.events_) {
  MutexLock lock(board_.mutex_);
  ++board_.watchers_;
  for (const auto& [id, open] : board_.open_) {
    *first_.emplace_back().mutable_opened() = open.prompt;
  }
}

PromptBoard::Watcher::~Watcher() {
  MutexLock lock(board_.mutex_);
  --board_.watchers_;
}

bool PromptBoard::Watcher::Next(absl::Duration timeout, Event* event) {
  event->Clear();
  if (!first_.empty()) {
    *event = std::move(first_.back());
    first_.pop_back();
    return true;
  }
  return subscription_.Next(timeout, event) != Broadcast<Event>::Subscription::State::kClosed;
}

}  // namespace virmo::dm_bridge
