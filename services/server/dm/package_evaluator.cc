// SPDX-License-Identifier: Apache-2.0
#include "services/server/dm/package_evaluator.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"
#include "services/server/dm/command_composer.h"
#include "services/server/dm/command_outcome.h"
#include "services/server/dm/delivery_policy.h"
#include "services/server/dm/expectation.h"
#include "services/syncml/base64.h"
#include "services/syncml/excerpt.h"
#include "services/syncml/status_code.h"
#include "services/syncml/uri.h"

namespace virmo::server {
namespace {

using syncml::StatusCode;

bool IsSuccess(int status) { return status >= 200 && status < 300; }

bool LacksStructData(int status) {
  for (const StatusCode code :
       {StatusCode::kBadRequest, StatusCode::kCommandNotAllowed, StatusCode::kEntityTooLarge,
        StatusCode::kOptionalFeatureNotSupported, StatusCode::kUnsupportedMediaType,
        StatusCode::kCommandFailed, StatusCode::kCommandNotImplemented}) {
    if (status == Number(code)) return true;
  }
  return false;
}

// Of what a Get read, as kept with the command; the exchanges show more.
constexpr size_t kMaxNodesSize = 1 << 20;
constexpr const char* kConfirmedPrefix = "read back: ";
constexpr size_t kShownNode = 1000;
constexpr size_t kShownValue = 200;

bool OnlyReads(const v1::Action& action) {
  if (!action.has_tree()) return action.has_get();
  const auto& operations = action.tree().operations();
  return std::all_of(operations.begin(), operations.end(), [](const auto& operation) {
    return operation.verb() == v1::Action::Tree::Operation::VERB_GET;
  });
}

std::vector<std::string> WrittenUris(const v1::Action& action) {
  if (action.has_replace()) return {action.replace().uri()};
  std::vector<std::string> uris;
  for (const auto& operation : action.tree().operations()) {
    if (operation.verb() != v1::Action::Tree::Operation::VERB_GET) uris.push_back(operation.uri());
  }
  return uris;
}

}  // namespace

absl::Status PackageEvaluator::Evaluate() {
  if (session_.server_refused()) {
    RETURN_IF_ERROR(TakeBack());
  } else {
    std::map<std::pair<int, std::string>, Group> groups;
    for (const Sent& sent : session_.sent()) {
      groups[{sent.purpose(), sent.subject()}].push_back(&sent);
    }
    for (const auto& [key, group] : groups) RETURN_IF_ERROR(EvaluateGroup(group));
  }
  session_.clear_sent();
  session_.clear_values();
  session_.clear_octets_received();
  session_.clear_restart_object();
  // What an alert of this package was about may be newer than what was read in it.
  for (const std::string& vm : session_.touched()) {
    RETURN_IF_ERROR(parts_.inventory.MarkUnread(session_.device(), vm, "an alert came"));
  }
  session_.clear_touched();
  return absl::OkStatus();
}

// The device did not do what it took for a stranger's commands: they are sent again.
absl::Status PackageEvaluator::TakeBack() {
  session_.set_server_refusals(session_.server_refusals() + 1);
  session_.set_all_read(false);
  session_.set_progress_read(false);
  session_.set_outgoing_sent(0);
  std::set<std::string> ids;
  for (const Sent& sent : session_.sent()) {
    if (sent.purpose() == Sent::PURPOSE_COMMAND) ids.insert(sent.subject());
  }
  for (const std::string& id : ids) {
    ASSIGN_OR_RETURN(auto command, parts_.queue.Find(id));
    if (!command || command->state() != v1::Command::STATE_FETCHED) continue;
    command->session.clear();
    command->resource.set_attempts(command->resource.attempts() - 1);
    RETURN_IF_ERROR(parts_.queue.Save(*command, events_));
  }
  return absl::OkStatus();
}

absl::Status PackageEvaluator::EvaluateGroup(const Group& group) {
  const Sent& first = *group[0];
  switch (first.purpose()) {
    case Sent::PURPOSE_COMMAND:
      return EvaluateCommand(first.subject(), group);
    case Sent::PURPOSE_READ:
      return EvaluateRead(first.subject(), group);
    case Sent::PURPOSE_READ_ALL:
      return EvaluateReadAll(first);
    case Sent::PURPOSE_LIST:
      return EvaluateList(first);
    case Sent::PURPOSE_PROGRESS:
      return EvaluateProgress(first);
    case Sent::PURPOSE_CONFIRM:
      return EvaluateConfirm(group);
    default:
      return absl::OkStatus();
  }
}

// A chunk that was taken: the next one follows. Anything else ends the object.
absl::Status PackageEvaluator::EvaluateChunk(const Sent& chunk, bool* goes_on) {
  *goes_on = true;
  if (session_.restart_object()) return absl::OkStatus();
  if (chunk.status() == Number(StatusCode::kChunkAccepted)) {
    session_.set_outgoing_sent(chunk.chunk_end());
    return absl::OkStatus();
  }
  session_.clear_outgoing_command();
  *goes_on = false;
  return absl::OkStatus();
}

// Sent again in a later session. It bears the same Correlator, so that it is done once whatever
// became of it.
absl::Status PackageEvaluator::SendLater(QueuedCommand& command, int status) {
  command.resource.set_dm_status(status);
  session_.set_deferred_command(true);
  return parts_.queue.Save(command, events_);
}

absl::Status PackageEvaluator::EvaluateCommand(const std::string& id, const Group& group) {
  ASSIGN_OR_RETURN(auto command, parts_.queue.Find(id));
  // An alert in the same package may have been faster than the Status.
  if (!command || command->state() != v1::Command::STATE_FETCHED) return absl::OkStatus();
  if (group[0]->more_data()) {
    bool goes_on = false;
    RETURN_IF_ERROR(EvaluateChunk(*group[0], &goes_on));
    if (goes_on) return absl::OkStatus();
  }
  const CommandOutcome outcome = OutcomeOf(group);
  v1::Command& resource = command->resource;
  if (!outcome.detail.empty()) resource.set_detail(outcome.detail);
  if (MayPass(outcome.status)) {
    resource.set_dm_status(outcome.status);
    if (MaySendAgain(resource, parts_.clock())) return SendLater(*command, outcome.status);
  }
  if (outcome.status == 0) {
    parts_.queue.Advance(*command, v1::Command::STATE_FAILED, "the device never answered it");
    resource.set_detail(absl::StrCat("sent ", resource.attempts(), " times without an answer"));
    return parts_.queue.Save(*command, events_);
  }
  NoteNodes(group, resource);
  resource.set_dm_status(outcome.status);
  if (outcome.success && TakesTwoSteps(resource.action()) && !IsPrepared(id)) {
    session_.add_prepared(id);
    command->session.clear();  // It goes on in this session.
    resource.set_attempts(resource.attempts() - 1);
    return parts_.queue.Save(*command, events_);
  }
  if (outcome.success) return Succeed(*command, outcome.status);
  resource.set_result_code(outcome.result_code);
  parts_.queue.Advance(*command, v1::Command::STATE_FAILED,
                       absl::StrCat("the device answered ", outcome.status, ": ", outcome.detail));
  return parts_.queue.Save(*command, events_);
}

void PackageEvaluator::NoteNodes(const Group& group, v1::Command& command) const {
  command.clear_node_results();
  size_t size = 0;
  for (const Sent* sent : group) {
    if (sent->element() != "Get") continue;
    bool read = false;
    for (const Value& value : session_.values()) {
      if (value.cmd_id() != sent->cmd_id()) continue;
      read = true;
      size += value.uri().size() + value.data().size();
      if (size > kMaxNodesSize) return;
      v1::Command::NodeResult& node = *command.add_node_results();
      node.set_uri(value.uri());
      node.set_format(value.format());
      node.set_value(value.data());
      node.set_dm_status(sent->status());
    }
    if (read) continue;
    v1::Command::NodeResult& node = *command.add_node_results();
    node.set_uri(sent->uri());
    node.set_dm_status(sent->status());
  }
}

absl::Status PackageEvaluator::Succeed(QueuedCommand& command, int status) {
  if (status == Number(StatusCode::kAccepted)) {
    parts_.queue.Advance(command, v1::Command::STATE_ACCEPTED, "the device works on it");
    return parts_.queue.Save(command, events_);
  }
  parts_.queue.Advance(command, v1::Command::STATE_APPLIED,
                       absl::StrCat("the device answered ", status));
  const auto& nodes = command.resource.node_results();
  if (!nodes.empty()) {
    command.resource.set_detail(
        nodes.size() == 1
            ? absl::StrCat(nodes[0].uri(), " = ", syncml::Excerpt(nodes[0].value(), kShownNode))
            : absl::StrCat("read ", nodes.size(), " nodes"));
  }
  if (OnlyReads(command.resource.action())) {
    parts_.queue.Advance(command, v1::Command::STATE_CONFIRMED, "read");
    return parts_.queue.Save(command, events_);
  }
  command.awaits_read = CanBeConfirmed(command.resource, command.id);
  for (const std::string& uri : WrittenUris(command.resource.action())) {
    const std::string vm = VirtualMachineOfUri(uri);
    if (vm.empty()) continue;
    RETURN_IF_ERROR(parts_.inventory.MarkUnread(session_.device(), vm, "its nodes were written"));
  }
  return parts_.queue.Save(command, events_);
}

bool PackageEvaluator::IsPrepared(const std::string& id) const {
  return std::find(session_.prepared().begin(), session_.prepared().end(), id) !=
         session_.prepared().end();
}

bool PackageEvaluator::IsTouched(const std::string& vm) const {
  return std::find(session_.touched().begin(), session_.touched().end(), vm) !=
         session_.touched().end();
}

const Value* PackageEvaluator::ValueOf(const Sent& sent) const {
  for (const Value& value : session_.values()) {
    if (value.cmd_id() == sent.cmd_id()) return &value;
  }
  return nullptr;
}

Leaves PackageEvaluator::LeavesOf(const Group& group, const std::string& vm) const {
  const std::string root = absl::StrCat(VirtualMachineUri(vm), "/");
  Leaves leaves;
  for (const Value& value : session_.values()) {
    const bool is_ours = std::any_of(group.begin(), group.end(), [&](const Sent* sent) {
      return sent->cmd_id() == value.cmd_id();
    });
    if (!is_ours || value.format() == "node" || value.uri().rfind(root, 0) != 0) continue;
    leaves[value.uri().substr(root.size())] = value.data();
  }
  return leaves;
}

absl::Status PackageEvaluator::EvaluateRead(const std::string& vm, const Group& group) {
  const Sent& decisive = *group[0];
  if (decisive.status() == 0) return absl::OkStatus();  // Lost: the next session reads it.
  if (IsSuccess(decisive.status())) return StoreVirtualMachine(vm, LeavesOf(group, vm));
  if (decisive.status() == Number(StatusCode::kNotFound)) return ForgetVirtualMachine(vm);
  if (group.size() == 1 && LacksStructData(decisive.status())) {
    session_.set_without_struct_data(true);
    return absl::OkStatus();
  }
  session_.add_unreadable(vm);
  return Confirm(vm, nullptr, absl::StrCat("the device answered ", decisive.status()));
}

absl::Status PackageEvaluator::StoreVirtualMachine(const std::string& vm, const Leaves& leaves) {
  auto read = ReadVirtualMachine(session_.device(), vm, leaves);
  if (!read) {
    session_.add_unreadable(vm);
    return Confirm(vm, nullptr, "its State was not among the Results");
  }
  RETURN_IF_ERROR(KeepEscrow(vm, leaves));
  ASSIGN_OR_RETURN(const bool escrowed, parts_.escrow.Holds(session_.device(), vm));
  read->set_key_escrowed(escrowed);
  *read->mutable_read_time() = ToTimestamp(parts_.clock());
  RETURN_IF_ERROR(parts_.inventory.Store(session_.device(), vm, *read));
  RETURN_IF_ERROR(parts_.inventory.ClearUnread(session_.device(), vm));
  return Confirm(vm, &*read, "");
}

absl::Status PackageEvaluator::KeepEscrow(const std::string& vm, const Leaves& leaves) {
  const auto leaf = leaves.find(kKeyEscrowLeaf);
  if (leaf == leaves.end() || leaf->second.empty()) return absl::OkStatus();
  const auto sealed = syncml::Base64Decode(absl::StripAsciiWhitespace(leaf->second));
  const absl::Status kept =
      parts_.escrow.Store(session_.device(), vm, sealed.ok() ? *sealed : leaf->second);
  if (absl::IsInvalidArgument(kept)) {
    spdlog::warn("ignored key escrow device={} vm={} error=\"{}\"", session_.device(), vm,
                 kept.message());
    return absl::OkStatus();
  }
  return kept;
}

absl::Status PackageEvaluator::ForgetVirtualMachine(const std::string& vm) {
  RETURN_IF_ERROR(parts_.inventory.Remove(session_.device(), vm));
  RETURN_IF_ERROR(parts_.inventory.ClearUnread(session_.device(), vm));
  return Confirm(vm, nullptr, "");
}

absl::Status PackageEvaluator::Confirm(const std::string& id, const v1::DeviceVirtualMachine* vm,
                                       const std::string& failure) {
  ASSIGN_OR_RETURN(auto commands, parts_.queue.AwaitingRead(session_.device()));
  for (QueuedCommand& command : commands) {
    if (command.resource.virtual_machine_id() != id || id.empty()) continue;
    if (!ExpectationsOf(command.resource, command.id).empty()) continue;  // By its own nodes.
    const bool reached = failure.empty() && ReachesGoal(command.resource.action(), vm);
    if (reached) {
      // Only now: what a device does not show for once is not gone.
      if (command.resource.action().has_delete_()) {
        RETURN_IF_ERROR(parts_.escrow.Remove(session_.device(), id));
      }
      parts_.queue.Advance(command, v1::Command::STATE_CONFIRMED,
                           absl::StrCat(kConfirmedPrefix, DescribeState(vm)));
    } else if (IsTouched(id)) {
      continue;  // Read once more.
    } else {
      parts_.queue.Advance(command, v1::Command::STATE_APPLIED,
                           absl::StrCat("not confirmed; ", kConfirmedPrefix,
                                        failure.empty() ? DescribeState(vm) : failure));
      command.awaits_read = false;
    }
    RETURN_IF_ERROR(parts_.queue.Save(command, events_));
  }
  return absl::OkStatus();
}

absl::Status PackageEvaluator::EvaluateReadAll(const Sent& sent) {
  if (sent.status() == 0) return absl::OkStatus();
  if (!IsSuccess(sent.status())) {
    if (!session_.without_struct_data() && LacksStructData(sent.status())) {
      session_.set_without_struct_data(true);
      session_.set_all_read(false);
    }
    return absl::OkStatus();
  }
  std::map<std::string, Leaves> vms;
  for (const Value& value : session_.values()) {
    if (value.cmd_id() != sent.cmd_id() || value.format() == "node") continue;
    const std::string vm = VirtualMachineOfUri(value.uri());
    const size_t root = VirtualMachineUri(vm).size() + 1;
    if (!vm.empty() && value.uri().size() > root) vms[vm][value.uri().substr(root)] = value.data();
  }
  ASSIGN_OR_RETURN(const auto former, parts_.inventory.Ids(session_.device()));
  ASSIGN_OR_RETURN(const auto unread, parts_.inventory.ListUnread(session_.device()));
  std::set<std::string> gone(former.begin(), former.end());
  for (const auto& entry : unread) gone.insert(entry.vm);
  for (const auto& [vm, leaves] : vms) {
    gone.erase(vm);
    RETURN_IF_ERROR(StoreVirtualMachine(vm, leaves));
  }
  for (const std::string& vm : gone) RETURN_IF_ERROR(ForgetVirtualMachine(vm));
  return parts_.devices.SetInventoryTime(session_.device(), parts_.clock());
}

absl::Status PackageEvaluator::EvaluateList(const Sent& sent) {
  const Value* value = ValueOf(sent);
  if (!IsSuccess(sent.status()) || value == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto former, parts_.inventory.Ids(session_.device()));
  std::set<std::string> gone(former.begin(), former.end());
  for (absl::string_view segment : absl::StrSplit(value->data(), '/', absl::SkipWhitespace())) {
    const std::string vm = syncml::UnescapeSegment(segment);
    gone.erase(vm);
    RETURN_IF_ERROR(parts_.inventory.MarkUnread(session_.device(), vm, "is being read"));
  }
  for (const std::string& vm : gone) RETURN_IF_ERROR(ForgetVirtualMachine(vm));
  RETURN_IF_ERROR(parts_.inventory.ClearUnread(session_.device(), Inventory::kAll));
  return parts_.devices.SetInventoryTime(session_.device(), parts_.clock());
}

absl::Status PackageEvaluator::EvaluateProgress(const Sent& sent) {
  const Value* value = ValueOf(sent);
  int percent = 0;
  if (!IsSuccess(sent.status()) || value == nullptr || !absl::SimpleAtoi(value->data(), &percent)) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(auto command, parts_.queue.Find(sent.subject()));
  percent = std::clamp(percent, 0, 100);
  if (!command || command->state() != v1::Command::STATE_ACCEPTED ||
      command->resource.progress_percent() == percent) {
    return absl::OkStatus();
  }
  command->resource.set_progress_percent(percent);
  return parts_.queue.Save(*command, events_);
}

std::optional<std::string> PackageEvaluator::Mismatch(const QueuedCommand& command,
                                                      const Group& group) const {
  std::string wrong;
  for (const Expectation& expected : ExpectationsOf(command.resource, command.id)) {
    const auto found = std::find_if(group.begin(), group.end(),
                                    [&](const Sent* sent) { return sent->uri() == expected.uri; });
    if (found == group.end() || (*found)->status() == 0) return std::nullopt;
    const Sent& sent = **found;
    const Value* value = IsSuccess(sent.status()) ? ValueOf(sent) : nullptr;
    const bool gone = sent.status() == Number(StatusCode::kNotFound);
    const bool fits =
        !expected.present ? gone
        : expected.values.empty()
            ? IsSuccess(sent.status())
            : value != nullptr &&
                  std::any_of(expected.values.begin(), expected.values.end(),
                              [&](const std::string& wanted) {
                                return SameValue(expected.format, wanted, value->data());
                              });
    if (fits) continue;
    absl::StrAppend(&wrong, wrong.empty() ? "" : "; ", expected.uri, " ",
                    value == nullptr
                        ? absl::StrCat("was answered ", sent.status())
                        : absl::StrCat("is ", syncml::Excerpt(value->data(), kShownValue)));
  }
  return wrong;
}

absl::Status PackageEvaluator::EvaluateConfirm(const Group& group) {
  ASSIGN_OR_RETURN(auto command, parts_.queue.Find(group[0]->subject()));
  if (!command || !command->awaits_read) return absl::OkStatus();
  const auto wrong = Mismatch(*command, group);
  if (!wrong) return absl::OkStatus();
  if (wrong->empty()) {
    parts_.queue.Advance(*command, v1::Command::STATE_CONFIRMED,
                         absl::StrCat(kConfirmedPrefix, "as asked for"));
  } else {
    parts_.queue.Advance(*command, v1::Command::STATE_APPLIED,
                         absl::StrCat("not confirmed; ", kConfirmedPrefix, *wrong));
    command->awaits_read = false;
  }
  return parts_.queue.Save(*command, events_);
}

}  // namespace virmo::server
