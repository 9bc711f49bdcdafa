// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "services/cli/peer.h"
#include "services/cli/progress.h"
#include "virmo/v1/image_service.pb.h"

namespace virmo::cli {

// Uploads a file as `image` (name and media type are taken), computing its SHA-256 on the way,
// and compares that with what the server stored. NOT_FOUND if there is no such file;
// FAILED_PRECONDITION (PACKAGE_INVALID) if it changed while it was read, or arrived wrong.
absl::StatusOr<v1::Image> Upload(const Peer& server, const std::string& path,
                                 const v1::Image& image, absl::Time deadline, Progress& progress);

// `alpine-3.img` of `/tmp/Alpine 3.img`: the file's name as an image id. Empty if nothing of it
// can be used.
std::string ImageIdOf(absl::string_view path);

// The MIME type of `qcow2` and `raw`; anything else as it is.
std::string MediaTypeOf(absl::string_view word);

}  // namespace virmo::cli
