// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/strings/string_view.h"
#include "virmo/v1/command.pb.h"

namespace virmo::server {

// What stands in place of a secret.
inline constexpr const char* kHidden = "***";

// Whether a value that goes to this node is a secret: `…/Secret`, `AAuthSecret`, `AAuthData`, and
// the argument of Unlock, which may be a key.
bool IsSecretUri(absl::string_view uri);

// Whether an action carries a secret; and its secrets replaced by `***`.
bool HasSecrets(const v1::Action& action);
void RedactSecrets(v1::Action& action);

}  // namespace virmo::server
