// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/statusor.h"
#include "services/syncml/document.h"
#include "services/syncml/message.h"

namespace virmo::syncml {

// Makes a message of a document, whichever encoding it came by. InvalidArgument names the place
// ("SyncBody/Replace: Item given ...") if the document is no SyncML, has no SyncHdr or SyncBody,
// or gives twice what may be given once, since two readers could then understand two things.
// ResourceExhausted if there are more commands and items than `limits` allow.
absl::StatusOr<Message> ReadMessage(const Document& document, const Limits& limits);

}  // namespace virmo::syncml
