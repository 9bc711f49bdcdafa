// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "dm-bridge/session/prompter.h"
#include "dm-bridge/tree/transaction.h"
#include "dm-bridge/tree/tree.h"
#include "services/syncml/message.h"

namespace virmo::dm_bridge {

// Status and Results, which nobody answers.
bool IsAnswer(const syncml::Command& command);

// Whether the message brings anything that must be answered, besides Status and Results.
bool HasCommands(const syncml::Message& message);

// Carries out a server's commands on the tree and makes the Status and Results that answer them
// (OMA-TS-DM_RepPro §6). Ids of commands it makes are left empty: they are given when the
// message is put together.
class CommandRunner {
 public:
  CommandRunner(Tree& tree, Prompter& prompter, std::string server_id, std::string session_uuid);

  // A command of the body of the message with id `msg_id`. `room` is the most bytes that one
  // command of the answer should take: larger Results are split between their items.
  std::vector<syncml::Command> Run(const std::string& msg_id, const syncml::Command& command,
                                   size_t room);

  // Answers every command with `code` and does nothing.
  static std::vector<syncml::Command> Refuse(const syncml::Message& message,
                                             syncml::StatusCode code);

  int commands_done() const { return commands_done_; }

 private:
  // Whether what follows in the same Sequence is to be done: not after a user's "no".
  enum class Flow { kGoOn, kStop };

  Flow RunCommand(const syncml::Command& command);
  Flow RunSequence(const syncml::Command& sequence);
  Flow RunAlert(const syncml::Command& alert);
  void RunItems(const syncml::Command& command);
  void RunItem(const syncml::Command& command, size_t index);
  NodeRequest MakeRequest(const syncml::Command& command, size_t index) const;
  static absl::Status CheckItem(const syncml::Command& command, const syncml::Item& item);
  absl::Status RunOnTree(const syncml::Command& command, const syncml::Item& item,
                         const NodeRequest& request, syncml::StatusCode* success,
                         std::vector<NodeValue>* values);
  void AddResults(const syncml::Command& get, const syncml::Item& item,
                  std::vector<NodeValue> values);
  void Answer(const syncml::Command& about, syncml::StatusCode code, absl::string_view text = "");
  void AnswerItem(const syncml::Command& about, size_t index, syncml::StatusCode code,
                  const absl::Status& outcome);

  // Atomic, in command_runner_atomic.cc. A step is one Item of a child, or a child without items.
  struct Step;
  void RunAtomic(const syncml::Command& atomic);
  std::vector<Step> StepsOf(const syncml::Command& atomic);
  absl::Status CheckStep(const Transaction& transaction, const Step& step);
  bool AnswersFit(const syncml::Command& atomic, const std::vector<Step>& steps) const;
  absl::Status RunStep(Transaction& transaction, Step& step);
  void RunSteps(const syncml::Command& atomic, Transaction& transaction, std::vector<Step>& steps);
  void AnswerSteps(const std::vector<Step>& steps);

  Tree& tree_;
  Prompter& prompter_;
  const std::string server_id_;
  const std::string session_uuid_;
  int commands_done_ = 0;

  // Of the message at hand.
  std::string msg_id_;
  size_t room_ = 0;
  std::vector<syncml::Command> answers_;
};

}  // namespace virmo::dm_bridge
