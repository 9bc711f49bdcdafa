// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace virmo {

// A random UUID (RFC 9562 version 4), lower case, 36 characters.
std::string NewUuid();

// The UUID that `name` has in the namespace `space`, itself a UUID (RFC 9562 version 5): the same
// name gives the same UUID on every machine.
std::string NameUuid(absl::string_view space, absl::string_view name);

// Whether `text` is a lower-case UUID of 36 characters.
bool IsUuid(absl::string_view text);

}  // namespace virmo
