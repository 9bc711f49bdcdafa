// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/server/fleet/command_queue.h"
#include "services/server/fleet/device_registry.h"
#include "services/server/fleet/inventory.h"
#include "services/server/images/image_library.h"
#include "virmo/v1/command.pb.h"

namespace virmo::server {

// Checks an action before it is queued, so that what is queued can be sent, and finds the virtual
// machine it means. Thread-safe.
class CommandValidator {
 public:
  CommandValidator(DeviceRegistry& devices, Inventory& inventory, CommandQueue& queue,
                   ImageLibrary& images)
      : devices_(devices), inventory_(inventory), queue_(queue), images_(images) {}

  // The id of the virtual machine that `action` makes or acts on; empty for Get, Replace and Tree.
  // In `action` white space around URIs goes, and other machines that it names become their ids.
  // INVALID_ARGUMENT naming the field, NOT_FOUND (device, image, virtual machine, telling what
  // there is), ALREADY_EXISTS for an id or name that is taken, FAILED_PRECONDITION for a name that
  // several have.
  absl::StatusOr<std::string> Check(const std::string& device, v1::Action& action);

 private:
  struct Candidate {
    std::string id;
    std::string name;
  };

  // What was read from the device, and what commands are making.
  absl::StatusOr<std::vector<Candidate>> Read(const std::string& device);
  absl::Status AddPending(const std::string& device, std::vector<Candidate>& known);
  // The id that `wanted` is, or those that are called so.
  static std::vector<std::string> Matching(const std::vector<Candidate>& known,
                                           const std::string& wanted);
  static std::string Describe(const std::vector<Candidate>& known);
  absl::StatusOr<std::string> Resolve(const std::string& device, const std::string& wanted);
  absl::StatusOr<std::string> CheckProvision(const std::string& device,
                                             const v1::Action::Provision& provision);
  absl::Status CheckPackage(const v1::Action::Provision& provision);
  absl::Status CheckFirmware(const v1::Action::UpdateFirmware& update);
  absl::Status CheckOthers(const std::string& device, const std::string& vm, v1::Action& action);

  DeviceRegistry& devices_;
  Inventory& inventory_;
  CommandQueue& queue_;
  ImageLibrary& images_;
};

}  // namespace virmo::server
