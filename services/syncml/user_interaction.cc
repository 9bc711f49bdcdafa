// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/user_interaction.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace virmo::syncml {
namespace {

// Whoever waits for a day has gone; and the sum of times stays far from overflow.
constexpr int64_t kMaxSeconds = 86400;
constexpr int64_t kMaxLength = 65536;

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// A percent sign that begins no escape stands for itself.
std::string UrlDecoded(absl::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? HexValue(text[i + 1]) : -1;
    const int low = high >= 0 ? HexValue(text[i + 2]) : -1;
    if (low >= 0) {
      decoded.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    } else {
      decoded.push_back(text[i] == '+' ? ' ' : text[i]);
    }
  }
  return decoded;
}

std::string UrlEncoded(absl::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(octet) || c == '-' || c == '_' || c == '.' || c == '~') {
      encoded.push_back(c);
    } else if (c == ' ') {
      encoded.push_back('+');
    } else {
      absl::StrAppend(&encoded, "%",
                      absl::AsciiStrToUpper(absl::StrCat(absl::Hex(octet, absl::kZeroPad2))));
    }
  }
  return encoded;
}

std::optional<int64_t> NumberUpTo(absl::string_view text, int64_t most) {
  int64_t number = 0;
  if (!absl::SimpleAtoi(text, &number) || number < 0) return std::nullopt;
  return std::min(number, most);
}

void AssignSeconds(absl::string_view value, std::optional<absl::Duration>& to) {
  const std::optional<int64_t> seconds = NumberUpTo(value, kMaxSeconds);
  if (seconds) to = absl::Seconds(*seconds);
}

void AssignInputType(absl::string_view value, InputType& to) {
  if (value.size() == 1 && absl::StrContains("ANDTPI", value)) {
    to = static_cast<InputType>(value.front());
  }
}

void Assign(absl::string_view name, const std::string& value, InteractionOptions& to) {
  if (name == "MINDT") AssignSeconds(value, to.min_display_time);
  if (name == "MAXDT") AssignSeconds(value, to.max_display_time);
  if (name == "DR") to.default_response = value;
  if (name == "IT") AssignInputType(value, to.input_type);
  if (name == "ET") to.masked = value == "P";
  if (name != "MAXLEN") return;
  if (const std::optional<int64_t> length = NumberUpTo(value, kMaxLength); length) {
    to.max_length = static_cast<size_t>(*length);
  }
}

bool IsChoice(AlertCode code) {
  return code == AlertCode::kSingleChoice || code == AlertCode::kMultipleChoice;
}

Item TextItem(absl::string_view text) {
  Item item;
  item.data = std::string(text);
  return item;
}

}  // namespace

InteractionOptions ParseInteractionOptions(absl::string_view text) {
  InteractionOptions options;
  std::set<std::string> seen;
  for (const absl::string_view option : absl::StrSplit(text, '&')) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(option, absl::MaxSplits('=', 1));
    const std::string name = absl::AsciiStrToUpper(absl::StripAsciiWhitespace(pair.first));
    if (!seen.insert(name).second) continue;
    Assign(name, UrlDecoded(absl::StripAsciiWhitespace(pair.second)), options);
  }
  return options;
}

std::string FormatInteractionOptions(const InteractionOptions& options) {
  std::vector<std::string> parts;
  const auto add_seconds = [&parts](absl::string_view name,
                                    const std::optional<absl::Duration>& time) {
    if (time) parts.push_back(absl::StrCat(name, "=", absl::ToInt64Seconds(*time)));
  };
  add_seconds("MINDT", options.min_display_time);
  add_seconds("MAXDT", options.max_display_time);
  if (options.default_response) {
    parts.push_back(absl::StrCat("DR=", UrlEncoded(*options.default_response)));
  }
  if (options.max_length) parts.push_back(absl::StrCat("MAXLEN=", *options.max_length));
  if (options.input_type != InputType::kAlphanumeric) {
    parts.push_back(absl::StrCat("IT=", std::string(1, static_cast<char>(options.input_type))));
  }
  if (options.masked) parts.emplace_back("ET=P");
  return absl::StrJoin(parts, "&");
}

bool IsInteraction(AlertCode code) {
  return Number(code) >= Number(AlertCode::kDisplay) &&
         Number(code) <= Number(AlertCode::kMultipleChoice);
}

absl::StatusOr<Interaction> ParseInteraction(const Command& alert) {
  const std::optional<AlertCode> code = ParseAlertCode(alert.data);
  if (!code || !IsInteraction(*code)) {
    return absl::InvalidArgumentError(absl::StrCat("alert ", alert.data, " asks no user"));
  }
  // The first item holds the options and may be empty, the second is what to show.
  if (alert.items.size() < 2 || !alert.items[1].data) {
    return absl::InvalidArgumentError(absl::StrCat("alert ", alert.data, " has no text to show"));
  }
  Interaction interaction;
  interaction.code = *code;
  interaction.options = ParseInteractionOptions(alert.items[0].data.value_or(""));
  interaction.text = *alert.items[1].data;
  if (!IsChoice(*code)) return interaction;
  for (size_t i = 2; i < alert.items.size(); ++i) {
    interaction.choices.push_back(alert.items[i].data.value_or(""));
  }
  if (interaction.choices.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("alert ", alert.data, " has no choices"));
  }
  return interaction;
}

Command MakeInteraction(absl::string_view cmd_id, const Interaction& interaction) {
  Command alert = MakeAlert(cmd_id, interaction.code);
  alert.items = {TextItem(FormatInteractionOptions(interaction.options)),
                 TextItem(interaction.text)};
  for (const std::string& choice : interaction.choices) alert.items.push_back(TextItem(choice));
  return alert;
}

std::vector<int> ParseChoices(absl::string_view text, size_t count) {
  std::set<int> numbers;
  for (const absl::string_view part : absl::StrSplit(text, '-')) {
    int number = 0;
    if (!absl::SimpleAtoi(part, &number) || number < 1 || static_cast<size_t>(number) > count) {
      return {};
    }
    numbers.insert(number);
  }
  return {numbers.begin(), numbers.end()};
}

}  // namespace virmo::syncml
