// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/runtime/sqlite.h"
#include "vm-controller/machine_files.h"

namespace virmo::vm_controller {

// Disk contents that several virtual machines share: what a linked clone and its source had in
// common when it was made, `layers/{id}.qcow2`, never written again. The disk of each lies on it,
// and it on an older layer or an image. A layer goes when no disk and no layer lies on it any
// more. Thread-safe.
class DiskLayers {
 public:
  static Schema GetSchema();

  // Both must outlive it.
  DiskLayers(Database& database, const MachineFiles& files) : database_(database), files_(files) {}

  // Makes the disk of a stopped virtual machine a layer, with a new disk on it for the machine.
  // Repeatable.
  absl::Status Split(const std::string& vm_id, const std::string& layer);

  // Makes a disk on the layer for a copy. Repeatable.
  absl::Status AddCopy(const std::string& copy_id, const std::string& layer);

  // Undoes Split(): nothing was written to the machine's disk since, and no copy is left.
  absl::Status Join(const std::string& vm_id, const std::string& layer);

  // Forgets what a virtual machine lies on, and wipes layers that nobody lies on any more.
  absl::Status Release(const std::string& vm_id);

 private:
  absl::StatusOr<std::string> LayerOf(const std::string& vm_id);
  absl::Status SetLayer(const std::string& vm_id, const std::string& layer);

  Database& database_;
  const MachineFiles& files_;
};

}  // namespace virmo::vm_controller
