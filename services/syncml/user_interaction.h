// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "services/syncml/message.h"

// User interaction alerts, 1100 to 1104 (OMA DM Protocol 1.2 §10): what a server asks the user.
// Pure functions, safe from any thread.
namespace virmo::syncml {

enum class InputType : char {
  kAlphanumeric = 'A',
  kNumeric = 'N',
  kDate = 'D',   // DDMMYYYY
  kTime = 'T',   // hhmmss
  kPhone = 'P',  // *, #, +, p, w and digits
  kIp = 'I',     // dotted decimal
};

// The optional parameters, `MINDT=10&MAXDT=60&DR=default&MAXLEN=8&IT=N&ET=P`.
struct InteractionOptions {
  std::optional<absl::Duration> min_display_time{};  // MINDT
  std::optional<absl::Duration> max_display_time{};  // MAXDT: time to answer
  std::optional<std::string> default_response{};     // DR: text, yes/no as 1/0, numbers as 1-3
  std::optional<size_t> max_length{};                // MAXLEN, characters
  InputType input_type = InputType::kAlphanumeric;   // IT
  bool masked = false;                               // ET=P: what is typed must not be shown

  bool operator==(const InteractionOptions&) const = default;
};

// Reads the options. What is unknown, or has a value that cannot be, is passed over, as the text
// demands: a display option never is a reason to refuse. Values may be URL-encoded (`+`, `%2B`);
// of an option given twice the first counts.
InteractionOptions ParseInteractionOptions(absl::string_view text);
std::string FormatInteractionOptions(const InteractionOptions& options);

// The whole alert.
struct Interaction {
  AlertCode code = AlertCode::kDisplay;
  InteractionOptions options{};
  std::string text{};
  std::vector<std::string> choices{};  // the first has number 1; of 1103 and 1104 only

  bool operator==(const Interaction&) const = default;
};

// Whether an Alert with this code asks the user.
bool IsInteraction(AlertCode code);

// InvalidArgument, to be answered with 400, if `alert` has another code, no text, or is a choice
// without choices.
absl::StatusOr<Interaction> ParseInteraction(const Command& alert);
Command MakeInteraction(absl::string_view cmd_id, const Interaction& interaction);

// The numbers of the choices in a default response or an answer, "1-3" or "2", within 1..`count`,
// each once, in order. Empty if it is not such a list.
std::vector<int> ParseChoices(absl::string_view text, size_t count);

}  // namespace virmo::syncml
