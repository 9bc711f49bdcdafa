// SPDX-License-Identifier: Apache-2.0
// The smallest process: what the tests start, and what the runtime alone costs.
#include "services/runtime/process.h"
#include "services/runtime/program.h"
#include "services/runtime/status_macros.h"
#include "virmo/config/v1/alert_emitter_config.pb.h"

int main(int argc, char** argv) {
  virmo::config::v1::AlertEmitterConfig config;
  config.mutable_listener()->set_address("unix:/run/virmo/test-process.sock");
  return virmo::RunProgram(
      argc, argv, {"test-process", "Serves nothing but what every process serves."}, config,
      [&]() -> absl::Status {
        ASSIGN_OR_RETURN(const std::unique_ptr<virmo::Process> process,
                         virmo::Process::Create("test-process", config.listener()));
        return process->Serve();
      });
}
