// SPDX-License-Identifier: Apache-2.0
#include "services/cli/program_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/server_builder.h"

extern char** environ;

namespace virmo::cli {
namespace {

std::string TemporaryFile() {
  std::string path = testing::TempDir() + "/virmo-output-XXXXXX";
  const int file = mkstemp(path.data());
  if (file >= 0) close(file);
  return path;
}

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

void WriteAll(const std::string& path, const std::string& content) {
  std::ofstream(path) << content;
}

RunningProgram::RunningProgram(const std::vector<std::string>& words,
                               const std::vector<std::string>& environment)
    : out_path_(TemporaryFile()), err_path_(TemporaryFile()) {
  std::vector<std::string> arguments = words;
  std::vector<std::string> variables = environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string name = std::string(*entry).substr(0, std::string(*entry).find('=') + 1);
    const bool given =
        std::any_of(environment.begin(), environment.end(),
                    [&](const std::string& variable) { return absl::StartsWith(variable, name); });
    if (!given) variables.emplace_back(*entry);
  }
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, out_path_.c_str(), O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDERR_FILENO, err_path_.c_str(), O_WRONLY, 0);
  EXPECT_EQ(posix_spawn(&pid_, words[0].c_str(), &files, nullptr, Pointers(arguments).data(),
                        Pointers(variables).data()),
            0);
  posix_spawn_file_actions_destroy(&files);
}

RunningProgram::~RunningProgram() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  unlink(out_path_.c_str());
  unlink(err_path_.c_str());
}

void RunningProgram::Signal(int number) const { kill(pid_, number); }

void RunningProgram::WaitForOutput(const std::string& text) const {
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  while (!absl::StrContains(ReadAll(out_path_), text)) {
    ASSERT_LT(absl::Now(), deadline) << "no `" << text << "` in:\n"
                                     << ReadAll(out_path_) << ReadAll(err_path_);
    absl::SleepFor(absl::Milliseconds(5));
  }
}

Result RunningProgram::Finish() {
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  int status = 0;
  while (waitpid(pid_, &status, WNOHANG) == 0) {
    if (absl::Now() > deadline) {
      ADD_FAILURE() << "the program does not end";
      kill(pid_, SIGKILL);
      waitpid(pid_, &status, 0);
      break;
    }
    absl::SleepFor(absl::Milliseconds(2));
  }
  pid_ = -1;
  return {.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
          .out = ReadAll(out_path_),
          .err = ReadAll(err_path_)};
}

ProgramTest::ProgramTest() : folder_(testing::TempDir() + "/virmo-cli-XXXXXX") {
  EXPECT_NE(mkdtemp(folder_.data()), nullptr);
  Serve();
}

ProgramTest::~ProgramTest() {
  StopServing();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void ProgramTest::Serve() {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  builder.AddListeningPort(server(), grpc::InsecureServerCredentials());
  builder.RegisterService(&fleet_);
  builder.RegisterService(&images_);
  builder.RegisterService(&controller_);
  builder.RegisterService(&process_);
  server_ = builder.BuildAndStart();
  ASSERT_NE(server_, nullptr);
}

void ProgramTest::StopServing() {
  fleet_.Shutdown();
  if (server_ != nullptr) {
    server_->Shutdown(absl::ToChronoTime(absl::Now()));
    server_->Wait();
  }
  server_.reset();
}

std::unique_ptr<RunningProgram> ProgramTest::StartVirmo(std::vector<std::string> words) {
  words.insert(words.begin(), {VIRMO_BINARY, "--server", server()});
  return std::make_unique<RunningProgram>(words);
}

Result ProgramTest::Virmo(std::vector<std::string> words) {
  return StartVirmo(std::move(words))->Finish();
}

Result ProgramTest::Bash(const std::string& line) {
  const std::string directory = std::filesystem::path(VIRMO_BINARY).parent_path();
  RunningProgram program({"/bin/bash", "--norc", "-c", line},
                         {"PATH=" + directory + ":/usr/bin:/bin", "VIRMO_SERVER=" + server()});
  return program.Finish();
}

void ProgramTest::GivenDevice(const std::string& id, const std::string& name) {
  v1::Device device;
  device.set_name("devices/" + id);
  device.set_display_name(name);
  fleet_.AddDevice(device);
}

void ProgramTest::GivenVm(const std::string& device, const std::string& id, const std::string& name,
                          int state) {
  v1::DeviceVirtualMachine vm;
  vm.set_name("devices/" + device + "/virtualMachines/" + id);
  vm.set_display_name(name);
  vm.set_state(state);
  fleet_.AddVm("devices/" + device, vm);
}

}  // namespace virmo::cli
