// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "virmo/v1/virtual_machine_service.grpc.pb.h"
#include "vm-controller/controller.h"

namespace virmo::vm_controller {

// VirtualMachineService: messages in, messages out. Thread-safe.
class VirtualMachineServiceImpl : public v1::VirtualMachineService::WithCallbackMethod_OpenConsole<
                                      v1::VirtualMachineService::Service> {
 public:
  // `controller` must outlive it.
  explicit VirtualMachineServiceImpl(Controller& controller) : controller_(controller) {}

  grpc::Status GetVirtualMachine(grpc::ServerContext* context,
                                 const v1::GetVirtualMachineRequest* request,
                                 v1::VirtualMachine* response) override;
  grpc::Status ListVirtualMachines(grpc::ServerContext* context,
                                   const v1::ListVirtualMachinesRequest* request,
                                   v1::ListVirtualMachinesResponse* response) override;
  grpc::Status WatchVirtualMachines(
      grpc::ServerContext* context, const v1::WatchVirtualMachinesRequest* request,
      grpc::ServerWriter<v1::WatchVirtualMachinesResponse>* writer) override;
  grpc::Status WatchOperations(grpc::ServerContext* context,
                               const v1::WatchOperationsRequest* request,
                               grpc::ServerWriter<v1::WatchOperationsResponse>* writer) override;
  grpc::Status CreateVirtualMachine(grpc::ServerContext* context,
                                    const v1::CreateVirtualMachineRequest* request,
                                    google::longrunning::Operation* response) override;
  grpc::Status UpdateVirtualMachine(grpc::ServerContext* context,
                                    const v1::UpdateVirtualMachineRequest* request,
                                    v1::VirtualMachine* response) override;
  grpc::Status DeleteVirtualMachine(grpc::ServerContext* context,
                                    const v1::DeleteVirtualMachineRequest* request,
                                    google::longrunning::Operation* response) override;
  grpc::Status StartVirtualMachine(grpc::ServerContext* context,
                                   const v1::StartVirtualMachineRequest* request,
                                   google::longrunning::Operation* response) override;
  grpc::Status StopVirtualMachine(grpc::ServerContext* context,
                                  const v1::StopVirtualMachineRequest* request,
                                  google::longrunning::Operation* response) override;
  grpc::Status PauseVirtualMachine(grpc::ServerContext* context,
                                   const v1::PauseVirtualMachineRequest* request,
                                   google::longrunning::Operation* response) override;
  grpc::Status UnpauseVirtualMachine(grpc::ServerContext* context,
                                     const v1::UnpauseVirtualMachineRequest* request,
                                     google::longrunning::Operation* response) override;
  grpc::Status SuspendVirtualMachine(grpc::ServerContext* context,
                                     const v1::SuspendVirtualMachineRequest* request,
                                     google::longrunning::Operation* response) override;
  grpc::Status ResumeVirtualMachine(grpc::ServerContext* context,
                                    const v1::ResumeVirtualMachineRequest* request,
                                    google::longrunning::Operation* response) override;
  grpc::Status CloneVirtualMachine(grpc::ServerContext* context,
                                   const v1::CloneVirtualMachineRequest* request,
                                   google::longrunning::Operation* response) override;
  grpc::ServerBidiReactor<v1::OpenConsoleRequest, v1::OpenConsoleResponse>* OpenConsole(
      grpc::CallbackServerContext* context) override;
  grpc::Status GetHost(grpc::ServerContext* context, const v1::GetHostRequest* request,
                       v1::Host* response) override;

 private:
  Controller& controller_;
};

}  // namespace virmo::vm_controller
