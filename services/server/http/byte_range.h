// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace virmo::server {

// What a Range header asks of a body (RFC 9110 §14).
struct ByteRange {
  enum class Kind {
    kWhole,          // no, several, or malformed ranges: the header is to be ignored
    kPart,           // answer 206
    kUnsatisfiable,  // answer 416
  };
  Kind kind = Kind::kWhole;
  int64_t offset = 0;
  int64_t size = 0;
};

// Reads the header's value for a body of `total` octets. Pure.
ByteRange ParseByteRange(absl::string_view header, int64_t total);

}  // namespace virmo::server
