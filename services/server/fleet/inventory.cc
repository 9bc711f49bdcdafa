// SPDX-License-Identifier: Apache-2.0
#include "services/server/fleet/inventory.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "services/server/store/page.h"

namespace virmo::server {
namespace {

// Of one device.
constexpr int64_t kMaxUnread = 10000;

absl::StatusOr<v1::DeviceVirtualMachine> Parse(const SqlRow& row) {
  v1::DeviceVirtualMachine vm;
  if (vm.ParseFromString(row.Text(0))) return vm;
  return Error(v1::ErrorInfo::REASON_STORAGE_FAILED, "a virtual machine's record is damaged");
}

}  // namespace

std::string VirtualMachineIdOf(const v1::DeviceVirtualMachine& vm) {
  return vm.name().substr(vm.name().rfind('/') + 1);
}

Inventory::Inventory(Database& database, Clock clock, absl::Duration stale_after)
    : database_(database), clock_(std::move(clock)), stale_after_(stale_after) {}

absl::Status Inventory::MarkUnread(const std::string& device, const std::string& vm,
                                   absl::string_view reason) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT COUNT(*) FROM unread WHERE device = ?1", {device}));
  // A device that tells of so many is read as a whole.
  const std::string& entry = rows[0].Int(0) < kMaxUnread ? vm : std::string(kAll);
  return database_.Execute(
      "INSERT INTO unread (device, virtual_machine, reason) VALUES (?1, ?2, ?3) "
      "ON CONFLICT (device, virtual_machine) DO UPDATE SET reason = excluded.reason",
      {device, entry, std::string(reason)});
}

absl::StatusOr<std::vector<Inventory::Unread>> Inventory::ListUnread(const std::string& device) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT virtual_machine, reason FROM unread WHERE device = ?1 "
                                   "ORDER BY virtual_machine",
                                   {device}));
  std::vector<Unread> unread;
  for (const SqlRow& row : rows) unread.push_back({row.Text(0), row.Text(1)});
  return unread;
}

absl::Status Inventory::ClearUnread(const std::string& device, const std::string& vm) {
  return database_.Execute("DELETE FROM unread WHERE device = ?1 AND virtual_machine = ?2",
                           {device, vm});
}

absl::Status Inventory::Store(const std::string& device, const std::string& id,
                              const v1::DeviceVirtualMachine& vm) {
  return database_.Execute(
      "INSERT INTO virtual_machine (device, id, resource) VALUES (?1, ?2, ?3) "
      "ON CONFLICT (device, id) DO UPDATE SET resource = excluded.resource",
      {device, id, Blob{vm.SerializeAsString()}});
}

absl::Status Inventory::Remove(const std::string& device, const std::string& id) {
  return database_.Execute("DELETE FROM virtual_machine WHERE device = ?1 AND id = ?2",
                           {device, id});
}

absl::StatusOr<std::vector<std::string>> Inventory::Ids(const std::string& device) {
  ASSIGN_OR_RETURN(
      const auto rows,
      database_.Query("SELECT id FROM virtual_machine WHERE device = ?1 ORDER BY id", {device}));
  std::vector<std::string> ids;
  for (const SqlRow& row : rows) ids.push_back(row.Text(0));
  return ids;
}

absl::StatusOr<std::vector<v1::DeviceVirtualMachine>> Inventory::All(const std::string& device) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT resource FROM virtual_machine WHERE device = ?1 "
                                   "ORDER BY id",
                                   {device}));
  std::vector<v1::DeviceVirtualMachine> vms;
  for (const SqlRow& row : rows) {
    ASSIGN_OR_RETURN(v1::DeviceVirtualMachine vm, Parse(row));
    vms.push_back(std::move(vm));
  }
  return vms;
}

absl::StatusOr<std::optional<v1::DeviceVirtualMachine>> Inventory::Find(const std::string& device,
                                                                        const std::string& id) {
  ASSIGN_OR_RETURN(
      const auto rows,
      database_.Query("SELECT resource FROM virtual_machine WHERE device = ?1 AND id = ?2",
                      {device, id}));
  if (rows.empty()) return std::optional<v1::DeviceVirtualMachine>();
  ASSIGN_OR_RETURN(v1::DeviceVirtualMachine vm, Parse(rows[0]));
  return std::optional<v1::DeviceVirtualMachine>(std::move(vm));
}

void Inventory::JudgeAge(const std::vector<Unread>& unread, absl::Time last_session,
                         v1::DeviceVirtualMachine& vm) const {
  const absl::Duration silence = clock_() - last_session;
  if (silence > stale_after_) {
    vm.set_stale(true);
    vm.set_stale_reason(
        absl::StrCat("the device has been silent for ", absl::ToInt64Seconds(silence), " s"));
  }
  const std::string id = VirtualMachineIdOf(vm);
  for (const Unread& entry : unread) {
    if (entry.vm != id && entry.vm != kAll) continue;
    vm.set_stale(true);
    vm.set_stale_reason(entry.reason);
  }
}

absl::StatusOr<v1::ListDeviceVirtualMachinesResponse> Inventory::List(
    const std::string& device, absl::Time last_session, int page_size,
    const std::string& page_token) {
  ASSIGN_OR_RETURN(const int size, PageSize(page_size));
  ASSIGN_OR_RETURN(const auto unread, ListUnread(device));
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT resource FROM virtual_machine WHERE device = ?1 AND id "
                                   "> ?2 ORDER BY id LIMIT ?3",
                                   {device, page_token, int64_t{size} + 1}));
  v1::ListDeviceVirtualMachinesResponse response;
  for (const SqlRow& row : rows) {
    if (response.virtual_machines_size() == size) {
      response.set_next_page_token(VirtualMachineIdOf(response.virtual_machines(size - 1)));
      break;
    }
    ASSIGN_OR_RETURN(v1::DeviceVirtualMachine vm, Parse(row));
    JudgeAge(unread, last_session, vm);
    *response.add_virtual_machines() = std::move(vm);
  }
  return response;
}

}  // namespace virmo::server
