// SPDX-License-Identifier: Apache-2.0
// virmo-unlock: the local user unlocks a virtual machine, if the server granted that. See
// README.md.

#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "services/runtime/channel.h"
#include "services/runtime/clock.h"
#include "services/runtime/error.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/uuid.h"
#include "virmo/v1/user_unlock_service.grpc.pb.h"

namespace virmo {
namespace {

constexpr char kUsage[] =
    "usage: virmo-unlock [--status] [--socket PATH] VM\n"
    "\n"
    "Unlocks a virtual machine, named by id or display name, if its server allows the local user\n"
    "to. Asks for the PIN or password if one is needed (or reads a line of standard input if that\n"
    "is no terminal).\n"
    "\n"
    "  --status        say whether it is locked, why, and what the user may do\n"
    "  --socket PATH   where policy-engine listens for users\n"
    "                  (default /run/virmo/user-unlock.sock)\n"
    "\n"
    "exit status: 0 unlocked (--status: told), 1 refused, 2 wrong usage or no such virtual\n"
    "machine, 3 nobody answers\n";

enum Exit { kDone = 0, kRefused = 1, kUsageError = 2, kNobody = 3 };

struct Arguments {
  bool status = false;
  std::string socket = "/run/virmo/user-unlock.sock";
  std::string vm;
};

std::optional<Arguments> Parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--status") {
      arguments.status = true;
    } else if (argument == "--socket" && i + 1 < argc) {
      arguments.socket = argv[++i];
    } else if (argument.empty() || argument[0] == '-' || !arguments.vm.empty()) {
      return std::nullopt;
    } else {
      arguments.vm = argument;
    }
  }
  if (arguments.vm.empty()) return std::nullopt;
  if (IsUuid(arguments.vm)) arguments.vm = VirtualMachineName(arguments.vm);
  return arguments;
}

termios shown_terminal{};

void ShowAndEnd(int signal_number) {
  tcsetattr(STDIN_FILENO, TCSANOW, &shown_terminal);
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}

// Switches the terminal's echo off; on again at the end, and when a signal ends us.
class NoEcho {
 public:
  NoEcho() {
    if (tcgetattr(STDIN_FILENO, &shown_terminal) != 0) return;
    silent_ = true;
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) signal(number, ShowAndEnd);
    termios hidden = shown_terminal;
    hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
  }
  ~NoEcho() {
    if (silent_) tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown_terminal);
  }
  NoEcho(const NoEcho&) = delete;
  NoEcho& operator=(const NoEcho&) = delete;

 private:
  bool silent_ = false;
};

// Octet by octet: nothing of it stays in a stream's buffer.
std::string ReadLine(int fd) {
  std::string line;
  char octet = 0;
  while (line.size() < 4096 && read(fd, &octet, 1) == 1 && octet != '\n') line.push_back(octet);
  return line;
}

std::string AskForSecret() {
  if (isatty(STDIN_FILENO) == 0) return ReadLine(STDIN_FILENO);
  std::fputs("PIN or password: ", stderr);
  std::string secret;
  {
    const NoEcho hidden;
    secret = ReadLine(STDIN_FILENO);
  }
  std::fputs("\n", stderr);
  return secret;
}

int Fail(const grpc::Status& status) {
  std::cerr << "virmo-unlock: " << status.error_message() << "\n";
  switch (ReasonOf(FromGrpc(status))) {
    case v1::ErrorInfo::REASON_USER_UNLOCK_REFUSED:
      return kRefused;
    case v1::ErrorInfo::REASON_VM_NOT_FOUND:
      return kUsageError;
    default:
      return kNobody;
  }
}

int AttemptsLeft(const v1::UserUnlock& grant) {
  return std::max(0, (grant.max_attempts() > 0 ? grant.max_attempts() : 5) - grant.attempts());
}

void Show(const v1::Lock& lock) {
  std::cout << (lock.locked() ? "locked" : "unlocked") << "\n";
  if (!lock.locked()) return;
  if (!lock.reason().empty()) std::cout << "reason: " << lock.reason() << "\n";
  if (!lock.locked_by().empty()) std::cout << "by: " << lock.locked_by() << "\n";
  const v1::UserUnlock& grant = lock.user_unlock();
  if (!grant.allowed()) {
    std::cout << "unlock by the user: not allowed\n";
    return;
  }
  if (grant.method() == v1::UserUnlock::METHOD_NONE) {
    std::cout << "unlock by the user: allowed, without a secret\n";
  } else {
    std::cout << "unlock by the user: allowed, " << AttemptsLeft(grant) << " attempts left\n";
  }
  if (grant.has_valid_until()) {
    std::cout << "until: " << FromTimestamp(grant.valid_until()) << "\n";
  }
}

int Run(const Arguments& arguments) {
  config::v1::Endpoint endpoint;
  endpoint.set_address("unix:" + arguments.socket);
  const auto channel = MakeChannel(endpoint);
  if (!channel.ok()) {
    std::cerr << "virmo-unlock: " << channel.status().message() << "\n";
    return kUsageError;
  }
  const auto service = v1::UserUnlockService::NewStub(*channel);
  v1::GetLockRequest get;
  get.set_virtual_machine(arguments.vm);
  v1::GetLockResponse lock;
  grpc::ClientContext get_context;
  SetDeadline(get_context, absl::Seconds(10));
  grpc::Status status = service->GetLock(&get_context, get, &lock);
  if (!status.ok()) return Fail(status);
  if (arguments.status || !lock.lock().locked()) {
    Show(lock.lock());
    return kDone;
  }
  v1::UnlockByUserRequest unlock;
  unlock.set_virtual_machine(arguments.vm);
  const bool by_secret = lock.lock().user_unlock().method() != v1::UserUnlock::METHOD_NONE;
  if (lock.lock().user_unlock().allowed() && by_secret) unlock.set_secret(AskForSecret());
  v1::UnlockByUserResponse response;
  grpc::ClientContext unlock_context;
  SetDeadline(unlock_context, absl::Seconds(60));
  status = service->UnlockByUser(&unlock_context, unlock, &response);
  if (!status.ok()) return Fail(status);
  Show(response.lock());
  return kDone;
}

}  // namespace
}  // namespace virmo

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]) == "--help") {
      std::cout << virmo::kUsage;
      return 0;
    }
  }
  const auto arguments = virmo::Parse(argc, argv);
  if (!arguments) {
    std::cerr << virmo::kUsage;
    return virmo::kUsageError;
  }
  return virmo::Run(*arguments);
}
