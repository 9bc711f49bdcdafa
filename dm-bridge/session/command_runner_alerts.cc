// SPDX-License-Identifier: Apache-2.0
// CommandRunner: alerts of the server, that is, what it asks the user (OMA-TS-DM_Protocol §10).

#include "absl/strings/str_cat.h"
#include "dm-bridge/session/command_runner.h"
#include "services/syncml/user_interaction.h"

namespace virmo::dm_bridge {

using syncml::AlertCode;
using syncml::Command;
using syncml::StatusCode;

// Answers an alert. What depends on it is not done unless the user agreed: after anything but a
// clear yes, for a text that was only to be shown too if the user broke it off.
CommandRunner::Flow CommandRunner::RunAlert(const Command& alert) {
  const auto code = syncml::ParseAlertCode(alert.data);
  if (code == AlertCode::kNextMessage || code == AlertCode::kSessionAbort ||
      code == AlertCode::kNoEndOfData) {
    --commands_done_;  // They steer the session, no more.
    Answer(alert, StatusCode::kOk);
    return Flow::kGoOn;
  }
  if (!code || !syncml::IsInteraction(*code)) {
    Answer(alert, StatusCode::kOptionalFeatureNotSupported,
           absl::StrCat("alert ", alert.data, " is not supported"));
    return Flow::kGoOn;
  }
  const absl::StatusOr<syncml::Interaction> interaction = syncml::ParseInteraction(alert);
  if (!interaction.ok()) {
    const absl::string_view why = interaction.status().message();
    Answer(alert, StatusCode::kBadRequest, why);
    return *code == AlertCode::kDisplay ? Flow::kGoOn : Flow::kStop;
  }
  const PromptAnswer answer = prompter_.Ask(*interaction);
  Command status = syncml::MakeStatus("", msg_id_, alert, answer.code);
  for (const std::string& text : answer.items) {
    syncml::Item item;
    item.data = text;
    status.items.push_back(std::move(item));
  }
  answers_.push_back(std::move(status));
  if (answer.code == StatusCode::kOperationCancelled) return Flow::kStop;  // Though it is 2xx.
  const bool go_on = *code == AlertCode::kDisplay || syncml::IsSuccess(answer.code);
  return go_on ? Flow::kGoOn : Flow::kStop;
}

}  // namespace virmo::dm_bridge
