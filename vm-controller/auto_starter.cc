// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/auto_starter.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "google/protobuf/util/time_util.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/logging.h"
#include "services/runtime/uuid.h"

namespace virmo::vm_controller {
namespace {

using v1::VirtualMachine;

// A guest that ran when the host went down counts as failed; it is to come back too.
bool IsDue(const VirtualMachine& vm) {
  return vm.auto_start() && !vm.locked() &&
         (vm.state() == VirtualMachine::STATE_STOPPED ||
          vm.state() == VirtualMachine::STATE_FAILED);
}

// Refusals that do not last: the start is asked for again.
bool IsPassing(const absl::Status& status) {
  switch (ReasonOf(status)) {
    case v1::ErrorInfo::REASON_BUSY:
    case v1::ErrorInfo::REASON_HYPERVISOR_UNAVAILABLE:
    case v1::ErrorInfo::REASON_SERVICE_UNAVAILABLE:
      return true;
    default:
      return false;
  }
}

}  // namespace

Schema AutoStarter::GetSchema() {
  return {"boots",
          {"CREATE TABLE boots (one INTEGER PRIMARY KEY CHECK (one = 1),"
           " boot_id TEXT NOT NULL) STRICT;"}};
}

std::string AutoStarter::BootId() {
  const absl::StatusOr<std::string> text = ReadFile("/proc/sys/kernel/random/boot_id", 64);
  return text.ok() ? std::string(absl::StripSuffix(*text, "\n")) : "";
}

AutoStarter::AutoStarter(Database& database, Machines& machines, std::string boot_id, Start start)
    : database_(database),
      machines_(machines),
      boot_id_(std::move(boot_id)),
      start_(std::move(start)),
      done_(boot_id_.empty()),
      worker_(std::make_unique<WorkerPool>(1)) {}

void AutoStarter::Run() {
  if (done_) return;
  MutexLock lock(mutex_);
  if (worker_ != nullptr) worker_->Run("", [this] { StartDue(); });
}

void AutoStarter::Stop() {
  std::unique_ptr<WorkerPool> worker;  // Goes without the mutex: its task may ask for more.
  {
    MutexLock lock(mutex_);
    worker = std::move(worker_);
  }
}

bool AutoStarter::IsDone() {
  const auto rows = database_.Query("SELECT 1 FROM boots WHERE boot_id = ?1", {boot_id_});
  return rows.ok() && !rows->empty();
}

void AutoStarter::StartDue() {
  if (done_ || IsDone()) {
    done_ = true;
    return;
  }
  absl::StatusOr<std::vector<MachineRecord>> records = machines_.store().List();
  if (!records.ok()) return;
  std::sort(records->begin(), records->end(),
            [](const auto& a, const auto& b) { return a.vm.create_time() < b.vm.create_time(); });
  bool all = true;
  for (const MachineRecord& record : *records) {
    if (!IsDue(record.vm)) continue;
    const absl::Status status =
        start_(record.id, NameUuid(record.id, absl::StrCat("start with boot ", boot_id_)));
    spdlog::info("starts with the host vm={} result=\"{}\"", record.id, status.ToString());
    if (IsPassing(status)) all = false;
  }
  if (!all) return;
  done_ =
      database_.Execute("INSERT OR REPLACE INTO boots (one, boot_id) VALUES (1, ?1)", {boot_id_})
          .ok();
}

}  // namespace virmo::vm_controller
