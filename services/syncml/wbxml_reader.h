// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/syncml/document.h"

namespace virmo::syncml {

// Parses SyncML in WBXML 1.x: code pages 0 to 2, both forms of the public id, string table,
// entities, literals and opaque data anywhere. Unknown tags are skipped with what they hold,
// attributes and extensions are skipped. Octets in NextNonce come out as base64 text, elements
// within Data as XML text. Errors as Decode(), naming the octet.
absl::StatusOr<Document> ReadWbxml(absl::string_view octets, const Limits& limits);

// A WBXML document of DM DDF or TNDS as XML text.
absl::StatusOr<std::string> ReadWbxmlTnds(absl::string_view octets, const Limits& limits);

}  // namespace virmo::syncml
