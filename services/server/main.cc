// SPDX-License-Identifier: Apache-2.0
#include <memory>

#include "services/runtime/process.h"
#include "services/runtime/program.h"
#include "services/runtime/status_macros.h"
#include "services/server/server.h"

namespace {

absl::Status Run(const virmo::config::v1::ServerConfig& config) {
  ASSIGN_OR_RETURN(const std::unique_ptr<virmo::Process> process,
                   virmo::Process::Create("virmo-server", config.listener()));
  ASSIGN_OR_RETURN(const std::unique_ptr<virmo::server::Server> server,
                   virmo::server::Server::Open(config));
  process->Register(server->fleet_service());
  process->Register(server->image_service());
  process->OnShutdown([&] { server->CloseStreams(); });
  return process->Serve();
}

}  // namespace

int main(int argc, char** argv) {
  const virmo::Program program = {
      .name = "server",
      .description =
          "The VirMO server: manages virtual machines on a fleet of devices over OMA "
          "DM. Devices connect by HTTP(S), admins' tools by gRPC. It keeps the device "
          "registry, the command queue, the alerts and the image library."};
  virmo::config::v1::ServerConfig config = virmo::server::DefaultConfig();
  return virmo::RunProgram(argc, argv, program, config, [&] { return Run(config); });
}
