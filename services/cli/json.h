// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "google/protobuf/message.h"

namespace virmo::cli {

// A message as protobuf JSON with the proto's own field names, every field always there, so that
// scripts can rely on them. ToJson is indented and ends with a line feed; ToJsonLine is one line.
std::string ToJson(const google::protobuf::Message& message);
std::string ToJsonLine(const google::protobuf::Message& message);

// The same of a list: an array.
std::string ToJson(const std::vector<const google::protobuf::Message*>& messages);

}  // namespace virmo::cli
