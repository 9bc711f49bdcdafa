// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace virmo::syncml {

// What the header of a WBXML document says it is.
enum class WbxmlDialect : uint8_t { kUnknown, kSyncMl, kDdf };

// Walks over the octets of a WBXML document and never past their end. Results point into the
// octets given. Errors are InvalidArgument and name the octet.
class WbxmlScanner {
 public:
  explicit WbxmlScanner(absl::string_view octets) : octets_(octets) {}

  // Version, public id, charset and string table; to be called first. Refuses WBXML 2 and
  // charsets that are not UTF-8 or part of it.
  absl::StatusOr<WbxmlDialect> ReadHeader();

  bool at_end() const { return at_ == octets_.size(); }
  bool next_is(uint8_t octet) const {
    return !at_end() && static_cast<uint8_t>(octets_[at_]) == octet;
  }
  size_t position() const { return at_; }  // of the next octet
  absl::StatusOr<uint8_t> TakeOctet();
  absl::StatusOr<uint32_t> TakeNumber();           // mb_u_int32
  absl::StatusOr<absl::string_view> TakeString();  // inline, NUL-terminated
  absl::StatusOr<absl::string_view> TakeOpaque();  // length and octets
  absl::StatusOr<uint32_t> TakeTableIndex();       // checked against the table
  // Passes over an attribute list or a processing instruction's, up to and with its END.
  absl::Status SkipAttributes();

  // The string at `index`, at most `max_size` octets of it.
  absl::string_view TableString(uint32_t index, size_t max_size) const;

  absl::Status Error(absl::string_view what) const;

 private:
  absl::StatusOr<absl::string_view> Take(size_t size);
  absl::Status SkipAttributePart(uint8_t token);

  absl::string_view octets_;
  absl::string_view table_;
  size_t at_ = 0;
};

}  // namespace virmo::syncml
