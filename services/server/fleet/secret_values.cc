// SPDX-License-Identifier: Apache-2.0
#include "services/server/fleet/secret_values.h"

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "google/protobuf/util/message_differencer.h"

namespace virmo::server {

bool IsSecretUri(absl::string_view uri) {
  const std::string lower = absl::AsciiStrToLower(uri.substr(0, uri.find('?')));
  return absl::StrContains(lower, "secret") || absl::StrContains(lower, "authdata") ||
         absl::EndsWith(lower, "/operations/unlock");
}

void RedactSecrets(v1::Action& action) {
  if (action.has_replace() && IsSecretUri(action.replace().uri())) {
    action.mutable_replace()->set_value(kHidden);
  }
  if (!action.grant_user_unlock().secret().empty()) {
    action.mutable_grant_user_unlock()->set_secret(kHidden);
  }
  if (!action.has_tree()) return;
  for (v1::Action::Tree::Operation& operation : *action.mutable_tree()->mutable_operations()) {
    if (!operation.value().empty() && IsSecretUri(operation.uri())) operation.set_value(kHidden);
  }
}

bool HasSecrets(const v1::Action& action) {
  v1::Action redacted = action;
  RedactSecrets(redacted);
  return !google::protobuf::util::MessageDifferencer::Equals(redacted, action);
}

}  // namespace virmo::server
