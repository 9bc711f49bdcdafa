// SPDX-License-Identifier: Apache-2.0
// virmo local prompts
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <iostream>
#include <optional>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "services/cli/exit_code.h"
#include "services/cli/interrupt.h"
#include "services/cli/local.h"
#include "services/cli/watch_stream.h"
#include "services/runtime/status_macros.h"
#include "virmo/v1/dm_bridge_service.grpc.pb.h"

namespace virmo::cli {
namespace {

constexpr int kDisplay = 1100;
constexpr int kConfirm = 1101;
constexpr int kTextInput = 1102;

using Stream = WatchStream<v1::WatchPromptsResponse>;

// Does not show what is typed while it lives.
class HiddenInput {
 public:
  explicit HiddenInput(bool hide) {
    if (!hide || tcgetattr(STDIN_FILENO, &former_) != 0) return;
    termios hidden = former_;
    hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    changed_ = tcsetattr(STDIN_FILENO, TCSANOW, &hidden) == 0;
  }
  ~HiddenInput() {
    if (changed_) tcsetattr(STDIN_FILENO, TCSANOW, &former_);
  }
  HiddenInput(const HiddenInput&) = delete;
  HiddenInput& operator=(const HiddenInput&) = delete;

 private:
  termios former_ = {};
  bool changed_ = false;
};

std::string PromptText(const v1::Prompt& prompt) {
  std::string text = absl::StrCat(prompt.server_id(), ": ", prompt.text(), "\n");
  for (int i = 0; i < prompt.choices_size(); ++i) {
    absl::StrAppend(&text, "  ", i + 1, "  ", prompt.choices(i), "\n");
  }
  return text;
}

std::string HowToAnswer(const v1::Prompt& prompt) {
  const std::string by_default =
      prompt.default_response().empty() ? "" : absl::StrCat(" [", prompt.default_response(), "]");
  if (prompt.code() == kDisplay) return "Enter: seen, or \"cancel\" ";
  if (prompt.code() == kConfirm) return absl::StrCat("yes, no or cancel", by_default, " ");
  if (prompt.code() == kTextInput) return absl::StrCat("Text, or \"cancel\"", by_default, " ");
  return absl::StrCat("Numbers, as 1 or 1,3, or \"cancel\"", by_default, " ");
}

// What a person's word means as an answer; INVALID_ARGUMENT if it is none.
absl::StatusOr<v1::AnswerPromptRequest> ReadAnswer(const v1::Prompt& prompt, std::string word) {
  v1::AnswerPromptRequest request;
  request.set_id(prompt.id());
  if (word.empty()) word = prompt.default_response();
  if (absl::EqualsIgnoreCase(word, "cancel")) {
    request.set_cancelled(true);
    return request;
  }
  if (prompt.code() == kDisplay) return request;
  if (prompt.code() == kTextInput) {
    request.set_text(word);
    return request;
  }
  if (prompt.code() == kConfirm) {
    const bool yes = absl::EqualsIgnoreCase(word, "yes") || word == "y" || word == "1";
    const bool no = absl::EqualsIgnoreCase(word, "no") || word == "n" || word == "0";
    if (!yes && !no) return UsageError("say yes, no or cancel");
    request.set_confirmed(yes);
    return request;
  }
  for (const absl::string_view part : absl::StrSplit(word, absl::ByAnyChar(",- "))) {
    int number = 0;
    if (part.empty()) continue;
    if (!absl::SimpleAtoi(part, &number)) return UsageError("give the numbers of the choices");
    request.add_choices(number);
  }
  return request;
}

// A line of standard input if there is one now.
bool ReadLine(std::string* line) {
  pollfd input = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  if (poll(&input, 1, 0) <= 0) return false;
  return static_cast<bool>(std::getline(std::cin, *line));
}

// Shows prompts and takes their answers, in turn.
class Conversation {
 public:
  Conversation(Context& context, const Peer& peer, const Arguments& arguments)
      : context_(context), peer_(peer), arguments_(arguments) {}

  int answered() const { return answered_; }

  absl::Status OnEvent(const v1::WatchPromptsResponse& event) {
    if (!event.closed().empty() && event.closed() == open_.id()) {
      if (!arguments_.Has("--answer")) context_.Note("\nIt is over.\n");
      open_.Clear();
      hidden_.reset();
    }
    if (!event.has_opened() || !seen_.insert(event.opened().id()).second) return absl::OkStatus();
    open_ = event.opened();
    context_.Show(open_, open_.id(), PromptText(open_));
    if (arguments_.Has("--answer")) return Answer(arguments_.Text("--answer"));
    context_.Note(HowToAnswer(open_));
    hidden_.emplace(open_.masked());
    return absl::OkStatus();
  }

  // Of what was typed meanwhile.
  void OnIdle() {
    std::string line;
    if (open_.id().empty() || arguments_.Has("--answer") || !ReadLine(&line)) return;
    const absl::Status status = Answer(line);
    if (!status.ok()) context_.Note(absl::StrCat(status.message(), "\n", HowToAnswer(open_)));
  }

 private:
  absl::Status Answer(const std::string& word) {
    ASSIGN_OR_RETURN(const v1::AnswerPromptRequest request, ReadAnswer(open_, word));
    RETURN_IF_ERROR(
        peer_.Call(&v1::DmBridgeService::Stub::AnswerPrompt, request, "answer").status());
    ++answered_;
    open_.Clear();
    hidden_.reset();
    return absl::OkStatus();
  }

  Context& context_;
  const Peer& peer_;
  const Arguments& arguments_;
  std::set<std::string> seen_;
  v1::Prompt open_;
  std::optional<HiddenInput> hidden_;
  int answered_ = 0;
};

}  // namespace

absl::Status LocalPrompts(Context& context, const Arguments& arguments) {
  if (!arguments.Has("--answer") && isatty(STDIN_FILENO) != 1) {
    return UsageError("standard input is no terminal, so nobody can answer there: give --answer");
  }
  ASSIGN_OR_RETURN(const Peer peer, LocalPeer(context, arguments, "dm-bridge"));
  v1::DmBridgeService::Stub stub(peer.channel());
  InterruptNote interrupt;
  Stream stream([&](grpc::ClientContext* call, grpc::CompletionQueue* queue, void* tag) {
    return stub.AsyncWatchPrompts(call, v1::WatchPromptsRequest(), queue, tag);
  });
  Conversation conversation(context, peer, arguments);
  const absl::Time end = context.WaitDeadline();
  while (!interrupt.IsInterrupted() && absl::Now() < end) {
    v1::WatchPromptsResponse event;
    const Stream::Event what = stream.Next(absl::Milliseconds(200), &event);
    if (what == Stream::Event::kEnd) return peer.Explain(stream.status(), "watch prompts");
    if (what == Stream::Event::kMessage) RETURN_IF_ERROR(conversation.OnEvent(event));
    conversation.OnIdle();
    if (arguments.Has("--once") && conversation.answered() > 0) return absl::OkStatus();
  }
  return absl::OkStatus();
}

}  // namespace virmo::cli
