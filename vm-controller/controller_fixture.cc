// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/controller_fixture.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "vm-controller/image/digest.h"
#include "vm-controller/state_machine.h"

namespace virmo::vm_controller {
namespace {

constexpr absl::Duration kSoon = absl::Seconds(20);

std::string MakeDirectoryForTest() {
  std::string pattern = testing::TempDir() + "/vc-XXXXXX";
  EXPECT_NE(mkdtemp(pattern.data()), nullptr);
  chmod(pattern.c_str(), 0711);
  return pattern;
}

}  // namespace

bool ControllerFixture::Soon(const std::function<bool()>& condition) {
  for (const absl::Time end = absl::Now() + kSoon; absl::Now() < end;) {
    if (condition()) return true;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return condition();
}

ControllerFixture::ControllerFixture() : directory_(MakeDirectoryForTest()) {
  const std::string image = directory_ + "/packages/guest.raw";
  std::filesystem::create_directory(directory_ + "/packages");
  std::ofstream(image) << std::string(1 << 16, 'x');
  package_.set_uri("file://" + image);
  package_.set_media_type("application/x-raw-disk-image");
  package_.set_sha256(FileSha256(image).value());
  package_.set_package_id("guest-1");
  config_.set_state_directory(directory_ + "/state");
  config_.add_package_directories(directory_ + "/packages");
  config_.add_networks()->set_source("user");
  config_.set_max_package_mib(64);
  config_.set_storage_reserve_mib(1);
  config_.set_max_operations(4);
  config_.set_stop_timeout_seconds(20);
  EXPECT_TRUE(Controller::MakeDirectories(config_).ok());
  database_ =
      Database::Open(config_.state_directory() + "/state.db", Controller::Schemas()).value();
}

ControllerFixture::~ControllerFixture() {
  End();
  database_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void ControllerFixture::Make() {
  journal_ = std::make_unique<OperationJournal>(*database_);
  outbox_ = std::make_unique<Outbox>(
      *database_, "vm-controller",
      grpc::CreateChannel("unix:/nowhere", grpc::InsecureChannelCredentials()),
      [](bool, const std::string&) {});
  events_ = std::make_unique<EventRelay>();
  hypervisor_.SetObserver(events_.get());
  controller_ = std::make_unique<Controller>(
      Controller::Parts{config_, *database_, *journal_, *outbox_, hypervisor_, *events_, policy_,
                        [](bool, const std::string&) {}, boot_id_});
}

void ControllerFixture::Launch() {
  if (!controller_) Make();
  ASSERT_TRUE(controller_->Start().ok());
  events_->OnReachable(true, "");
  controller_->OnPolicyEngineConnected();
  ASSERT_TRUE(controller_->machines().AwaitReachable(kSoon));
}

void ControllerFixture::End() {
  hypervisor_.SetObserver(nullptr);
  controller_.reset();
  events_.reset();
  outbox_.reset();
  journal_.reset();
}

void ControllerFixture::Restart() {
  End();
  Launch();
}

absl::Status ControllerFixture::Outcome(const absl::StatusOr<Operation>& operation) {
  if (!operation.ok()) return operation.status();
  const std::string id = OperationId(operation->name()).value();
  absl::StatusOr<Operation> now;
  EXPECT_TRUE(Soon([&] {
    now = journal_->GetOperation(id);
    return now.ok() && now->done();
  })) << operation->name()
      << " did not end";
  if (!now.ok()) return now.status();
  return now->has_error() ? FromRpc(now->error()) : absl::OkStatus();
}

v1::CreateVirtualMachineRequest ControllerFixture::ProvisionRequest(const std::string& name,
                                                                    bool start) {
  v1::CreateVirtualMachineRequest request;
  request.set_request_id(NewUuid());
  request.mutable_virtual_machine()->set_display_name(name);
  *request.mutable_package() = package_;
  request.set_start(start);
  return request;
}

std::string ControllerFixture::Provision(const std::string& name, bool start) {
  const v1::CreateVirtualMachineRequest request = ProvisionRequest(name, start);
  const absl::Status outcome = Outcome(controller_->requests().Create(request));
  EXPECT_TRUE(outcome.ok()) << outcome;
  return NewMachineId("", request.request_id());
}

absl::StatusOr<ControllerFixture::Operation> ControllerFixture::Do(v1::OperationKind kind,
                                                                   const std::string& id,
                                                                   bool force,
                                                                   const std::string& request_id) {
  Requests::Change change = {kind, VirtualMachineName(id), request_id, {}, force, ""};
  const auto accept = [&](auto request) {
    request.set_name(change.name);
    request.set_request_id(request_id);
    return controller_->requests().Accept(change, request);
  };
  switch (kind) {
    case v1::OPERATION_KIND_START:
      return accept(v1::StartVirtualMachineRequest());
    case v1::OPERATION_KIND_PAUSE:
      return accept(v1::PauseVirtualMachineRequest());
    case v1::OPERATION_KIND_UNPAUSE:
      return accept(v1::UnpauseVirtualMachineRequest());
    case v1::OPERATION_KIND_SUSPEND:
      return accept(v1::SuspendVirtualMachineRequest());
    case v1::OPERATION_KIND_RESUME:
      return accept(v1::ResumeVirtualMachineRequest());
    case v1::OPERATION_KIND_DELETE:
      return accept(v1::DeleteVirtualMachineRequest());
    case v1::OPERATION_KIND_STOP: {
      v1::StopVirtualMachineRequest request;
      request.set_force(force);
      return accept(request);
    }
    default:
      return absl::UnimplementedError("not a kind for Do()");
  }
}

absl::StatusOr<ControllerFixture::Operation> ControllerFixture::Stop(
    const v1::StopVirtualMachineRequest& request) {
  Requests::Change change = {
      v1::OPERATION_KIND_STOP, request.name(), request.request_id(), {}, request.force(), ""};
  return controller_->requests().Accept(change, request);
}

absl::StatusOr<ControllerFixture::Operation> ControllerFixture::Clone(
    const std::string& id, const std::string& display_name) {
  v1::CloneVirtualMachineRequest request;
  request.set_name(VirtualMachineName(id));
  request.set_request_id(NewUuid());
  request.set_display_name(display_name);
  return controller_->requests().Clone(request);
}

void ControllerFixture::Lock(const std::string& id, v1::Lock::Mode mode) {
  controller_->OnPolicy(policy_.SetLock(id, true, mode));
}

void ControllerFixture::Unlock(const std::string& id) {
  controller_->OnPolicy(policy_.SetLock(id, false));
}

v1::VirtualMachine ControllerFixture::Vm(const std::string& id) {
  return controller_->machines().Get(id).value_or(v1::VirtualMachine());
}

v1::VirtualMachine::State ControllerFixture::StateOf(const std::string& id) {
  return Vm(id).state();
}

DomainState ControllerFixture::DomainStateOf(const std::string& id) {
  const absl::StatusOr<Domain> domain = hypervisor_.Get(id);
  EXPECT_TRUE(domain.ok()) << domain.status();
  return domain.ok() ? domain->state : DomainState::kOff;
}

std::vector<v1::Alert> ControllerFixture::Alerts(const std::string& event) {
  std::vector<v1::Alert> alerts;
  const absl::StatusOr<std::vector<SqlRow>> rows =
      database_->Query("SELECT alert FROM outbox ORDER BY sequence");
  EXPECT_TRUE(rows.ok()) << rows.status();
  for (const SqlRow& row : rows.value_or(std::vector<SqlRow>())) {
    v1::Alert alert;
    EXPECT_TRUE(alert.ParseFromString(row.Text(0)));
    if (alert.event() == event) alerts.push_back(alert);
  }
  return alerts;
}

int ControllerFixture::FilesIn(const std::string& folder) {
  int count = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator(config_.state_directory() + "/" + folder)) {
    ++count;
  }
  return count;
}

void ControllerFixture::GivenUnfinished(v1::OperationKind kind, const std::string& id,
                                        const std::string& step,
                                        const google::protobuf::Message& request,
                                        const std::string& request_id) {
  OperationJournal journal(*database_);
  MachineStore store(*database_);
  v1::OperationMetadata metadata;
  metadata.set_kind(kind);
  metadata.set_target(VirtualMachineName(id));
  ASSERT_TRUE(journal.Insert(request_id, metadata, request).ok());
  ASSERT_TRUE(journal.SetStep(request_id, step).ok());
  absl::StatusOr<MachineRecord> record = store.Get(id);
  ASSERT_TRUE(record.ok()) << record.status();
  record->stable_state = record->vm.state();
  record->vm.set_current_operation(OperationName(request_id));
  if (TransientState(kind) != v1::VirtualMachine::STATE_UNSPECIFIED) {
    record->vm.set_state(TransientState(kind));
  }
  ASSERT_TRUE(store.Put(*record).ok());
}

}  // namespace virmo::vm_controller
