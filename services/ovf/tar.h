// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "services/ovf/byte_source.h"
#include "services/ovf/findings.h"

namespace virmo::ovf {

// A member of a tar archive: a regular file whose octets lie at a place of the archive.
struct TarMember {
  std::string name;
  int64_t offset = 0;
  int64_t size = 0;
};

// Reads the table of a tar archive (ustar; GNU and pax names and sizes) as strictly as a package
// that a stranger sent has to be: each header's checksum holds, names are relative and without
// `..`, none occurs twice, and there is nothing but regular files (folders are passed over): no
// links, devices, sparse files. At most 4096 members. What is wrong goes to `findings`.
std::vector<TarMember> ReadTar(const ByteSource& archive, const std::string& file,
                               Findings& findings);

// The header block of a member that WriteTar's callers put before its octets, ustar with a
// base-256 size beyond 8 GiB. INVALID_ARGUMENT for a name longer than 100 octets.
absl::StatusOr<std::string> TarHeader(const std::string& name, int64_t size, int64_t mtime);

// The zeros after a member of this size, and the end of an archive.
std::string TarPadding(int64_t size);
std::string TarEnd();

}  // namespace virmo::ovf
