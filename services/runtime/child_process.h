// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace virmo::testing {

// A program that a test starts. Killed, if it still runs, when this goes.
class ChildProcess {
 public:
  // Standard output and error go to one file.
  ChildProcess(const std::vector<std::string>& arguments, std::string output_file);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  void Signal(int number) const;
  // Its exit code; 128 + signal if it was killed by one.
  int Wait();
  // What it wrote so far.
  std::string Output() const;
  int pid() const { return pid_; }

 private:
  const std::string output_file_;
  int pid_ = -1;
};

}  // namespace virmo::testing
