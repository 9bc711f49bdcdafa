// SPDX-License-Identifier: Apache-2.0
// virmo server …
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

#include "services/cli/command.h"
#include "services/cli/context.h"
#include "services/cli/format.h"
#include "services/runtime/status_macros.h"
#include "virmo/v1/fleet_service.grpc.pb.h"

namespace virmo::cli {
namespace {

absl::StatusOr<v1::GetServerResponse> Get(Context& context) {
  ASSIGN_OR_RETURN(const Peer server, context.Server());
  return server.Call(&v1::FleetService::Stub::GetServer, v1::GetServerRequest(),
                     "ask the server about itself");
}

absl::Status ShowServer(Context& context, const Arguments& /*arguments*/) {
  ASSIGN_OR_RETURN(const v1::GetServerResponse server, Get(context));
  context.Show(server, server.server_id(),
               PropertiesText({{"Server", server.server_id()},
                               {"Devices", server.dm_url()},
                               {"Escrow key", server.escrow_public_key()}}));
  return absl::OkStatus();
}

absl::Status ShowEscrowKey(Context& context, const Arguments& /*arguments*/) {
  ASSIGN_OR_RETURN(const v1::GetServerResponse server, Get(context));
  const std::string line = absl::StrCat(server.escrow_public_key(), "\n");
  context.Show(server, server.escrow_public_key(), line);
  return absl::OkStatus();
}

}  // namespace

std::vector<Command> ServerCommands() {
  return {
      {"server show", "Show what devices need to know of the server", {}, ShowServer},
      {"server escrow-key",
       "Print the public key for policy-engine's escrow_public_key_file",
       {},
       ShowEscrowKey},
  };
}

}  // namespace virmo::cli
