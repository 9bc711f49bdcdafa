// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "services/syncml/message.h"

namespace virmo::syncml {

struct DumpOptions {
  size_t max_data = 256;  // characters of Data to show; 0 shows all
};

// A readable trace of a message, one line per element, indented by nesting, control characters
// escaped. Secrets are shown as `***`: Cred data, NextNonce, answers of the user, and the data of
// nodes named like AAuthSecret, AAuthData or anything with "Secret", also within TNDS.
std::string Dump(const Message& message, const DumpOptions& options = {});

}  // namespace virmo::syncml
