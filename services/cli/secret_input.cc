// SPDX-License-Identifier: Apache-2.0
#include "services/cli/secret_input.h"

#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

#include "services/cli/exit_code.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"

namespace virmo::cli {
namespace {

absl::StatusOr<std::string> FirstLine(std::istream& stream, const std::string& path) {
  std::string line;
  std::getline(stream, line);
  if (!line.empty() && line.back() == '\r') line.pop_back();
  if (!line.empty()) return line;
  return UsageError(absl::StrCat("the first line of ", path, " is empty"));
}

// One line from the terminal, not echoed.
absl::StatusOr<std::string> Ask(std::FILE* terminal, const std::string& question) {
  termios before = {};
  if (tcgetattr(fileno(terminal), &before) != 0) {
    return UsageError(absl::StrCat("cannot hide what is typed: ", std::strerror(errno)));
  }
  termios hidden = before;
  hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  tcsetattr(fileno(terminal), TCSAFLUSH, &hidden);
  const absl::Cleanup restore = [&] { tcsetattr(fileno(terminal), TCSAFLUSH, &before); };
  std::fputs(question.c_str(), terminal);
  std::fflush(terminal);
  std::string line;
  for (int c = std::fgetc(terminal); c != EOF && c != '\n'; c = std::fgetc(terminal)) {
    line.push_back(static_cast<char>(c));
  }
  std::fputc('\n', terminal);
  return line;
}

}  // namespace

absl::StatusOr<std::string> ReadSecret(const std::string& path, absl::string_view what) {
  if (path == "-") return FirstLine(std::cin, "standard input");
  if (!path.empty()) {
    std::ifstream file(path);
    if (file) return FirstLine(file, path);
    return Error(v1::ErrorInfo::REASON_NOT_FOUND,
                 absl::StrCat("cannot read ", path, ": ", std::strerror(errno)));
  }
  std::FILE* terminal = std::fopen("/dev/tty", "r+e");
  if (terminal == nullptr) {
    return UsageError("there is no terminal to ask for the secret: use --secret-file");
  }
  const absl::Cleanup close = [&] { std::fclose(terminal); };
  ASSIGN_OR_RETURN(const std::string first, Ask(terminal, absl::StrCat(what, ": ")));
  if (first.empty()) return UsageError("the secret is empty");
  ASSIGN_OR_RETURN(const std::string second, Ask(terminal, "once more: "));
  if (first == second) return first;
  return UsageError("what was typed the second time differs");
}

}  // namespace virmo::cli
