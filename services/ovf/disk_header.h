// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "services/ovf/byte_source.h"

namespace virmo::ovf {

// What a disk's first octets say it is.
enum class DiskFormat { kVmdkStream, kVmdkSparse, kQcow2, kIso, kRaw };

struct DiskHeader {
  DiskFormat format = DiskFormat::kRaw;
  int64_t virtual_bytes = 0;
};

// `vmdk`, `qcow2`, `raw`: what qemu-img calls it.
std::string DiskFormatName(DiskFormat format);

// Looks at the header of a disk image before any tool that could be led to read other files does.
// Takes VMDK (streamOptimized and monolithicSparse: one file that holds its own extent), qcow2
// without backing and data file and without encryption, ISO 9660, and what is none of the formats
// known here as raw. Refuses with PACKAGE_INVALID and the cause: flat VMDK and text descriptors,
// extents in other files, parents, backing files, VHD, VHDX, VDI, damaged headers, sizes beyond 64
// TiB.
absl::StatusOr<DiskHeader> ReadDiskHeader(const ByteSource& disk);

// The same of a disk of which only the beginning is there (`head`, 64 KiB if it has so many): the
// first of a compressed one.
absl::StatusOr<DiskHeader> ReadDiskHeader(absl::string_view head, int64_t size);

}  // namespace virmo::ovf
