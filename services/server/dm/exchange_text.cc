// SPDX-License-Identifier: Apache-2.0
#include "services/server/dm/exchange_text.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "services/syncml/codec.h"

namespace virmo::server {
namespace {

constexpr const char* kHidden = "***";
constexpr absl::string_view kBodyBegin = "<SyncBody>";
constexpr absl::string_view kBodyEnd = "</SyncBody>";

bool IsSecret(absl::string_view uri) {
  const std::string lower = absl::AsciiStrToLower(uri);
  return absl::StrContains(lower, "secret") || absl::StrContains(lower, "authdata");
}

void Redact(syncml::Command& command) {
  if (command.cred) command.cred->data = kHidden;
  if (command.chal && command.chal->meta.next_nonce) command.chal->meta.next_nonce = kHidden;
  for (syncml::Item& item : command.items) {
    const bool secret =
        (item.target && IsSecret(item.target->uri)) || (item.source && IsSecret(item.source->uri));
    if (secret && item.data) item.data = kHidden;
  }
  for (syncml::Command& child : command.children) Redact(child);
}

}  // namespace

std::string ExchangeText(syncml::Command command) {
  Redact(command);
  syncml::Message message;
  message.body.push_back(std::move(command));
  const std::string text = syncml::Encode(message, syncml::Encoding::kXml);
  const size_t begin = text.find(kBodyBegin.data(), 0, kBodyBegin.size());
  const size_t end = text.rfind(kBodyEnd.data(), std::string::npos, kBodyEnd.size());
  if (begin == std::string::npos || end == std::string::npos) return text;
  return text.substr(begin + kBodyBegin.size(), end - begin - kBodyBegin.size());
}

}  // namespace virmo::server
