// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/guest_fixture.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "grpcpp/create_channel.h"
#include "tests/support/child.h"

namespace virmo::testing_support {
namespace {

constexpr absl::Duration kLookEvery = absl::Milliseconds(2);

void SetDeadline(grpc::ClientContext& context, absl::Duration timeout) {
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
}

std::string Sha256(const std::string& path) {
  return RunToEnd({"sha256sum", path}).output.substr(0, 64);
}

}  // namespace

bool GuestFixture::Soon(const std::function<bool()>& condition, absl::Duration timeout) {
  for (const absl::Time end = absl::Now() + timeout; absl::Now() < end;) {
    if (condition()) return true;
    absl::SleepFor(absl::Milliseconds(50));
  }
  return condition();
}

absl::Duration GuestFixture::Took(const std::function<bool()>& condition) {
  const absl::Time begin = absl::Now();
  while (!condition()) {
    if (absl::Now() > begin + absl::Seconds(60)) {
      ADD_FAILURE() << "did not come true";
      break;
    }
    absl::SleepFor(kLookEvery);
  }
  return absl::Now() - begin;
}

void GuestFixture::StartDevice(const std::string& controller, const std::string& hypervisor_uri) {
  Stack::Options options;
  options.hypervisor_uri = hypervisor_uri;
  options.extra_configuration[Stack::kVmController] = absl::StrCat(
      "\npackage_directories: '", std::filesystem::path(VIRMO_GUEST_IMAGE).parent_path().string(),
      "'\n", controller);
  stack_ = std::make_unique<Stack>(options);
  const auto channel = [&](const char* process) {
    return grpc::CreateChannel(stack_->SocketOf(process), grpc::InsecureChannelCredentials());
  };
  for (const char* process : {Stack::kAlertEmitter, Stack::kPolicyEngine, Stack::kVmController}) {
    stack_->Start(process);
    stack_->AwaitHealthy(process);
  }
  devices_ = v1::HostDeviceService::NewStub(channel(Stack::kVmController));
  policy_operations_ = google::longrunning::Operations::NewStub(channel(Stack::kPolicyEngine));
}

void GuestFixture::TearDown() { stack_.reset(); }

std::string GuestFixture::Provision(const std::string& name, const std::string& image,
                                    int64_t memory_mib, const std::vector<v1::Allocation>& more) {
  v1::CreateVirtualMachineRequest request;
  request.set_request_id(NewUuid());
  request.set_virtual_machine_id(NewUuid());
  request.mutable_virtual_machine()->set_display_name(name);
  v1::Allocation* memory = request.mutable_virtual_machine()->add_allocations();
  memory->set_kind(v1::RESOURCE_KIND_MEMORY);
  memory->set_virtual_quantity(memory_mib);
  for (const v1::Allocation& one : more) {
    *request.mutable_virtual_machine()->add_allocations() = one;
  }
  request.mutable_package()->set_uri(absl::StrCat("file://", image));
  request.mutable_package()->set_media_type("application/x-qcow2");
  request.mutable_package()->set_sha256(Sha256(image));
  grpc::ClientContext context;
  Operation operation;
  const grpc::Status status = stack_->vms().CreateVirtualMachine(&context, request, &operation);
  const absl::Status outcome = status.ok() ? OutcomeOf(operation, true) : FromGrpc(status);
  EXPECT_EQ(outcome, absl::OkStatus());
  return request.virtual_machine_id();
}

absl::Status GuestFixture::OutcomeOf(Operation operation, bool of_controller) {
  auto& stub = of_controller ? stack_->operations() : *policy_operations_;
  const bool done = Soon(
      [&] {
        if (operation.done()) return true;
        grpc::ClientContext context;
        SetDeadline(context, absl::Seconds(10));
        google::longrunning::GetOperationRequest request;
        request.set_name(operation.name());
        stub.GetOperation(&context, request, &operation);
        return operation.done();
      },
      absl::Seconds(120));
  EXPECT_TRUE(done) << operation.ShortDebugString();
  return operation.has_error() ? FromRpc(operation.error()) : absl::OkStatus();
}

void GuestFixture::StartGuest(const std::string& id) {
  ASSERT_EQ(Do(id, &Vms::StartVirtualMachine), absl::OkStatus());
  ASSERT_TRUE(
      Soon([&] { return absl::StrContains(Shell(id, "echo here", absl::Seconds(5)), "here"); },
           absl::Seconds(120)))
      << ConsoleLog(*stack_, id);
}

std::string GuestFixture::Shell(const std::string& id, const std::string& command,
                                absl::Duration timeout) {
  grpc::ClientContext context;
  SetDeadline(context, timeout);
  const auto stream = stack_->vms().OpenConsole(&context);
  // In two halves: the terminal echoes what is typed, and that is not the answer.
  const std::string mark = absl::StrCat("of", ++shells_, ">");
  v1::OpenConsoleRequest open, typed;
  open.set_name(VirtualMachineName(id));
  typed.set_input(absl::StrCat("echo '<begin''", mark, "'; { ", command, "; } 2>&1; echo '<end''",
                               mark, "'\n"));
  if (!stream->Write(open) || !stream->Write(typed)) return "";
  std::string text;
  v1::OpenConsoleResponse output;
  size_t begin = std::string::npos, end = std::string::npos;
  while (end == std::string::npos && stream->Read(&output)) {
    absl::StrAppend(&text, output.output());
    begin = text.find("<begin" + mark);
    if (begin != std::string::npos) end = text.find("<end" + mark, begin);
  }
  context.TryCancel();
  if (end == std::string::npos) return "";
  begin += mark.size() + 6;
  return text.substr(begin, end - begin);
}

absl::StatusOr<google::longrunning::Operation> GuestFixture::SetPeripheral(const std::string& id,
                                                                           v1::PeripheralClass one,
                                                                           bool enabled,
                                                                           bool exclusive) {
  v1::SetPeripheralRequest request;
  request.set_virtual_machine(VirtualMachineName(id));
  request.set_request_id(NewUuid());
  request.mutable_rule()->set_peripheral_class(one);
  request.mutable_rule()->set_enabled(enabled);
  request.mutable_rule()->set_exclusive(exclusive);
  grpc::ClientContext context;
  Operation operation;
  const grpc::Status status = stack_->policy().SetPeripheral(&context, request, &operation);
  if (!status.ok()) return FromGrpc(status);
  return operation;
}

absl::Status GuestFixture::Lock(const std::string& id) {
  v1::LockVirtualMachineRequest request;
  request.set_virtual_machine(VirtualMachineName(id));
  request.set_request_id(NewUuid());
  request.set_mode(v1::Lock::MODE_ISOLATE);
  grpc::ClientContext context;
  Operation operation;
  const grpc::Status status = stack_->policy().LockVirtualMachine(&context, request, &operation);
  return status.ok() ? OutcomeOf(operation, false) : FromGrpc(status);
}

absl::Status GuestFixture::Unlock(const std::string& id) {
  v1::UnlockVirtualMachineRequest request;
  request.set_virtual_machine(VirtualMachineName(id));
  request.set_request_id(NewUuid());
  grpc::ClientContext context;
  Operation operation;
  const grpc::Status status = stack_->policy().UnlockVirtualMachine(&context, request, &operation);
  return status.ok() ? OutcomeOf(operation, false) : FromGrpc(status);
}

v1::PolicyStatus GuestFixture::Policy(const std::string& id) {
  grpc::ClientContext context;
  v1::GetPolicyRequest request;
  request.set_virtual_machine(VirtualMachineName(id));
  v1::PolicyStatus status;
  stack_->policy().GetPolicy(&context, request, &status);
  return status;
}

v1::VirtualMachine GuestFixture::Vm(const std::string& id) {
  grpc::ClientContext context;
  v1::GetVirtualMachineRequest request;
  request.set_name(VirtualMachineName(id));
  v1::VirtualMachine vm;
  stack_->vms().GetVirtualMachine(&context, request, &vm);
  return vm;
}

v1::HostDevice GuestFixture::Device(const std::string& device_id) {
  grpc::ClientContext context;
  v1::ListHostDevicesResponse response;
  devices_->ListHostDevices(&context, v1::ListHostDevicesRequest(), &response);
  for (const v1::HostDevice& device : response.devices()) {
    if (device.name() == "hostDevices/" + device_id) return device;
  }
  return {};
}

bool GuestFixture::HasDevice(const std::string& id, const std::string& device_id) {
  const v1::HostDevice device = Device(device_id);
  for (const std::string& name : device.attached_to()) {
    if (name == VirtualMachineName(id)) return true;
  }
  return false;
}

}  // namespace virmo::testing_support
