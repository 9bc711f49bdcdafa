// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "dm-bridge/session/prompter.h"
#include "services/runtime/broadcast.h"
#include "services/runtime/mutex.h"
#include "virmo/config/v1/dm_bridge_config.pb.h"
#include "virmo/v1/dm_bridge_service.pb.h"

namespace virmo::dm_bridge {

// Where what servers ask the user hangs until somebody answers it, or its time is over. While
// nobody watches, the answer is what the configuration says. Thread-safe.
class PromptBoard {
 public:
  using Event = v1::WatchPromptsResponse;
  using Unattended = config::v1::DmBridgeConfig::UnattendedPrompts;

  explicit PromptBoard(Unattended unattended) : unattended_(unattended) {}

  // Waits for the user's answer: at most MAXDT, else a minute (408); of a text to be displayed at
  // least MINDT, and not for an answer longer than a few seconds unless MAXDT says so.
  PromptAnswer Ask(const std::string& server_id, const syncml::Interaction& interaction);

  // NOT_FOUND (NOT_FOUND) if there is no such prompt, or not any more; INVALID_ARGUMENT if the
  // prompt does not take that answer: it stays open.
  absl::Status Answer(const v1::AnswerPromptRequest& request);

  // One watcher: gets the open ones first, then each as it is opened and closed.
  class Watcher {
   public:
    explicit Watcher(PromptBoard& board);
    ~Watcher();
    Watcher(const Watcher&) = delete;
    Watcher& operator=(const Watcher&) = delete;

    // Waits for the next event; a sign of life after `timeout`. False: no more will come.
    bool Next(absl::Duration timeout, Event* event);

   private:
    PromptBoard& board_;
    Broadcast<Event>::Subscription subscription_;
    std::vector<Event> first_;
  };

  // Takes back what a server asks: answered 214.
  void CancelAllOf(const std::string& server_id);
  // As CancelAllOf() for all; no more are opened and all watchers end.
  void Close();

 private:
  struct Open {
    v1::Prompt prompt;
    std::optional<PromptAnswer> answer;
  };

  PromptAnswer AnswerUnattended(const syncml::Interaction& interaction) const;
  void CancelLocked(Open& open) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Unattended unattended_;
  Mutex mutex_;
  std::condition_variable changed_;
  int watchers_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, Open> open_ ABSL_GUARDED_BY(mutex_);  // By id.
  Broadcast<Event> events_;
};

}  // namespace virmo::dm_bridge
