// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "services/cli/command.h"
#include "services/cli/context.h"
#include "services/cli/peer.h"

namespace virmo::cli {

// `--socket`: where the process that is asked listens, or the folder of all sockets.
Parameter SocketOption();

// The address of `process`: DIRECTORY/process.sock if --socket names a folder, else what it says;
// without --socket, in /run/virmo.
std::string AddressOf(const Arguments& arguments, const std::string& process);

// A peer for one of the device's processes. TLS options of the command line are used for
// addresses that are no sockets.
absl::StatusOr<Peer> LocalPeer(const Context& context, const Arguments& arguments,
                               const std::string& process);

// The resource name of a virtual machine that was given by its id, or by a name that no other one
// of the device has. VM_NOT_FOUND if there is none of that name.
absl::StatusOr<std::string> LocalVmName(const Peer& controller, const std::string& word,
                                        const std::string& goal);

// The device's own processes.
const std::vector<std::string>& LocalProcesses();

absl::Status LocalBootstrap(Context& context, const Arguments& arguments);
absl::Status LocalDescription(Context& context, const Arguments& arguments);
absl::Status LocalConsole(Context& context, const Arguments& arguments);
absl::Status LocalStatus(Context& context, const Arguments& arguments);
absl::Status LocalLogLevel(Context& context, const Arguments& arguments);
absl::Status LocalPrompts(Context& context, const Arguments& arguments);

}  // namespace virmo::cli
