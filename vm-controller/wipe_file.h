// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"

namespace virmo::vm_controller {

// Overwrites what a file holds with zeros, durably, and gives its blocks back, so that whoever kept
// the file open, or linked it, or reads the free blocks of the disk finds nothing. (A disk that
// writes elsewhere than it is told may keep an old copy.) Empty afterwards. Succeeds if there is
// none, or it is no plain file.
absl::Status EmptyFile(const std::string& path);

// As EmptyFile, and removes it.
absl::Status WipeFile(const std::string& path);

// As WipeFile, for every file in a folder and below, and the folder.
absl::Status WipeDirectory(const std::string& path);

}  // namespace virmo::vm_controller
