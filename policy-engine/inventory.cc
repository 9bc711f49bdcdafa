// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/inventory.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/fault_point.h"
#include "services/runtime/logging.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"

namespace virmo::policy_engine {
namespace {

absl::Status Check(const v1::ReportInventoryRequest& request) {
  if (request.controller_instance().empty()) {
    return InvalidField("controller_instance", "must name the controller process");
  }
  if (request.sequence() < 1) return InvalidField("sequence", "must be at least 1");
  for (int i = 0; i < request.items_size(); ++i) {
    RETURN_IF_ERROR(VirtualMachineId(request.items(i).virtual_machine(),
                                     absl::StrCat("items[", i, "].virtual_machine"))
                        .status());
  }
  for (int i = 0; i < request.removed_size(); ++i) {
    RETURN_IF_ERROR(
        VirtualMachineId(request.removed(i), absl::StrCat("removed[", i, "]")).status());
  }
  return absl::OkStatus();
}

// Being made, and no policy was handed out yet: its admission is still to come.
bool AwaitsAdmission(const v1::InventoryItem& item) {
  return item.policy_version() == 0 && (item.state() == v1::VirtualMachine::STATE_PROVISIONING ||
                                        item.state() == v1::VirtualMachine::STATE_CLONING);
}

bool Differs(const Record& a, const Record& b) {
  return a.seen != b.seen || a.peak_memory != b.peak_memory ||
         a.peak_processor != b.peak_processor || a.charged_memory != b.charged_memory ||
         a.charged_processor != b.charged_processor ||
         a.status.holds_resources() != b.status.holds_resources() ||
         a.status.policy().version() != b.status.policy().version();
}

}  // namespace

absl::StatusOr<bool> Inventory::Report(const v1::ReportInventoryRequest& request) {
  RETURN_IF_ERROR(Check(request));
  bool full_report_wanted = false;
  RETURN_IF_ERROR(parts_.store.Change([&] { return Take(request, &full_report_wanted); }));
  return full_report_wanted;
}

absl::Status Inventory::Take(const v1::ReportInventoryRequest& request, bool* full_report_wanted) {
  ASSIGN_OR_RETURN(Controller controller, parts_.store.GetController());
  const bool same = controller.instance == request.controller_instance();
  if (same && request.sequence() <= controller.sequence) return absl::OkStatus();
  if (!request.full() && (!same || request.sequence() != controller.sequence + 1)) {
    *full_report_wanted = true;
    return absl::OkStatus();
  }
  controller.instance = request.controller_instance();
  controller.sequence = request.sequence();
  if (request.has_host()) controller.host = request.host();
  RETURN_IF_ERROR(parts_.store.SetController(controller));

  std::set<std::string> listed;
  for (const v1::InventoryItem& item : request.items()) {
    listed.insert(*VirtualMachineId(item.virtual_machine()));
  }
  if (request.full()) RETURN_IF_ERROR(TakeMissing(listed));
  for (const v1::InventoryItem& item : request.items()) RETURN_IF_ERROR(TakeItem(item));
  for (const std::string& name : request.removed()) {
    RETURN_IF_ERROR(TakeRemoved(*VirtualMachineId(name)));
  }
  FaultPoint("inventory.taken");
  return absl::OkStatus();
}

absl::Status Inventory::TakeItem(const v1::InventoryItem& item) {
  const std::string id = *VirtualMachineId(item.virtual_machine());
  RETURN_IF_ERROR(parts_.store.SetInventory(id, item));
  ASSIGN_OR_RETURN(std::optional<Record> before, parts_.store.Find(id));
  Record record;
  if (before) {
    record = *before;
  } else if (AwaitsAdmission(item)) {
    return absl::OkStatus();
  } else {
    ASSIGN_OR_RETURN(record, parts_.recovery.MakeLocked(id, item));
  }
  if (item.policy_version() > record.status.policy().version()) {
    RETURN_IF_ERROR(parts_.recovery.LockOutdated(record, item.policy_version()));
  }
  RETURN_IF_ERROR(parts_.unlocking.TakeInventory(item, record));
  record.seen = true;
  RETURN_IF_ERROR(EndAdmissions(id, item));
  // A controller never enforces a version again that is older than the one it has stored.
  if (item.policy_version() >= record.status.policy().version()) {
    record.peak_memory = 0;
    record.peak_processor = 0;
  }
  RETURN_IF_ERROR(parts_.pools.Charge(record, Pools::Growth::kAccept));
  if (before && !Differs(*before, record)) return absl::OkStatus();
  return parts_.store.Save(record);
}

absl::Status Inventory::EndAdmissions(const std::string& id, const v1::InventoryItem& item) {
  // While it is between states, the outcome of what was admitted is not known yet.
  const bool settled =
      !HoldsResources(item.state()) || item.state() == v1::VirtualMachine::STATE_RUNNING;
  if (!settled) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<std::string> operations, parts_.store.Admissions(id));
  for (const std::string& operation : operations) {
    if (operation == item.current_operation()) continue;
    RETURN_IF_ERROR(parts_.store.RemoveAdmission(id, operation));
  }
  return absl::OkStatus();
}

absl::Status Inventory::TakeRemoved(const std::string& id) {
  ASSIGN_OR_RETURN(const std::optional<Record> record, parts_.store.Find(id));
  if (!record) return parts_.store.RemoveInventory(id);
  RETURN_IF_ERROR(parts_.enforcement.EndAll(*record));
  spdlog::info("removed vm={} version={}", VirtualMachineName(id),
               record->status.policy().version());
  RETURN_IF_ERROR(parts_.store.Remove(*record));
  return parts_.sharing.Forget(id);
}

absl::Status Inventory::TakeMissing(const std::set<std::string>& listed) {
  ASSIGN_OR_RETURN(const std::vector<Record> records, parts_.store.List("", -1));
  for (const Record& before : records) {
    if (listed.contains(before.id)) continue;
    if (NeverCompleted(before)) {
      RETURN_IF_ERROR(parts_.store.Remove(before));
      continue;
    }
    Record record = before;
    RETURN_IF_ERROR(parts_.store.RemoveInventory(record.id));
    ASSIGN_OR_RETURN(const auto operations, parts_.store.Admissions(record.id));
    for (const std::string& operation : operations) {
      RETURN_IF_ERROR(parts_.store.RemoveAdmission(record.id, operation));
    }
    RETURN_IF_ERROR(parts_.pools.Charge(record, Pools::Growth::kAccept));
    if (Differs(before, record)) RETURN_IF_ERROR(parts_.store.Save(record));
  }
  return absl::OkStatus();
}

}  // namespace virmo::policy_engine
