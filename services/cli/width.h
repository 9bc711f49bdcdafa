// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace virmo::cli {

// How many columns `text` (UTF-8) takes on a terminal: 2 for East Asian wide characters and
// emoji, 0 for combining marks. Independent of the locale.
size_t DisplayWidth(absl::string_view text);

// `text` without anything that could move the cursor or change colours: control characters become
// `\x1b`, octets that are not UTF-8 become U+FFFD. What devices and admins name things is shown
// through this.
std::string Printable(absl::string_view text);

}  // namespace virmo::cli
