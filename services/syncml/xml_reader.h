// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/syncml/document.h"

namespace virmo::syncml {

// Parses SyncML in XML. Namespaces are not looked at: names decide, whatever their prefix.
// Errors as ParseXml().
absl::StatusOr<Document> ReadXml(absl::string_view octets, const Limits& limits);

}  // namespace virmo::syncml
