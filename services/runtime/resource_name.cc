// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/resource_name.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/runtime/error.h"
#include "services/runtime/uuid.h"

namespace virmo {

namespace {

constexpr char kVirtualMachines[] = "virtualMachines/";
constexpr char kOperations[] = "operations/";

absl::StatusOr<std::string> IdOf(absl::string_view collection, absl::string_view name,
                                 absl::string_view field) {
  absl::string_view id = name;
  if (!absl::ConsumePrefix(&id, collection) || !IsUuid(id)) {
    return InvalidField(field, absl::StrCat("want `", collection, "{uuid}` in lower case, got `",
                                            name.substr(0, 100), "`"));
  }
  return std::string(id);
}

}  // namespace

std::string VirtualMachineName(absl::string_view id) { return absl::StrCat(kVirtualMachines, id); }

absl::StatusOr<std::string> VirtualMachineId(absl::string_view name, absl::string_view field) {
  return IdOf(kVirtualMachines, name, field);
}

std::string OperationName(absl::string_view id) { return absl::StrCat(kOperations, id); }

absl::StatusOr<std::string> OperationId(absl::string_view name, absl::string_view field) {
  return IdOf(kOperations, name, field);
}

}  // namespace virmo
