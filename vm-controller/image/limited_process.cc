// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/image/limited_process.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/runtime/error.h"

namespace virmo::vm_controller {
namespace {

constexpr size_t kMaxOutput = 1 << 20;
constexpr int kPollMilliseconds = 100;

struct Pipes {
  std::array<int, 2> output = {-1, -1};
  std::array<int, 2> error = {-1, -1};
};

// What the child needs, made before the fork: after it only what is async-signal-safe is allowed.
struct ChildPlan {
  std::vector<char*> arguments;
  bool change_user = false;
  uid_t uid = 0;
  gid_t gid = 0;
};

void SetLimit(int resource, int64_t value) {
  const struct rlimit limit = {static_cast<rlim_t>(value), static_cast<rlim_t>(value)};
  setrlimit(static_cast<__rlimit_resource>(resource), &limit);
}

[[noreturn]] void RunChild(const ChildPlan& plan, const Pipes& pipes, const ProcessLimits& limits) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null = open("/dev/null", O_RDWR);
  dup2(null, STDIN_FILENO);
  dup2(pipes.output[1], STDOUT_FILENO);
  dup2(pipes.error[1], STDERR_FILENO);
  SetLimit(RLIMIT_AS, limits.memory_bytes);
  SetLimit(RLIMIT_CPU, limits.cpu_seconds);
  SetLimit(RLIMIT_CORE, 0);
  if (limits.file_bytes > 0) SetLimit(RLIMIT_FSIZE, limits.file_bytes);
  if (plan.change_user &&
      (setgroups(0, nullptr) != 0 || setgid(plan.gid) != 0 || setuid(plan.uid) != 0)) {
    _exit(126);
  }
  char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
  char locale[] = "LC_ALL=C";
  char* environment[] = {path, locale, nullptr};
  execvpe(plan.arguments[0], plan.arguments.data(), environment);
  _exit(127);
}

// Appends what is there; false at the end.
bool Drain(int fd, std::string& text) {
  char buffer[4096];
  const ssize_t count = read(fd, buffer, sizeof(buffer));
  if (count < 0) return errno == EINTR || errno == EAGAIN;
  if (text.size() < kMaxOutput) text.append(buffer, static_cast<size_t>(count));
  return count > 0;
}

enum class End { kByItself, kTimedOut, kCancelled };

// Reads until both pipes are closed.
End ReadAll(const Pipes& pipes, const ProcessLimits& limits, std::string& output,
            std::string& error) {
  const absl::Time deadline = absl::Now() + limits.timeout;
  bool output_open = true, error_open = true;
  while (output_open || error_open) {
    if (absl::Now() > deadline) return End::kTimedOut;
    if (limits.is_cancelled()) return End::kCancelled;
    struct pollfd polls[2] = {{output_open ? pipes.output[0] : -1, POLLIN, 0},
                              {error_open ? pipes.error[0] : -1, POLLIN, 0}};
    poll(polls, 2, kPollMilliseconds);
    if (polls[0].revents != 0) output_open = Drain(pipes.output[0], output);
    if (polls[1].revents != 0) error_open = Drain(pipes.error[0], error);
  }
  return End::kByItself;
}

absl::Status EndError(End end, const std::string& program, int status, const std::string& error) {
  if (end == End::kTimedOut) {
    return Error(v1::ErrorInfo::REASON_TIMED_OUT, absl::StrCat(program, " did not end in time"));
  }
  if (end == End::kCancelled) {
    return Error(v1::ErrorInfo::REASON_CANCELLED, absl::StrCat(program, " was cancelled"));
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  std::string cause(absl::StripAsciiWhitespace(error));
  if (WIFSIGNALED(status)) absl::StrAppend(&cause, " (signal ", WTERMSIG(status), ")");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) cause = "not found";
  return Error(v1::ErrorInfo::REASON_INTERNAL, absl::StrCat(program, ": ", cause),
               {{"cause", cause}});
}

}  // namespace

absl::StatusOr<std::string> RunLimited(const std::vector<std::string>& command,
                                       const ProcessLimits& limits) {
  ChildPlan plan;
  for (const std::string& argument : command) {
    plan.arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  plan.arguments.push_back(nullptr);
  if (limits.unprivileged && geteuid() == 0) {
    const struct passwd* nobody = getpwnam("nobody");
    plan.change_user = true;
    plan.uid = nobody == nullptr ? 65534 : nobody->pw_uid;
    plan.gid = nobody == nullptr ? 65534 : nobody->pw_gid;
  }
  Pipes pipes;
  if (pipe2(pipes.output.data(), O_CLOEXEC) != 0 || pipe2(pipes.error.data(), O_CLOEXEC) != 0) {
    return Error(v1::ErrorInfo::REASON_INTERNAL, "cannot make a pipe");
  }
  const pid_t child = fork();
  if (child == 0) RunChild(plan, pipes, limits);
  close(pipes.output[1]);
  close(pipes.error[1]);
  std::string output, error;
  const End end = child < 0 ? End::kByItself : ReadAll(pipes, limits, output, error);
  if (child > 0 && end != End::kByItself) kill(child, SIGKILL);
  int status = -1;
  if (child > 0) waitpid(child, &status, 0);
  close(pipes.output[0]);
  close(pipes.error[0]);
  const absl::Status failure = EndError(end, command.front(), status, error);
  if (!failure.ok()) return failure;
  return output;
}

}  // namespace virmo::vm_controller
