// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace virmo::syncml {

// `text` as it is; of one longer than `max_size` octets, its beginning and its end. For what is
// told of somebody else's names and values, which may be of any length and no text at all: the
// result is text as ToXmlText() makes it, with no character cut.
std::string Excerpt(absl::string_view text, size_t max_size = 400);

}  // namespace virmo::syncml
