// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "services/cli/fake_server.h"

namespace virmo::cli {

// What a program did.
struct Result {
  int exit_code = -1;
  std::string out;
  std::string err;
};

// A program that runs, its output kept.
class RunningProgram {
 public:
  // `words[0]` is a path. `environment` has `NAME=value` on top of ours.
  explicit RunningProgram(const std::vector<std::string>& words,
                          const std::vector<std::string>& environment = {});
  ~RunningProgram();
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;

  void Signal(int number) const;
  // Waits until standard output has `text`; fails the test after 10 s.
  void WaitForOutput(const std::string& text) const;
  // Waits for its end, and kills it after 30 s.
  Result Finish();

 private:
  std::string out_path_;
  std::string err_path_;
  pid_t pid_ = -1;
};

// The real program against a fake server on a unix socket in a folder of its own.
class ProgramTest : public testing::Test {
 protected:
  ProgramTest();
  ~ProgramTest() override;

  // Begins, and ends, to serve at `server()`.
  void Serve();
  void StopServing();

  std::string folder() const { return folder_; }
  std::string server() const { return "unix:" + folder_ + "/server.sock"; }
  std::string PathOf(const std::string& name) const { return folder_ + "/" + name; }

  // `virmo --server … WORDS`.
  Result Virmo(std::vector<std::string> words);
  std::unique_ptr<RunningProgram> StartVirmo(std::vector<std::string> words);

  // A shell line with `virmo` in the PATH and VIRMO_SERVER set.
  Result Bash(const std::string& line);

  void GivenDevice(const std::string& id, const std::string& name = "");
  void GivenVm(const std::string& device, const std::string& id, const std::string& name,
               int state = 30);

  FakeFleet fleet_;
  FakeImages images_;
  FakeController controller_;
  FakeProcess process_;

 private:
  std::string folder_;
  std::unique_ptr<grpc::Server> server_;
};

std::string ReadAll(const std::string& path);
void WriteAll(const std::string& path, const std::string& content);

}  // namespace virmo::cli
