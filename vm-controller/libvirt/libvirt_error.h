// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace virmo::vm_controller {

// What libvirt's last error on this thread means; `action` says what was tried ("start domain
// …"). The one place where libvirt's codes become reasons.
absl::Status LibvirtError(absl::string_view action);

// Whether libvirt's last error on this thread may mean that the connection broke, so that the
// call's outcome is unknown.
bool LastErrorIsConnectionLoss();

// Keeps libvirt from printing its errors to standard error; we return them.
void SilenceLibvirt();

}  // namespace virmo::vm_controller
