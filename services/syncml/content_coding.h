// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// Compressed HTTP bodies (RFC 9110 §8.4), of both ends of DM. Pure functions, safe from any thread.
namespace virmo::syncml {

enum class ContentCoding : uint8_t { kIdentity, kGzip, kDeflate };

// The token in Content-Encoding: `gzip`, `deflate`; empty for kIdentity.
absl::string_view Name(ContentCoding coding);

// A Content-Encoding header's value; no value is kIdentity. Nothing for a coding we do not know,
// and for several applied one upon the other.
std::optional<ContentCoding> ParseContentCoding(absl::string_view value);

// Whether an Accept-Encoding header's value admits `coding`: by name, as `x-gzip`, or by `*`; not
// with `q=0`.
bool Accepts(absl::string_view accept_encoding, ContentCoding coding);

// The best that the header admits, gzip before deflate; else kIdentity.
ContentCoding BestAccepted(absl::string_view accept_encoding);

std::string Compress(absl::string_view octets, ContentCoding coding);

// `deflate` is read with zlib's frame, as the standard says, and without, as some send it.
// InvalidArgument if the octets are damaged, incomplete, or have something behind them;
// ResourceExhausted as soon as the result passes `max_bytes`: never holds more than that.
absl::StatusOr<std::string> Decompress(absl::string_view octets, ContentCoding coding,
                                       size_t max_bytes);

}  // namespace virmo::syncml
