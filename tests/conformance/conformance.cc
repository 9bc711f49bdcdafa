// SPDX-License-Identifier: Apache-2.0
// What VirMO expects of whoever serves virmo.v1.VirtualMachineService: one test for each
// requirement, against the controller at --address. What the controller's capabilities call
// unsupported must be refused as such, and is not asked of it otherwise. The controller needs a
// policy-engine that admits everything. Every machine that is made is deleted.
#include <iostream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "google/longrunning/operations.grpc.pb.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "services/runtime/error.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/uuid.h"
#include "virmo/v1/virtual_machine_service.grpc.pb.h"

namespace virmo {
namespace {

using google::longrunning::Operation;
using v1::ErrorInfo;
using v1::VirtualMachine;
using Stub = v1::VirtualMachineService::Stub;

struct Options {
  std::string address;
  v1::Package package;
};

Options& TheOptions() {
  static auto* options = new Options();
  return *options;
}

constexpr absl::Duration kPatience = absl::Seconds(120);

class VirMO : public testing::Test {
 protected:
  VirMO() {
    const auto channel =
        grpc::CreateChannel(TheOptions().address, grpc::InsecureChannelCredentials());
    vms_ = v1::VirtualMachineService::NewStub(channel);
    operations_ = google::longrunning::Operations::NewStub(channel);
  }

  void TearDown() override {
    for (const std::string& id : made_) {
      v1::DeleteVirtualMachineRequest request;
      request.set_force(true);
      (void)Do(id, &Stub::DeleteVirtualMachine, request);  // Some tests deleted theirs.
    }
  }

  absl::Status Outcome(const grpc::Status& status, Operation operation) {
    if (!status.ok()) return FromGrpc(status);
    for (const absl::Time end = absl::Now() + kPatience; !operation.done() && absl::Now() < end;) {
      grpc::ClientContext context;
      google::longrunning::WaitOperationRequest request;
      request.set_name(operation.name());
      request.mutable_timeout()->set_seconds(10);
      const grpc::Status waited = operations_->WaitOperation(&context, request, &operation);
      if (!waited.ok()) return FromGrpc(waited);
    }
    last_ = operation;
    if (!operation.done()) return absl::DeadlineExceededError(operation.name());
    return operation.has_error() ? FromRpc(operation.error()) : absl::OkStatus();
  }

  template <typename Request>
  absl::Status Do(const std::string& id,
                  grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Operation*),
                  Request request = {}) {
    if (request.request_id().empty()) request.set_request_id(NewUuid());
    request.set_name(VirtualMachineName(id));
    grpc::ClientContext context;
    Operation operation;
    const grpc::Status status = (*vms_.*method)(&context, request, &operation);
    return Outcome(status, operation);
  }

  v1::CreateVirtualMachineRequest CreateRequest() {
    v1::CreateVirtualMachineRequest request;
    request.set_request_id(NewUuid());
    request.set_virtual_machine_id(NewUuid());
    request.mutable_virtual_machine()->set_display_name(
        absl::StrCat("conformance ", request.virtual_machine_id().substr(0, 8)));
    v1::Allocation* memory = request.mutable_virtual_machine()->add_allocations();
    memory->set_kind(v1::RESOURCE_KIND_MEMORY);
    memory->set_virtual_quantity(96);
    *request.mutable_package() = TheOptions().package;
    return request;
  }

  absl::Status Create(const v1::CreateVirtualMachineRequest& request) {
    grpc::ClientContext context;
    Operation operation;
    const grpc::Status status = vms_->CreateVirtualMachine(&context, request, &operation);
    made_.push_back(request.virtual_machine_id());
    return Outcome(status, operation);
  }

  std::string Made(bool start = false) {
    v1::CreateVirtualMachineRequest request = CreateRequest();
    request.set_start(start);
    EXPECT_EQ(Create(request), absl::OkStatus());
    return request.virtual_machine_id();
  }

  absl::StatusOr<VirtualMachine> Get(const std::string& id) {
    grpc::ClientContext context;
    v1::GetVirtualMachineRequest request;
    request.set_name(VirtualMachineName(id));
    VirtualMachine vm;
    const grpc::Status status = vms_->GetVirtualMachine(&context, request, &vm);
    if (!status.ok()) return FromGrpc(status);
    return vm;
  }

  VirtualMachine::State StateOf(const std::string& id) {
    return Get(id).value_or(VirtualMachine()).state();
  }

  v1::Host Host() {
    grpc::ClientContext context;
    v1::Host host;
    EXPECT_TRUE(vms_->GetHost(&context, {}, &host).ok());
    return host;
  }

  bool Supports(const std::string& operation) {
    const v1::Host host = Host();
    for (const v1::OperationSupport& support : host.operations()) {
      if (support.operation() == operation) return support.supported();
    }
    return false;
  }

  // Does it, or sees it refused as unsupported; returns whether it was done.
  template <typename Request>
  bool DoIfSupported(const std::string& operation, const std::string& id,
                     grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                  Operation*)) {
    const absl::Status outcome = Do(id, method);
    if (Supports(operation)) {
      EXPECT_EQ(outcome, absl::OkStatus());
    } else {
      EXPECT_EQ(ReasonOf(outcome), ErrorInfo::REASON_NOT_SUPPORTED) << outcome;
    }
    return outcome.ok();
  }

  std::unique_ptr<Stub> vms_;
  std::unique_ptr<google::longrunning::Operations::Stub> operations_;
  Operation last_;
  std::vector<std::string> made_;
};

TEST_F(VirMO, HostIsDescribedWithItsCapabilities) {
  const v1::Host host = Host();
  EXPECT_TRUE(host.reachable()) << host.detail();
  EXPECT_FALSE(host.hypervisor_name().empty());
  EXPECT_NE(host.hypervisor_type(), v1::Host::HYPERVISOR_TYPE_UNSPECIFIED);
  EXPECT_GT(host.memory_total_mib(), 0);
  for (const char* operation : {"Provision", "Delete", "Start", "Stop"}) {
    EXPECT_TRUE(Supports(operation)) << operation;
  }
  for (const v1::OperationSupport& support : host.operations()) {
    EXPECT_EQ(support.supported(), support.reason().empty()) << support.operation();
  }
}

TEST_F(VirMO, HLF_01_ProvisionMakesAStoppedMachine) {
  const v1::CreateVirtualMachineRequest request = CreateRequest();
  ASSERT_EQ(Create(request), absl::OkStatus());
  const absl::StatusOr<VirtualMachine> vm = Get(request.virtual_machine_id());
  ASSERT_TRUE(vm.ok()) << vm.status();
  EXPECT_EQ(vm->state(), VirtualMachine::STATE_STOPPED);
  EXPECT_EQ(vm->display_name(), request.virtual_machine().display_name());
  EXPECT_TRUE(vm->current_operation().empty());
  VirtualMachine response;
  ASSERT_TRUE(last_.response().UnpackTo(&response));
  EXPECT_EQ(response.name(), vm->name());
}

TEST_F(VirMO, HLF_01_APackageThatIsNotWhatItsDigestSaysMakesNothing) {
  v1::CreateVirtualMachineRequest request = CreateRequest();
  request.mutable_package()->set_sha256(std::string(64, '0'));
  EXPECT_FALSE(Create(request).ok());
  EXPECT_TRUE(absl::IsNotFound(Get(request.virtual_machine_id()).status()));
}

TEST_F(VirMO, HLF_02_10_DeleteRemovesItAndHLF_11_ItsIdIsNeverUsedAgain) {
  const std::string id = Made();
  ASSERT_EQ(Do(id, &Stub::DeleteVirtualMachine), absl::OkStatus());
  EXPECT_EQ(ReasonOf(Get(id).status()), ErrorInfo::REASON_VM_NOT_FOUND);
  v1::CreateVirtualMachineRequest again = CreateRequest();
  again.set_virtual_machine_id(id);
  EXPECT_EQ(ReasonOf(Create(again)), ErrorInfo::REASON_ALREADY_EXISTS);
}

TEST_F(VirMO, HLF_03_StartRunsIt) {
  const std::string id = Made();
  ASSERT_EQ(Do(id, &Stub::StartVirtualMachine), absl::OkStatus());
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_RUNNING);
  EXPECT_EQ(Do(id, &Stub::StartVirtualMachine), absl::OkStatus()) << "it is so already";
}

TEST_F(VirMO, HLF_04_StopByForceStopsIt) {
  const std::string id = Made(/*start=*/true);
  v1::StopVirtualMachineRequest request;
  request.set_force(true);
  ASSERT_EQ(Do(id, &Stub::StopVirtualMachine, request), absl::OkStatus());
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_STOPPED);
  EXPECT_EQ(Get(id)->host_pid(), 0);
}

TEST_F(VirMO, HLF_12_SuspendSavesStateAndReleasesTheProcess) {
  const std::string id = Made(/*start=*/true);
  if (!DoIfSupported("Suspend", id, &Stub::SuspendVirtualMachine)) {
    EXPECT_EQ(StateOf(id), VirtualMachine::STATE_RUNNING);
    return;
  }
  const absl::StatusOr<VirtualMachine> vm = Get(id);
  ASSERT_TRUE(vm.ok());
  EXPECT_EQ(vm->state(), VirtualMachine::STATE_SUSPENDED);
  EXPECT_EQ(vm->host_pid(), 0);
  EXPECT_EQ(ReasonOf(Do(id, &Stub::StartVirtualMachine)), ErrorInfo::REASON_WRONG_STATE);
}

TEST_F(VirMO, HLF_13_ResumeContinuesASuspendedMachineOnly) {
  const std::string id = Made(/*start=*/true);
  if (!DoIfSupported("Suspend", id, &Stub::SuspendVirtualMachine)) return;
  ASSERT_TRUE(DoIfSupported("Resume", id, &Stub::ResumeVirtualMachine));
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_RUNNING);
  const std::string stopped = Made();
  EXPECT_EQ(ReasonOf(Do(stopped, &Stub::ResumeVirtualMachine)), ErrorInfo::REASON_WRONG_STATE);
}

TEST_F(VirMO, PauseStandsItStillAndUnpauseLetsItRun) {
  const std::string id = Made(/*start=*/true);
  if (!DoIfSupported("Pause", id, &Stub::PauseVirtualMachine)) return;
  EXPECT_TRUE(Get(id)->paused());
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_RUNNING);
  ASSERT_TRUE(DoIfSupported("Unpause", id, &Stub::UnpauseVirtualMachine));
  EXPECT_FALSE(Get(id)->paused());
}

TEST_F(VirMO, CloneMakesAnotherMachineWithAnotherAddress) {
  const std::string id = Made();
  if (!DoIfSupported("Clone", id, &Stub::CloneVirtualMachine)) return;
  VirtualMachine copy;
  ASSERT_TRUE(last_.response().UnpackTo(&copy));
  made_.push_back(VirtualMachineId(copy.name()).value());
  EXPECT_NE(copy.name(), VirtualMachineName(id));
  EXPECT_EQ(copy.state(), VirtualMachine::STATE_STOPPED);
  const VirtualMachine source = Get(id).value();
  for (int i = 0; i < copy.network_interfaces_size(); ++i) {
    EXPECT_NE(copy.network_interfaces(i).mac_address(), source.network_interfaces(i).mac_address());
  }
}

TEST_F(VirMO, ARepeatedRequestIdReturnsTheFirstOperation) {
  v1::CreateVirtualMachineRequest request = CreateRequest();
  ASSERT_EQ(Create(request), absl::OkStatus());
  const std::string first = last_.name();
  ASSERT_EQ(Create(request), absl::OkStatus());
  EXPECT_EQ(last_.name(), first);
  request.mutable_virtual_machine()->set_display_name("another");
  EXPECT_EQ(ReasonOf(Create(request)), ErrorInfo::REASON_REQUEST_ID_REUSED);
}

TEST_F(VirMO, OperationsAreListedAndKeepTheirOutcome) {
  Made();
  grpc::ClientContext context;
  google::longrunning::ListOperationsRequest request;
  google::longrunning::ListOperationsResponse response;
  ASSERT_TRUE(operations_->ListOperations(&context, request, &response).ok());
  ASSERT_GE(response.operations_size(), 1);
  EXPECT_TRUE(response.operations(0).done());
  v1::OperationMetadata metadata;
  ASSERT_TRUE(response.operations(0).metadata().UnpackTo(&metadata));
  EXPECT_EQ(metadata.result_code(), 1200);
  EXPECT_EQ(metadata.progress_percent(), 100);
}

TEST_F(VirMO, AWatchBeginsWithEverythingThereIs) {
  const std::string id = Made();
  grpc::ClientContext context;
  const auto stream = vms_->WatchVirtualMachines(&context, {});
  v1::WatchVirtualMachinesResponse message;
  bool seen = false;
  while (stream->Read(&message) && !message.synchronized()) {
    seen |= message.changed().name() == VirtualMachineName(id);
  }
  EXPECT_TRUE(message.synchronized());
  EXPECT_TRUE(seen);
  context.TryCancel();
  stream->Finish();
}

TEST_F(VirMO, WhatDoesNotExistIsNotFound) {
  EXPECT_EQ(ReasonOf(Get(NewUuid()).status()), ErrorInfo::REASON_VM_NOT_FOUND);
  EXPECT_EQ(ReasonOf(Do(NewUuid(), &Stub::StartVirtualMachine)), ErrorInfo::REASON_VM_NOT_FOUND);
}

bool TakeOption(absl::string_view argument, absl::string_view name, std::string* value) {
  if (!absl::ConsumePrefix(&argument, absl::StrCat("--", name, "="))) return false;
  *value = std::string(argument);
  return true;
}

int Main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  std::string uri, sha256, media_type = "application/x-qcow2";
  for (int i = 1; i < argc; ++i) {
    if (TakeOption(argv[i], "address", &TheOptions().address)) continue;
    if (TakeOption(argv[i], "package_uri", &uri)) continue;
    if (TakeOption(argv[i], "package_sha256", &sha256)) continue;
    if (TakeOption(argv[i], "package_media_type", &media_type)) continue;
    std::cerr << "unknown option " << argv[i] << "\n";
    return 2;
  }
  if (TheOptions().address.empty() || uri.empty() || sha256.empty()) {
    std::cerr << "usage: virmo-conformance --address=ADDRESS --package_uri=URI"
                 " --package_sha256=HEX [--package_media_type=TYPE]\n";
    return 2;
  }
  TheOptions().package.set_uri(uri);
  TheOptions().package.set_sha256(sha256);
  TheOptions().package.set_media_type(media_type);
  return RUN_ALL_TESTS();
}

}  // namespace
}  // namespace virmo

int main(int argc, char** argv) { return virmo::Main(argc, argv); }
