// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "services/cli/command.h"
#include "services/cli/context.h"
#include "virmo/v1/command.pb.h"
#include "virmo/v1/device.pb.h"

namespace virmo::cli {

// Queues an action for the device in DEVICE, follows it unless --no-wait says otherwise, and shows
// what it made, if it made something. Errors say `cannot VERB vm "SUBJECT" on "DEVICE"`.
absl::Status Act(Context& context, const Arguments& arguments, const std::string& verb,
                 const std::string& subject, v1::Action action);

// The same for the virtual machine in VM.
absl::Status ActOn(Context& context, const Arguments& arguments, const std::string& verb,
                   v1::Action action);

// The virtual machine in VM of the device in DEVICE, as the server last read it.
absl::StatusOr<v1::DeviceVirtualMachine> FindVirtualMachine(Context& context,
                                                            const Arguments& arguments);

}  // namespace virmo::cli
