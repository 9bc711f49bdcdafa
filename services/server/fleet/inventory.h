// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/runtime/clock.h"
#include "services/runtime/sqlite.h"
#include "virmo/v1/device.pb.h"
#include "virmo/v1/fleet_service.pb.h"

namespace virmo::server {

// The virtual machines of each device as last read from it, and which of them are to be read
// again. Thread-safe; takes part in a caller's transaction.
class Inventory {
 public:
  // In place of an id: all virtual machines of the device.
  static constexpr const char* kAll = "*";

  struct Unread {
    std::string vm;  // or kAll
    std::string reason;
  };

  Inventory(Database& database, Clock clock, absl::Duration stale_after);

  // Notes that something happened that may have changed it.
  absl::Status MarkUnread(const std::string& device, const std::string& vm,
                          absl::string_view reason);
  absl::StatusOr<std::vector<Unread>> ListUnread(const std::string& device);
  absl::Status ClearUnread(const std::string& device, const std::string& vm);

  // What was read; `vm.name` names it.
  absl::Status Store(const std::string& device, const std::string& id,
                     const v1::DeviceVirtualMachine& vm);
  absl::Status Remove(const std::string& device, const std::string& id);

  absl::StatusOr<std::vector<std::string>> Ids(const std::string& device);
  absl::StatusOr<std::vector<v1::DeviceVirtualMachine>> All(const std::string& device);
  absl::StatusOr<std::optional<v1::DeviceVirtualMachine>> Find(const std::string& device,
                                                               const std::string& id);

  // With `stale` and its reason as of now. `last_session`: when the device was last heard of.
  absl::StatusOr<v1::ListDeviceVirtualMachinesResponse> List(const std::string& device,
                                                             absl::Time last_session, int page_size,
                                                             const std::string& page_token);

 private:
  void JudgeAge(const std::vector<Unread>& unread, absl::Time last_session,
                v1::DeviceVirtualMachine& vm) const;

  Database& database_;
  const Clock clock_;
  const absl::Duration stale_after_;
};

// The id in `devices/{device}/virtualMachines/{uuid}`.
std::string VirtualMachineIdOf(const v1::DeviceVirtualMachine& vm);

}  // namespace virmo::server
