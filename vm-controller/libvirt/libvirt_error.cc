// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/libvirt/libvirt_error.h"

#include <libvirt/virterror.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"

namespace virmo::vm_controller {
namespace {

using v1::ErrorInfo;

ErrorInfo::Reason ReasonOfCode(const virError* error) {
  if (error == nullptr) return ErrorInfo::REASON_HYPERVISOR_FAILED;
  switch (error->code) {
    case VIR_ERR_NO_DOMAIN:
      return ErrorInfo::REASON_VM_NOT_FOUND;
    case VIR_ERR_NO_SUPPORT:
    case VIR_ERR_OPERATION_UNSUPPORTED:
    case VIR_ERR_ARGUMENT_UNSUPPORTED:
    case VIR_ERR_NO_CONNECT:
      return ErrorInfo::REASON_NOT_SUPPORTED;
    case VIR_ERR_NO_MEMORY:
      return ErrorInfo::REASON_INSUFFICIENT_RESOURCES;
    default:
      break;
  }
  const std::string message = error->message == nullptr ? "" : error->message;
  if (absl::StrContains(message, "Cannot allocate memory") ||
      absl::StrContains(message, "cannot set up guest memory")) {
    return ErrorInfo::REASON_INSUFFICIENT_RESOURCES;
  }
  return LastErrorIsConnectionLoss() ? ErrorInfo::REASON_HYPERVISOR_UNAVAILABLE
                                     : ErrorInfo::REASON_HYPERVISOR_FAILED;
}

}  // namespace

bool LastErrorIsConnectionLoss() {
  const virError* error = virGetLastError();
  if (error == nullptr) return false;
  if (error->code == VIR_ERR_RPC || error->code == VIR_ERR_INVALID_CONN) return true;
  const std::string message = error->message == nullptr ? "" : error->message;
  if (absl::StrContains(message, "client socket is closed")) return true;
  if (absl::StrContains(message, "End of file while reading data")) return true;
  if (absl::StrContains(message, "Cannot write data: Broken pipe")) return true;
  return error->code == VIR_ERR_SYSTEM_ERROR &&
         (error->domain == VIR_FROM_RPC || error->domain == VIR_FROM_REMOTE);
}

absl::Status LibvirtError(absl::string_view action) {
  const virError* error = virGetLastError();
  const std::string cause =
      error == nullptr || error->message == nullptr ? "unknown error" : error->message;
  const ErrorInfo::Reason reason = ReasonOfCode(error);
  Metadata metadata = {{"cause", cause}};
  if (reason == ErrorInfo::REASON_INSUFFICIENT_RESOURCES) metadata["resource"] = "memory";
  return Error(reason, absl::StrCat("cannot ", action, ": ", cause), metadata);
}

void SilenceLibvirt() {
  virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});
}

}  // namespace virmo::vm_controller
