// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

namespace virmo::testing_support {

// A program that a test runs; killed (SIGKILL) and reaped when this goes, unless it ended before.
class Child {
 public:
  struct Options {
    std::vector<std::string> command;
    std::map<std::string, std::string> environment;  // Added to ours.
    std::string output_file;                         // Gets standard output and error, appended.
  };

  // Fails the test if it cannot be started.
  explicit Child(const Options& options);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  bool IsRunning();

  // Sends `signal` and waits for the end. Returns the wait status.
  int Kill(int signal);

  // Waits for the end by itself; -1 if that takes longer than `seconds`.
  int Wait(int seconds);

 private:
  pid_t pid_;
  bool reaped_ = false;
  int status_ = 0;
};

// Runs a program to its end. Returns its exit code (-1 if it was killed) and its output.
struct Outcome {
  int exit_code;
  std::string output;  // Standard output and error.
};
Outcome RunToEnd(const std::vector<std::string>& command);

}  // namespace virmo::testing_support
