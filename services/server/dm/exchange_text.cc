// SPDX-License-Identifier: Apache-2.0
#include "services/server/dm/exchange_text.h"

#include <utility>

#include "services/syncml/codec.h"
#include "services/syncml/redact.h"

namespace virmo::server {
namespace {

constexpr absl::string_view kBodyBegin = "<SyncBody>";
constexpr absl::string_view kBodyEnd = "</SyncBody>";

}  // namespace

std::string ExchangeText(syncml::Command command) {
  syncml::Message message;
  message.body.push_back(syncml::Redact(std::move(command)));
  const std::string text = syncml::Encode(message, syncml::Encoding::kXml);
  const size_t begin = text.find(kBodyBegin.data(), 0, kBodyBegin.size());
  const size_t end = text.rfind(kBodyEnd.data(), std::string::npos, kBodyEnd.size());
  if (begin == std::string::npos || end == std::string::npos) return text;
  return text.substr(begin + kBodyBegin.size(), end - begin - kBodyBegin.size());
}

}  // namespace virmo::server
