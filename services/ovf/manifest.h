// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/ovf/byte_source.h"
#include "services/ovf/findings.h"

namespace virmo::ovf {

// A line of a manifest (DSP0243 §5.1): `SHA256(name)= hex`.
struct ManifestEntry {
  std::string name;
  std::string algorithm;  // `SHA1`, `SHA256`, `SHA512`.
  std::string digest;     // Lower-case hex.
  int line = 0;
};

// Reads a manifest. White space, CRLF and upper case are let through; SHA-1 is warned of; other
// algorithms, wrong lengths and names that occur twice are faults.
std::vector<ManifestEntry> ReadManifest(absl::string_view octets, const std::string& file,
                                        Findings& findings);

// The digest of all of a source, lower-case hex. `algorithm` as in ManifestEntry.
absl::StatusOr<std::string> DigestOf(const ByteSource& source, const std::string& algorithm);

}  // namespace virmo::ovf
