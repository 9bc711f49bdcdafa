// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/strings/str_cat.h"

namespace virmo::vm_controller {

// Where the files of a virtual machine lie: `vms/{uuid}/` in the state directory.
class MachineFiles {
 public:
  explicit MachineFiles(std::string state_directory) : root_(std::move(state_directory)) {}

  std::string Root() const { return absl::StrCat(root_, "/vms"); }
  std::string Images() const { return absl::StrCat(root_, "/images"); }
  std::string Layers() const { return absl::StrCat(root_, "/layers"); }
  std::string Layer(const std::string& id) const {
    return absl::StrCat(Layers(), "/", id, ".qcow2");
  }
  std::string Directory(const std::string& id) const { return absl::StrCat(Root(), "/", id); }
  std::string Disk(const std::string& id) const {
    return absl::StrCat(Directory(id), "/vda.qcow2");
  }
  // Another disk, `vdb`.
  std::string DiskNamed(const std::string& id, const std::string& target) const {
    return absl::StrCat(Directory(id), "/", target, ".qcow2");
  }
  // The content of a CD drive, `sda`.
  std::string Cd(const std::string& id, const std::string& target) const {
    return absl::StrCat(Directory(id), "/", target, ".iso");
  }
  // The descriptor of the OVF package that it came from.
  std::string Descriptor(const std::string& id) const {
    return absl::StrCat(Directory(id), "/descriptor.ovf");
  }
  // Only we are to connect to it: a folder of its own, closed to everybody else. QEMU needs no
  // access either, libvirt binds the socket for it.
  std::string ConsoleDirectory(const std::string& id) const {
    return absl::StrCat(Directory(id), "/console");
  }
  std::string ConsoleSocket(const std::string& id) const {
    return absl::StrCat(ConsoleDirectory(id), "/socket");
  }
  std::string ConsoleLog(const std::string& id) const {
    return absl::StrCat(ConsoleDirectory(id), "/log");
  }

 private:
  const std::string root_;
};

}  // namespace virmo::vm_controller
