// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace virmo::vm_controller {

// What kind of package it is: a disk image, or an OVF package (an archive, or a descriptor with
// files beside it). The numbers are stored.
enum class ImageFormat { kQcow2 = 0, kRaw = 1, kOva = 2, kOvf = 3 };

// Whether it is an OVF package.
bool IsOvf(ImageFormat format);

// The format of a MIME type. FAILED_PRECONDITION (UNSUPPORTED_ENVIRONMENT) for what we cannot use.
absl::StatusOr<ImageFormat> FormatOf(const std::string& media_type);

// `qcow2`, `raw`, `ova`, `ovf`.
std::string FormatName(ImageFormat format);

// Looks at an image that somebody sent, as `nobody` and with limits, and returns its virtual size
// in bytes. PACKAGE_INVALID if it is not of this format, is damaged, encrypted, or refers to
// another file (which would let its maker read the host's).
absl::StatusOr<int64_t> CheckImage(const std::string& path, ImageFormat format);

// Makes a qcow2 disk of `size_bytes` on top of an image that was checked.
absl::Status MakeOverlay(const std::string& image, ImageFormat format, int64_t size_bytes,
                         const std::string& path);

// Makes an empty qcow2 disk.
absl::Status MakeEmptyDisk(int64_t size_bytes, const std::string& path);

// Copies a disk of ours, with all below it, into a new qcow2 file.
absl::Status CopyDisk(const std::string& from, const std::string& to,
                      const std::function<bool()>& is_cancelled);

// Writes a disk of ours, with all below it, as a streamOptimized VMDK, which other tools read.
absl::Status ExportDisk(const std::string& from, const std::string& to,
                        const std::function<bool()>& is_cancelled);

// The virtual size in bytes of a disk of ours.
absl::StatusOr<int64_t> DiskSize(const std::string& path);

}  // namespace virmo::vm_controller
