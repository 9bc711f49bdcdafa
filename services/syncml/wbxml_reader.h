// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/syncml/document.h"

namespace virmo::syncml {

// Parses SyncML in WBXML 1.x; see ParseWbxml(). Unknown tags are skipped with what they hold.
// Octets in NextNonce come out as base64 text, elements within Data as XML text.
absl::StatusOr<Document> ReadWbxml(absl::string_view octets, const Limits& limits);

}  // namespace virmo::syncml
