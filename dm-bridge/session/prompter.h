// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "services/syncml/status_code.h"
#include "services/syncml/user_interaction.h"

namespace virmo::dm_bridge {

// What the user said to an alert 1100 to 1104: the Status of it and the Data of its Items, the
// text, or the numbers chosen.
struct PromptAnswer {
  syncml::StatusCode code = syncml::StatusCode::kOk;
  std::vector<std::string> items = {};
};

// Asks the user for a server. Waits for the answer, as long as the interaction says.
class Prompter {
 public:
  virtual ~Prompter() = default;
  virtual PromptAnswer Ask(const syncml::Interaction& interaction) = 0;
};

}  // namespace virmo::dm_bridge
