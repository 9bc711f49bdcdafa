// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "virmo/v1/command.pb.h"

namespace virmo::server {

// What a node is to show once a command is done.
struct Expectation {
  std::string uri;
  std::string format;
  std::vector<std::string> values;  // any of them
  bool present = true;              // false: there is no such node any more
};

// The nodes that are read back to confirm a command, and what confirms it. Empty for those that
// the state of their virtual machine confirms, and for those that leave nothing to be seen.
std::vector<Expectation> ExpectationsOf(const v1::Command& command, const std::string& command_id);

// Whether anything that can be read confirms the command: a node, or its virtual machine's state.
bool CanBeConfirmed(const v1::Command& command, const std::string& command_id);

// Whether two values of a node are the same: numbers and booleans by value, base64 by its octets,
// XML by its elements and text (CDATA or escaped, white space between elements, order of
// attributes, prefixes do not count).
bool SameValue(absl::string_view format, absl::string_view a, absl::string_view b);

}  // namespace virmo::server
