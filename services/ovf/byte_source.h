// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace virmo::ovf {

// Octets that can be read at any place: a file, a part of one, or memory. Thread-safe.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual int64_t size() const = 0;

  // Reads exactly `count` octets at `offset`; DATA_LOSS if there are not so many.
  virtual absl::Status ReadAt(int64_t offset, size_t count, char* to) const = 0;

  // At most `count` octets from `offset` on; fewer at the end.
  absl::StatusOr<std::string> Read(int64_t offset, size_t count) const;
};

// An open regular file; symbolic links are not followed. NOT_FOUND, or STORAGE_FAILED.
absl::StatusOr<std::unique_ptr<ByteSource>> OpenFile(const std::string& path);

// A part of another source, which must outlive it.
std::unique_ptr<ByteSource> PartOf(const ByteSource& whole, int64_t offset, int64_t size);

// A text, which must outlive it.
std::unique_ptr<ByteSource> SourceOf(absl::string_view octets);

}  // namespace virmo::ovf
