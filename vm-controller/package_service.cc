// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/package_service.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "google/protobuf/util/time_util.h"
#include "services/runtime/error.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"
#include "vm-controller/operations/export.h"

namespace virmo::vm_controller {
namespace {

using google::longrunning::Operation;
using v1::ErrorInfo;

grpc::Status NotHere(const std::string& what) {
  return ToGrpc(
      Error(ErrorInfo::REASON_NOT_SUPPORTED, absl::StrCat("this controller does not ", what)));
}

// A plain name ending in `.ova`, that no other file has.
absl::Status CheckFileName(const config::v1::VmControllerConfig& config, const std::string& name) {
  if (name.empty()) return absl::OkStatus();
  const auto is_plain = [](char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
  };
  if (name.size() > 80 || name.front() == '.' || !absl::EndsWith(name, ".ova") ||
      !std::all_of(name.begin(), name.end(), is_plain)) {
    return InvalidField("file_name",
                        "has to be at most 80 of letters, digits, `-`, `_`, `.`, ending in .ova");
  }
  const std::string path = absl::StrCat(ExportDirectory(config), "/", name);
  if (access(path.c_str(), F_OK) != 0) return absl::OkStatus();
  return Error(ErrorInfo::REASON_ALREADY_EXISTS, absl::StrCat("there is ", path, " already"),
               {{"file", path}});
}

}  // namespace

absl::StatusOr<std::vector<std::string>> PackageServiceImpl::UsersOf(const std::string& sha256) {
  ASSIGN_OR_RETURN(const std::vector<MachineRecord> records, controller_.machines().store().List());
  std::vector<std::string> users;
  for (const MachineRecord& record : records) {
    for (const v1::VirtualMachine::Disk& disk : record.vm.disks()) {
      if (absl::StripPrefix(disk.image_digest(), "sha256:") != sha256) continue;
      users.push_back(record.vm.name());
      break;
    }
  }
  return users;
}

grpc::Status PackageServiceImpl::ListStoredPackages(grpc::ServerContext*,
                                                    const v1::ListStoredPackagesRequest*,
                                                    v1::ListStoredPackagesResponse* response) {
  const absl::StatusOr<std::vector<ImageStore::Stored>> images = controller_.images().List();
  if (!images.ok()) return ToGrpc(images.status());
  for (const ImageStore::Stored& image : *images) {
    const absl::StatusOr<std::vector<std::string>> users = UsersOf(image.sha256);
    if (!users.ok()) return ToGrpc(users.status());
    v1::StoredPackage& package = *response->add_packages();
    package.set_name(absl::StrCat("packages/", image.sha256));
    package.set_size_bytes(image.size_bytes);
    *package.mutable_used_by() = {users->begin(), users->end()};
    *package.mutable_use_time() =
        google::protobuf::util::TimeUtil::MicrosecondsToTimestamp(absl::ToUnixMicros(image.used));
  }
  return grpc::Status::OK;
}

grpc::Status PackageServiceImpl::DeleteStoredPackage(grpc::ServerContext*,
                                                     const v1::DeleteStoredPackageRequest* request,
                                                     v1::DeleteStoredPackageResponse*) {
  absl::string_view sha256 = request->name();
  if (!absl::ConsumePrefix(&sha256, "packages/")) {
    return ToGrpc(InvalidField("name", "has to be `packages/{sha256}`"));
  }
  const absl::StatusOr<std::vector<std::string>> users = UsersOf(std::string(sha256));
  if (!users.ok()) return ToGrpc(users.status());
  if (!users->empty()) {
    return ToGrpc(Error(ErrorInfo::REASON_WRONG_STATE,
                        absl::StrCat(request->name(), " is used by ", absl::StrJoin(*users, ", ")),
                        {{"state", "IN_USE"}}));
  }
  return ToGrpc(controller_.images().Remove(std::string(sha256)));
}

grpc::Status PackageServiceImpl::ExportVirtualMachine(
    grpc::ServerContext*, const v1::ExportVirtualMachineRequest* request, Operation* response) {
  const auto accept = [&]() -> absl::StatusOr<Operation> {
    ASSIGN_OR_RETURN(const std::string id, VirtualMachineId(request->name()));
    // A repeat of one that is done finds its own file there.
    if (!controller_.journal().Get(request->request_id()).ok()) {
      RETURN_IF_ERROR(CheckFileName(controller_.config(), request->file_name()));
      ASSIGN_OR_RETURN(const v1::VirtualMachine vm, controller_.machines().Get(id));
      if (vm.encrypted()) {
        return Error(ErrorInfo::REASON_NOT_SUPPORTED,
                     "an encrypted virtual machine is not written out in clear");
      }
    }
    return controller_.requests().Accept({.kind = v1::OPERATION_KIND_EXPORT,
                                          .name = request->name(),
                                          .request_id = request->request_id(),
                                          .initiator = request->initiator(),
                                          .force = false,
                                          .etag = ""},
                                         *request);
  };
  absl::StatusOr<Operation> operation = accept();
  if (!operation.ok()) return ToGrpc(operation.status());
  *response = *std::move(operation);
  return grpc::Status::OK;
}

grpc::Status PackageServiceImpl::InstallFirmware(grpc::ServerContext*,
                                                 const v1::InstallFirmwareRequest*, Operation*) {
  return NotHere("install firmware");
}

grpc::Status PackageServiceImpl::ListVirtualMachineGroups(
    grpc::ServerContext*, const v1::ListVirtualMachineGroupsRequest*,
    v1::ListVirtualMachineGroupsResponse*) {
  return grpc::Status::OK;  // No package makes one yet.
}

grpc::Status PackageServiceImpl::OperateGroup(grpc::ServerContext*, const v1::OperateGroupRequest*,
                                              Operation*) {
  return NotHere("make groups of virtual machines");
}

}  // namespace virmo::vm_controller
