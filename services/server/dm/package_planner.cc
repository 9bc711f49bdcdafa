// SPDX-License-Identifier: Apache-2.0
#include "services/server/dm/package_planner.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/runtime/status_macros.h"
#include "services/server/dm/delivery_policy.h"
#include "services/server/dm/exchange_text.h"
#include "services/server/dm/expectation.h"
#include "services/server/dm/virmo_tree.h"

namespace virmo::server {
namespace {

using v1::Command;

constexpr int kLookAhead = 500;
constexpr size_t kMaxUnits = 30;
constexpr int kSuspicious = 2;
// An operation whose alert does not come holds its machine's later commands no longer than this.
constexpr absl::Duration kLongestHold = absl::Minutes(30);

// Commands that make sense whatever else goes on.
bool GoesAhead(const v1::Action& action) {
  return action.has_lock() || action.has_unlock() || action.has_get() || action.has_replace() ||
         action.has_tree() || action.has_set_peripheral() || action.has_set_sharing() ||
         action.has_grant_user_unlock() || action.stop().force() || action.delete_().force();
}

}  // namespace

absl::StatusOr<std::vector<PackagePlanner::Unit>> PackagePlanner::Plan() {
  ASSIGN_OR_RETURN(auto units, PlanCommands());
  if (!units.empty()) return units;
  return PlanReads();
}

bool PackagePlanner::HoldsOthers(const QueuedCommand& command) const {
  if (command.state() == Command::STATE_FETCHED) return command.session == session_.token();
  if (command.state() != Command::STATE_ACCEPTED) return false;
  const auto& timeline = command.resource.timeline();
  const absl::Time since = FromTimestamp(timeline.rbegin()->time());
  return parts_.clock() - since < kLongestHold;
}

bool PackagePlanner::MaySend(const QueuedCommand& command, std::set<std::string>& busy) const {
  const std::string& vm = command.resource.virtual_machine_id();
  const bool goes_ahead = GoesAhead(command.resource.action());
  if (HoldsOthers(command)) {
    if (!vm.empty()) busy.insert(vm);
    return false;
  }
  if (command.state() == Command::STATE_ACCEPTED) return false;
  const bool held = !goes_ahead && busy.count(vm) != 0;
  // Whether it is sent now or held, later ones for the same machine come after its end.
  if (!goes_ahead && !vm.empty()) busy.insert(vm);
  return !held;
}

absl::StatusOr<std::vector<PackagePlanner::Unit>> PackagePlanner::PlanCommands() {
  ASSIGN_OR_RETURN(auto commands, parts_.queue.Unfinished(session_.device(), kLookAhead));
  std::vector<Unit> units;
  std::set<std::string> busy;
  for (const QueuedCommand& command : commands) {
    if (units.size() >= kMaxUnits) break;
    if (!MaySend(command, busy)) continue;
    if (!MaySendAgain(command.resource, parts_.clock())) {
      RETURN_IF_ERROR(Refuse(command.id, absl::StrCat("sent ", command.resource.attempts(),
                                                      " times without an answer")));
      continue;
    }
    const bool suspicious =
        command.resource.attempts() >= kSuspicious && !AsksForLater(command.resource.dm_status());
    if (suspicious && !units.empty()) break;
    auto outgoing = Compose(command);
    if (!outgoing.ok()) {
      RETURN_IF_ERROR(Refuse(command.id, std::string(outgoing.status().message())));
      continue;
    }
    units.push_back({*std::move(outgoing), command.id});
    if (suspicious) break;
  }
  return units;
}

absl::StatusOr<Outgoing> PackagePlanner::Compose(const QueuedCommand& command) const {
  OpenCommand open = {.id = command.id,
                      .device = command.device,
                      .virtual_machine_id = command.resource.virtual_machine_id(),
                      .action = {},
                      .prepared = false};
  const auto& prepared = session_.prepared();
  open.prepared = std::find(prepared.begin(), prepared.end(), command.id) != prepared.end();
  ASSIGN_OR_RETURN(open.action, parts_.queue.Open(command));
  return CommandComposer(parts_.images, parts_.escrow, parts_.public_url).Compose(open);
}

absl::Status PackagePlanner::Refuse(const std::string& id, const std::string& cause) {
  ASSIGN_OR_RETURN(auto command, parts_.queue.Find(id));
  if (!command) return absl::OkStatus();
  command->resource.set_detail(cause);
  parts_.queue.Advance(*command, Command::STATE_FAILED, cause);
  return parts_.queue.Save(*command, events_);
}

PackagePlanner::Unit PackagePlanner::ReadOf(const std::string& vm) const {
  const std::string root = VirtualMachineUri(vm);
  if (!session_.without_struct_data()) {
    return {ComposeGet(absl::StrCat(root, "?list=StructData"), Sent::PURPOSE_READ, vm), ""};
  }
  Unit unit;
  for (const std::string& leaf : InterestingLeaves()) {
    Outgoing get = ComposeGet(absl::StrCat(root, "/", leaf), Sent::PURPOSE_READ, vm);
    unit.outgoing.commands.push_back(std::move(get.commands[0]));
    unit.outgoing.sent.push_back(std::move(get.sent[0]));
  }
  return unit;
}

absl::Status PackagePlanner::PlanVirtualMachineReads(std::vector<Unit>& units) {
  const std::string& device = session_.device();
  ASSIGN_OR_RETURN(const DeviceRecord record, parts_.devices.GetRecord(device));
  ASSIGN_OR_RETURN(const auto unread, parts_.inventory.ListUnread(device));
  const bool all_asked_for = std::any_of(
      unread.begin(), unread.end(), [](const auto& entry) { return entry.vm == Inventory::kAll; });
  const bool is_old = parts_.clock() - record.inventory_time > parts_.stale_after;
  if ((all_asked_for || is_old) && !session_.all_read()) {
    session_.set_all_read(true);
    units.push_back(session_.without_struct_data()
                        ? Unit{ComposeGet(kVirtualMachinesUri, Sent::PURPOSE_LIST, ""), ""}
                        : Unit{ComposeGet(absl::StrCat(kVirtualMachinesUri, "?list=StructData"),
                                          Sent::PURPOSE_READ_ALL, ""),
                               ""});
    return absl::OkStatus();
  }
  for (const auto& entry : unread) {
    const auto& skip = session_.unreadable();
    const bool skipped = std::find(skip.begin(), skip.end(), entry.vm) != skip.end();
    if (entry.vm == Inventory::kAll || skipped || units.size() >= kMaxUnits) continue;
    units.push_back(ReadOf(entry.vm));
  }
  return absl::OkStatus();
}

absl::Status PackagePlanner::PlanConfirmations(std::vector<Unit>& units) {
  ASSIGN_OR_RETURN(const auto commands, parts_.queue.AwaitingRead(session_.device()));
  for (const QueuedCommand& command : commands) {
    if (units.size() >= kMaxUnits) break;
    Unit unit;
    for (const Expectation& expected : ExpectationsOf(command.resource, command.id)) {
      Append(ComposeGet(expected.uri, Sent::PURPOSE_CONFIRM, command.id), unit.outgoing);
    }
    if (!unit.outgoing.commands.empty()) units.push_back(std::move(unit));
  }
  return absl::OkStatus();
}

absl::Status PackagePlanner::PlanProgress(std::vector<Unit>& units) {
  if (session_.progress_read()) return absl::OkStatus();
  session_.set_progress_read(true);
  ASSIGN_OR_RETURN(const auto commands, parts_.queue.Unfinished(session_.device(), kLookAhead));
  for (const QueuedCommand& command : commands) {
    const bool under_way = command.state() == Command::STATE_ACCEPTED;
    if (!under_way || !command.resource.action().has_provision()) continue;
    units.push_back({ComposeGet(absl::StrCat(ProvisionUri(command.id), "/Progress"),
                                Sent::PURPOSE_PROGRESS, command.id),
                     ""});
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<PackagePlanner::Unit>> PackagePlanner::PlanReads() {
  std::vector<Unit> units;
  RETURN_IF_ERROR(PlanVirtualMachineReads(units));
  RETURN_IF_ERROR(PlanConfirmations(units));
  RETURN_IF_ERROR(PlanProgress(units));
  return units;
}

absl::Status PackagePlanner::NoteFetched(const std::string& id) {
  ASSIGN_OR_RETURN(auto command, parts_.queue.Find(id));
  if (!command) return absl::OkStatus();
  command->session = session_.token();
  command->resource.set_attempts(command->resource.attempts() + 1);
  command->resource.clear_dm_status();
  const int attempts = command->resource.attempts();
  parts_.queue.Advance(*command, Command::STATE_FETCHED,
                       attempts == 1 ? std::string("sent to the device")
                                     : absl::StrCat("sent again, attempt ", attempts));
  RETURN_IF_ERROR(parts_.queue.Save(*command, events_));
  const std::string& vm = command->resource.virtual_machine_id();
  if (vm.empty()) return absl::OkStatus();
  return parts_.inventory.MarkUnread(
      session_.device(), vm, absl::StrCat(OperationOf(command->resource.action()), " was sent"));
}

absl::Status PackagePlanner::MarkSent(const std::vector<Unit>& units) {
  for (const Unit& unit : units) {
    std::string subject = unit.command;
    for (const Sent& sent : unit.outgoing.sent) {
      *session_.add_sent() = sent;
      if (sent.purpose() == Sent::PURPOSE_CONFIRM) subject = sent.subject();
    }
    if (!unit.command.empty()) RETURN_IF_ERROR(NoteFetched(unit.command));
    if (subject.empty()) continue;
    for (const syncml::Command& sent : unit.outgoing.commands) {
      RETURN_IF_ERROR(parts_.queue.AddExchange(subject, true, ExchangeText(sent)));
    }
  }
  return absl::OkStatus();
}

}  // namespace virmo::server
