// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// Addresses of nodes in the management tree (OMA DM TND 1.2 §7).
namespace virmo::syncml {

// DevDetail/URI; 0 is no limit.
struct UriLimits {
  int max_depth = 0;           // segments below the root
  int max_total_length = 0;    // octets of the normalised path, without the query
  int max_segment_length = 0;  // octets of a segment as written in the URI
};

// A checked node URI. "./A/B" and "A/B" give the same value.
struct NodeUri {
  enum class Query : uint8_t { kNone, kProp, kList };

  std::vector<std::string> segments{};  // canonically %-escaped; none for the root
  Query query = Query::kNone;
  std::string argument{};  // of ?prop= or ?list=, as sent: "ACL", "StructData", "TNDS+ACL-Type"

  bool is_root() const { return segments.empty(); }
  std::string Path() const;      // ".", "./A/B"
  std::string ToString() const;  // with the query

  bool operator==(const NodeUri&) const = default;
};

// Reads and normalises: white space around it and a leading "./" go; escapes of characters that
// need none are undone, others written in upper case; raw UTF-8 is escaped.
//   InvalidArgument  empty, leading or trailing or double "/", "." or ".." or "*" as a segment,
//                    a character that needs escaping, a bad escape, an unknown query
//   OutOfRange       a limit is passed (Status 414)
absl::StatusOr<NodeUri> ParseNodeUri(absl::string_view uri, const UriLimits& limits = {});

// A node name as a segment ("Hypervisor box" -> "Hypervisor%20box"), and back.
std::string EscapeSegment(absl::string_view name);
std::string UnescapeSegment(absl::string_view segment);

// Whether `path` (as by NodeUri::Path()) is `ancestor` or below it.
bool IsWithin(absl::string_view path, absl::string_view ancestor);

}  // namespace virmo::syncml
