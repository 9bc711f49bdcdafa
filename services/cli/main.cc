// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <string>
#include <variant>
#include <vector>

#include "services/cli/command.h"
#include "services/cli/command_line.h"
#include "services/cli/completion.h"
#include "services/cli/context.h"
#include "services/cli/exit_code.h"

namespace {

int Run(const std::vector<std::string>& words) {
  using virmo::cli::Farewell;
  using virmo::cli::Invocation;
  if (!words.empty() && words[0] == virmo::cli::kCompleteWord) {
    std::cout << virmo::cli::Complete({words.begin() + 1, words.end()});
    return 0;
  }
  auto parsed = virmo::cli::ParseCommandLine(words, virmo::cli::AllCommands(), VIRMO_VERSION);
  if (const auto* farewell = std::get_if<Farewell>(&parsed)) {
    std::cout << farewell->out << std::flush;
    std::cerr << farewell->err << std::flush;
    return farewell->exit_code;
  }
  const Invocation& invocation = std::get<Invocation>(parsed);
  virmo::cli::Context context(invocation.settings, {.out = std::cout,
                                                    .err = std::cerr,
                                                    .out_is_terminal = isatty(STDOUT_FILENO) == 1,
                                                    .err_is_terminal = isatty(STDERR_FILENO) == 1});
  const absl::Status status = invocation.command->run(context, invocation.arguments);
  // Without words: the command said all there is to say.
  if (!status.ok() && !status.message().empty()) {
    std::cerr << (context.json() ? virmo::cli::ErrorJson(status) : virmo::cli::ErrorText(status));
  }
  return static_cast<int>(virmo::cli::ExitCodeOf(status));
}

}  // namespace

int main(int argc, char** argv) {
  // Output into a closed pipe (`| head`) ends us as it ends other tools.
  std::signal(SIGPIPE, SIG_DFL);
  return Run({argv + 1, argv + argc});
}
