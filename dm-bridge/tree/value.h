// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dm-bridge/tree/node.h"

namespace virmo::dm_bridge {

// The value that Add or Replace brings to a node of `format`, as octets. Without Meta/Format it is
// taken as the node's own. 415 for another format, 400 for text that the format does not have,
// 412 for a leaf without data.
absl::StatusOr<std::string> DecodeValue(Format format, const std::optional<std::string>& sent,
                                        const std::optional<std::string>& data);

// The argument of an Exec: text, or octets if it came as b64 or bin.
absl::StatusOr<std::string> DecodeArgument(const std::optional<std::string>& sent,
                                           const std::optional<std::string>& data);

// Whether the node's value, which is `now`, may be replaced (Call::expected); 412 if not.
absl::Status CheckExpected(const Call& call, absl::string_view now);

// The node's Type property: its own, or the default of its format.
std::string TypeOf(const NodeType& type);

// Values of leaves.
std::string BoolText(bool value);
std::string IntText(int64_t value);  // Bounded to 32 bits, which is what DM's int is.
absl::StatusOr<int64_t> ParseInt(absl::string_view text);
absl::StatusOr<bool> ParseBool(absl::string_view text);

}  // namespace virmo::dm_bridge
