// SPDX-License-Identifier: Apache-2.0
#include "tests/support/child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace virmo::testing_support {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

[[noreturn]] void Exec(const Child::Options& options) {
  // A test that dies takes its processes along; virtual machines are not among them.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (!options.output_file.empty()) {
    const int fd = open(options.output_file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const auto& [name, value] : options.environment) setenv(name.c_str(), value.c_str(), 1);
  execvp(options.command[0].c_str(), Pointers(options.command).data());
  perror(options.command[0].c_str());
  _exit(127);
}

}  // namespace

Child::Child(const Options& options) : pid_(fork()) {
  if (pid_ == 0) Exec(options);
  EXPECT_GT(pid_, 0) << "cannot fork";
}

Child::~Child() { Kill(SIGKILL); }

bool Child::IsRunning() {
  if (reaped_) return false;
  if (waitpid(pid_, &status_, WNOHANG) == pid_) reaped_ = true;
  return !reaped_;
}

int Child::Kill(int signal) {
  if (!IsRunning()) return status_;
  kill(pid_, signal);
  waitpid(pid_, &status_, 0);
  reaped_ = true;
  return status_;
}

int Child::Wait(int seconds) {
  const absl::Time deadline = absl::Now() + absl::Seconds(seconds);
  while (IsRunning()) {
    if (absl::Now() > deadline) return -1;
    absl::SleepFor(absl::Milliseconds(10));
  }
  return status_;
}

Outcome RunToEnd(const std::vector<std::string>& command) {
  std::array<int, 2> pipe_ends{};
  EXPECT_EQ(pipe(pipe_ends.data()), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(pipe_ends[1], STDOUT_FILENO);
    dup2(pipe_ends[1], STDERR_FILENO);
    close(pipe_ends[0]);
    Exec({.command = command, .environment = {}, .output_file = ""});
  }
  close(pipe_ends[1]);
  Outcome outcome{-1, ""};
  std::array<char, 4096> buffer{};
  ssize_t got = 0;
  while ((got = read(pipe_ends[0], buffer.data(), buffer.size())) > 0) {
    outcome.output.append(buffer.data(), static_cast<size_t>(got));
  }
  close(pipe_ends[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  if (WIFEXITED(status)) outcome.exit_code = WEXITSTATUS(status);
  return outcome;
}

}  // namespace virmo::testing_support
