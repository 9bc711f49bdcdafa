// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace virmo {

// What a process is, for its command line.
struct Program {
  std::string name;         // `vm-controller`
  std::string description;  // Two or three sentences, for --help.
};

// The main() of every process. Understands
//   --config FILE    configuration (default /etc/virmo/NAME.textproto, which may be missing)
//   --check_config   say whether the configuration is right, and stop
//   --print_config   print the configuration in force, defaults included, and stop
//   --help, --version
// merges the file into `config`, which holds the defaults, starts logging as its field `logging`
// says, and calls `run`. Returns the exit code: 0, 1 when `run` failed (with its error logged),
// 2 for a wrong command line or configuration (with the cause, line and column on standard error).
int RunProgram(int argc, char** argv, const Program& program, google::protobuf::Message& config,
               const std::function<absl::Status()>& run);

// Reads a message in text format from a file and merges it into `message`. Unknown fields are
// errors with line and column.
absl::Status ReadTextProto(const std::string& path, google::protobuf::Message& message);

}  // namespace virmo
