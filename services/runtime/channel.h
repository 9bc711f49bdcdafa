// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "virmo/config/v1/common.pb.h"

namespace virmo {

// A channel to another process of ours: over a unix socket, or over TCP with mutual TLS (without,
// only to a loopback address). It need not be there: the channel connects when it appears, within
// about a second. INVALID_ARGUMENT for an address or TLS setting that cannot work.
absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const config::v1::Endpoint& endpoint);

// Makes idle channels of this process notice what happens within a second. MakeChannel does it; a
// program does it before it starts threads (RunProgram).
void PollIdleChannelsEverySecond();

// Sets the deadline of an outgoing call; every call has one. `wait_for_ready` makes the call wait
// for the peer to appear instead of failing at once.
void SetDeadline(grpc::ClientContext& context, absl::Duration timeout, bool wait_for_ready = false);

}  // namespace virmo
