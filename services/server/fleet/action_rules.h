// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "virmo/v1/command.pb.h"

// What can be said of an action without knowing the device. Pure.
namespace virmo::server {

// INVALID_ARGUMENT naming the field of the first thing that no device could carry out: a URI that
// is none, a value that is not of its format or too large, Exec or Get in an Atomic, and so on.
absl::Status CheckFields(const v1::Action& action);

// Whether `uri` and `sha256` say what to fetch; `field` is the message that they are in.
absl::Status CheckDownload(absl::string_view field, const std::string& uri,
                           const std::string& sha256);

// Takes white space off around node URIs: people paste them.
void TrimUris(v1::Action& action);

}  // namespace virmo::server
