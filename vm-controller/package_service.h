// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "virmo/v1/package_service.grpc.pb.h"
#include "vm-controller/controller.h"

namespace virmo::vm_controller {

// PackageService: messages in, messages out. Thread-safe. Firmware and groups are answered as
// UNIMPLEMENTED (NOT_SUPPORTED).
class PackageServiceImpl : public v1::PackageService::Service {
 public:
  // `controller` must outlive it.
  explicit PackageServiceImpl(Controller& controller) : controller_(controller) {}

  grpc::Status ListStoredPackages(grpc::ServerContext* context,
                                  const v1::ListStoredPackagesRequest* request,
                                  v1::ListStoredPackagesResponse* response) override;
  grpc::Status DeleteStoredPackage(grpc::ServerContext* context,
                                   const v1::DeleteStoredPackageRequest* request,
                                   v1::DeleteStoredPackageResponse* response) override;
  grpc::Status ExportVirtualMachine(grpc::ServerContext* context,
                                    const v1::ExportVirtualMachineRequest* request,
                                    google::longrunning::Operation* response) override;
  grpc::Status InstallFirmware(grpc::ServerContext* context,
                               const v1::InstallFirmwareRequest* request,
                               google::longrunning::Operation* response) override;
  grpc::Status ListVirtualMachineGroups(grpc::ServerContext* context,
                                        const v1::ListVirtualMachineGroupsRequest* request,
                                        v1::ListVirtualMachineGroupsResponse* response) override;
  grpc::Status OperateGroup(grpc::ServerContext* context, const v1::OperateGroupRequest* request,
                            google::longrunning::Operation* response) override;

 private:
  absl::StatusOr<std::vector<std::string>> UsersOf(const std::string& sha256);

  Controller& controller_;
};

}  // namespace virmo::vm_controller
