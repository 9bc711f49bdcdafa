// SPDX-License-Identifier: Apache-2.0
#include "services/server/dm/exchange_text.h"

#include <utility>

#include "services/server/fleet/secret_values.h"
#include "services/syncml/codec.h"
#include "services/syncml/redact.h"

namespace virmo::server {
namespace {

constexpr absl::string_view kBodyBegin = "<SyncBody>";
constexpr absl::string_view kBodyEnd = "</SyncBody>";

// What only this server knows to be a secret: the argument of Unlock may be a key.
void RedactArguments(syncml::Command& command) {
  for (syncml::Item& item : command.items) {
    if (item.data && item.target && IsSecretUri(item.target->uri)) item.data = kHidden;
  }
  for (syncml::Command& child : command.children) RedactArguments(child);
}

}  // namespace

std::string ExchangeText(syncml::Command command) {
  RedactArguments(command);
  syncml::Message message;
  message.body.push_back(syncml::Redact(std::move(command)));
  const std::string text = syncml::Encode(message, syncml::Encoding::kXml);
  const size_t begin = text.find(kBodyBegin.data(), 0, kBodyBegin.size());
  const size_t end = text.rfind(kBodyEnd.data(), std::string::npos, kBodyEnd.size());
  if (begin == std::string::npos || end == std::string::npos) return text;
  return text.substr(begin + kBodyBegin.size(), end - begin - kBodyBegin.size());
}

}  // namespace virmo::server
