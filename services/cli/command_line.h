// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"

#include "services/cli/command.h"
#include "services/cli/context.h"

namespace virmo::cli {

constexpr char kDefaultServer[] = "unix:/run/virmo/server.sock";

// A command line that was understood.
struct Invocation {
  const Command* command;
  Arguments arguments;
  Settings settings;
};

// The program's end for a command line that runs no command: after --help, or when it is wrong.
struct Farewell {
  int exit_code = 0;
  std::string out;  // For standard output.
  std::string err;  // For standard error.
};

// Understands a command line without the program's name. Takes VIRMO_SERVER into account.
std::variant<Invocation, Farewell> ParseCommandLine(const std::vector<std::string>& words,
                                                    const std::vector<Command>& commands,
                                                    const std::string& version);

// The TLS name that a server at `address` is expected to have: the host of `HOST:PORT`.
std::string HostOf(absl::string_view address);

}  // namespace virmo::cli
