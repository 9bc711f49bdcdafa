// SPDX-License-Identifier: Apache-2.0
// virmo local console
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"

#include "services/cli/exit_code.h"
#include "services/cli/format.h"
#include "services/cli/local.h"
#include "services/runtime/status_macros.h"
#include "virmo/v1/virtual_machine_service.grpc.pb.h"

namespace virmo::cli {
namespace {

constexpr char kLeave = 0x1d;  // Ctrl-], as telnet and virsh.

// Passes every key on as it is pressed, Ctrl-C too, while it lives.
class RawTerminal {
 public:
  RawTerminal() {
    if (tcgetattr(STDIN_FILENO, &former_) != 0) return;
    termios raw = former_;
    cfmakeraw(&raw);
    raw.c_oflag = former_.c_oflag;  // The guest's line feeds need the terminal's help.
    changed_ = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
  }
  ~RawTerminal() {
    if (changed_) tcsetattr(STDIN_FILENO, TCSANOW, &former_);
  }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

 private:
  termios former_ = {};
  bool changed_ = false;
};

using Stream = grpc::ClientReaderWriter<v1::OpenConsoleRequest, v1::OpenConsoleResponse>;

// Carries keys to the guest on a thread of its own.
class Keyboard {
 public:
  Keyboard(Stream& stream, grpc::ClientContext& call)
      : stream_(stream), call_(call), thread_([this] { Run(); }) {}
  ~Keyboard() {
    stop_ = true;
    thread_.join();
  }
  Keyboard(const Keyboard&) = delete;
  Keyboard& operator=(const Keyboard&) = delete;

  bool left() const { return left_; }

 private:
  void Run() {
    while (!stop_) {
      pollfd input = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
      if (poll(&input, 1, 100) <= 0) continue;
      char keys[256];
      const ssize_t count = read(STDIN_FILENO, keys, sizeof keys);
      if (count <= 0) return;
      v1::OpenConsoleRequest request;
      request.set_input(keys, static_cast<size_t>(count));
      if (request.input().find(kLeave) != std::string::npos) {
        left_ = true;
        call_.TryCancel();
        return;
      }
      if (!stream_.Write(request)) return;
    }
  }

  Stream& stream_;
  grpc::ClientContext& call_;
  std::atomic<bool> stop_ = false;
  std::atomic<bool> left_ = false;
  std::thread thread_;
};

void SetEnd(const Arguments& arguments, grpc::ClientContext& call) {
  const absl::Duration length =
      arguments.Has("--seconds") ? absl::Seconds(arguments.Number("--seconds")) : absl::Hours(24);
  call.set_deadline(absl::ToChronoTime(absl::Now() + length));
}

}  // namespace

absl::Status LocalConsole(Context& context, const Arguments& arguments) {
  const std::string goal = absl::StrCat("open the console of vm \"", arguments.Text("ID"), "\"");
  ASSIGN_OR_RETURN(const Peer controller, LocalPeer(context, arguments, "vm-controller"));
  ASSIGN_OR_RETURN(const std::string name, LocalVmName(controller, arguments.Text("ID"), goal));
  v1::VirtualMachineService::Stub stub(controller.channel());
  grpc::ClientContext call;
  SetEnd(arguments, call);
  const std::unique_ptr<Stream> stream = stub.OpenConsole(&call);
  v1::OpenConsoleRequest request;
  request.set_name(name);
  request.set_backlog_bytes(
      arguments.Has("--backlog") ? static_cast<int32_t>(arguments.Number("--backlog")) : 4096);
  bool left = false;
  {
    std::optional<RawTerminal> terminal;
    std::optional<Keyboard> keyboard;
    if (stream->Write(request) && isatty(STDIN_FILENO) == 1) {
      context.Note("Ctrl-] leaves.\n");
      terminal.emplace();
      keyboard.emplace(*stream, call);
    }
    v1::OpenConsoleResponse response;
    while (stream->Read(&response)) context.Print(response.output());
    left = keyboard && keyboard->left();
  }
  const grpc::Status status = stream->Finish();
  const bool over =
      arguments.Has("--seconds") && status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
  if (status.ok() || left || over) return absl::OkStatus();
  return controller.Explain(status, goal);
}

}  // namespace virmo::cli
