// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/statusor.h"
#include "services/syncml/document.h"
#include "services/syncml/message.h"

namespace virmo::syncml {

// Makes a message of a document, whichever encoding it came by. InvalidArgument says what was wrong
// if the document is no SyncML, has no SyncHdr or SyncBody, or gives twice what may be given once,
// since two readers could then understand two things. ResourceExhausted if there are more commands
// and items than `limits` allow. `error_position` is then the octet of the element in question.
absl::StatusOr<Message> ReadMessage(const Document& document, const Limits& limits,
                                    size_t& error_position);

}  // namespace virmo::syncml
