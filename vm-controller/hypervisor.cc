// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/hypervisor.h"

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"

namespace virmo::vm_controller {
namespace {

absl::Status Lacks(const char* what) {
  return Error(v1::ErrorInfo::REASON_NOT_SUPPORTED, absl::StrCat("this hypervisor cannot ", what));
}

}  // namespace

absl::Status Hypervisor::TakeSnapshot(const std::string&, const std::string&) {
  return Lacks("take snapshots");
}

absl::Status Hypervisor::RevertToSnapshot(const std::string&, const std::string&) {
  return Lacks("revert to snapshots");
}

absl::Status Hypervisor::DeleteSnapshot(const std::string&, const std::string&) {
  return absl::OkStatus();  // There is none.
}

absl::Status Hypervisor::CopyLiveDisk(const std::string&, const std::string&, const ActWatch&) {
  return Lacks("copy the disk of a running virtual machine");
}

absl::Status Hypervisor::SetGuestClock(const std::string&) {
  return Lacks("set the clock of a guest");
}

}  // namespace virmo::vm_controller
