// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "dm-bridge/tree/node.h"
#include "virmo/v1/operation.pb.h"

namespace virmo::dm_bridge {

// The request id that a command's call to a service carries: the same for the same command, also
// when it comes again in a later session or after a crash, so that nothing is done twice. Made of
// server, URI, correlator and argument; without a correlator of the command's own key.
std::string RequestIdOf(const Call& call);

// Who asks, to travel with the operation and come back in its alert.
v1::Initiator InitiatorOf(const Call& call);

}  // namespace virmo::dm_bridge
