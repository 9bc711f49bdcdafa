// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace virmo::syncml {

// RFC 4648 §4: standard alphabet, with padding, no line breaks.
std::string Base64Encode(absl::string_view octets);

// Strict: the standard alphabet, right padding, unused bits zero, nothing else; so that every
// value has one text. InvalidArgument names the position. Take white space off before.
absl::StatusOr<std::string> Base64Decode(absl::string_view text);

}  // namespace virmo::syncml
