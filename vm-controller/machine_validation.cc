// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/machine_validation.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"
#include "vm-controller/allocation.h"

namespace virmo::vm_controller {
namespace {

constexpr size_t kMaxNameCharacters = 63;
constexpr size_t kMaxDescriptionBytes = 1024;

size_t Characters(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;  // Not a continuation in UTF-8.
  }));
}

bool HasControls(const std::string& text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

}  // namespace

absl::Status CheckRequestId(const std::string& request_id) {
  if (IsUuid(request_id)) return absl::OkStatus();
  return InvalidField("request_id", "a lower-case UUID is needed");
}

absl::Status CheckDisplayName(const std::string& display_name) {
  const std::string field = "virtual_machine.display_name";
  if (display_name.empty()) return InvalidField(field, "is empty");
  if (Characters(display_name) > kMaxNameCharacters) {
    return InvalidField(field, absl::StrCat("is longer than ", kMaxNameCharacters, " characters"));
  }
  if (HasControls(display_name)) return InvalidField(field, "holds control characters");
  return absl::OkStatus();
}

absl::Status CheckDescription(const std::string& description) {
  if (description.size() <= kMaxDescriptionBytes) return absl::OkStatus();
  return InvalidField("virtual_machine.description",
                      absl::StrCat("is longer than ", kMaxDescriptionBytes, " bytes"));
}

absl::Status CheckUpdateMask(const v1::UpdateVirtualMachineRequest& request) {
  if (request.update_mask().paths().empty()) return InvalidField("update_mask", "is empty");
  for (const std::string& path : request.update_mask().paths()) {
    if (path == "display_name") {
      RETURN_IF_ERROR(CheckDisplayName(request.virtual_machine().display_name()));
    } else if (path == "description") {
      RETURN_IF_ERROR(CheckDescription(request.virtual_machine().description()));
    } else if (path != "auto_start") {
      return InvalidField("update_mask", absl::StrCat("'", path, "' cannot be updated"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckNewMachine(const v1::CreateVirtualMachineRequest& request) {
  if (!request.virtual_machine_id().empty() && !IsUuid(request.virtual_machine_id())) {
    return InvalidField("virtual_machine_id", "a lower-case UUID is needed");
  }
  if (!request.virtual_machine().display_name().empty()) {
    RETURN_IF_ERROR(CheckDisplayName(request.virtual_machine().display_name()));
  }
  RETURN_IF_ERROR(CheckDescription(request.virtual_machine().description()));
  return CheckAllocations(request.virtual_machine().allocations());
}

}  // namespace virmo::vm_controller
