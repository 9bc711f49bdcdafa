// SPDX-License-Identifier: Apache-2.0
// The program itself, on embedded libvirt with a real guest, through its gRPC address; only
// policy-engine is a fake one, served by this test.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <set>
#include <sstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "google/longrunning/operations.grpc.pb.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "services/runtime/broadcast.h"
#include "services/runtime/error.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/uuid.h"
#include "virmo/v1/policy_enforcement_service.grpc.pb.h"
#include "virmo/v1/virtual_machine_service.grpc.pb.h"
#include "vm-controller/fake_policy_engine.h"
#include "vm-controller/image/digest.h"

namespace virmo::vm_controller {
namespace {

using google::longrunning::Operation;
using v1::VirtualMachine;

bool Soon(const std::function<bool()>& condition, absl::Duration timeout = absl::Seconds(60)) {
  for (const absl::Time end = absl::Now() + timeout; absl::Now() < end;) {
    if (condition()) return true;
    absl::SleepFor(absl::Milliseconds(50));
  }
  return condition();
}

// Serves a FakePolicyEngine, and its decisions as a stream.
class PolicyServer : public v1::PolicyEnforcementService::Service {
 public:
  explicit PolicyServer(const std::string& address) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~PolicyServer() override {
    changes_.Close();
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
  }

  void SetLock(const std::string& id, bool locked) { changes_.Publish(engine.SetLock(id, locked)); }

  grpc::Status Admit(grpc::ServerContext*, const v1::AdmitRequest* request,
                     v1::AdmitResponse* response) override {
    return Answer(engine.Admit(*request), response);
  }
  grpc::Status ReportApplied(grpc::ServerContext*, const v1::ReportAppliedRequest* request,
                             v1::ReportAppliedResponse* response) override {
    return Answer(engine.ReportApplied(*request), response);
  }
  grpc::Status ReportInventory(grpc::ServerContext*, const v1::ReportInventoryRequest* request,
                               v1::ReportInventoryResponse* response) override {
    return Answer(engine.ReportInventory(*request), response);
  }
  grpc::Status WatchEffectivePolicies(
      grpc::ServerContext* context, const v1::WatchEffectivePoliciesRequest*,
      grpc::ServerWriter<v1::WatchEffectivePoliciesResponse>* writer) override {
    Broadcast<v1::EffectivePolicy>::Subscription changes(changes_);
    v1::WatchEffectivePoliciesResponse first;
    first.set_synchronized(true);
    writer->Write(first);
    while (!context->IsCancelled()) {
      v1::WatchEffectivePoliciesResponse message;
      const auto state = changes.Next(absl::Seconds(1), message.mutable_changed());
      if (state == decltype(changes)::State::kClosed) break;
      if (state == decltype(changes)::State::kTimeout) message.Clear();
      if (!writer->Write(message)) break;
    }
    return grpc::Status::OK;
  }

  FakePolicyEngine engine;

 private:
  template <typename Result, typename Response>
  static grpc::Status Answer(const absl::StatusOr<Result>& result, Response* response) {
    if (!result.ok()) return ToGrpc(result.status());
    *response = *result;
    return grpc::Status::OK;
  }

  Broadcast<v1::EffectivePolicy> changes_;
  std::unique_ptr<grpc::Server> server_;
};

// Everything a test needs: a folder, the image, the program.
class QemuTest : public testing::Test {
 protected:
  void SetUp() override {
    if (access(VIRMO_GUEST_IMAGE, R_OK) != 0) GTEST_SKIP() << "no guest image";
    // Orphaned QEMU processes are ours to reap: a first process that reaps slowly delays libvirt.
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    reaper_ = std::thread([this] { Reap(); });
    std::string pattern = "/tmp/vq-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    chmod(pattern.c_str(), 0755);
    policy_ = std::make_unique<PolicyServer>(absl::StrCat("unix:", directory_, "/policy.sock"));
    WriteConfiguration();
    const auto channel = grpc::CreateChannel(absl::StrCat("unix:", directory_, "/vmc.sock"),
                                             grpc::InsecureChannelCredentials());
    vms_ = v1::VirtualMachineService::NewStub(channel);
    operations_ = google::longrunning::Operations::NewStub(channel);
    StartProgram();
  }

  void TearDown() override {
    StopProgram(SIGTERM);
    for (const int64_t pid : qemus_) kill(static_cast<pid_t>(pid), SIGKILL);
    ending_ = true;
    if (reaper_.joinable()) reaper_.join();
    policy_.reset();
    if (HasFailure()) std::cerr << Read(directory_ + "/log");
    std::error_code ignored;
    if (!HasFailure()) std::filesystem::remove_all(directory_, ignored);
  }

  void WriteConfiguration() {
    std::ofstream(directory_ + "/config")
        << "listener { address: 'unix:" << directory_ << "/vmc.sock' }\n"
        << "state_directory: '" << directory_ << "/state'\n"
        << "alert_emitter { address: 'unix:" << directory_ << "/alerts.sock' }\n"
        << "policy_engine { address: 'unix:" << directory_ << "/policy.sock' }\n"
        << "accelerator: ACCELERATOR_TCG\n"
        << "logging { level: 'debug' }\n"
        << "package_directories: '"
        << std::filesystem::path(VIRMO_GUEST_IMAGE).parent_path().string() << "'\n";
  }

  void StartProgram() {
    const std::string config = directory_ + "/config", log = directory_ + "/log";
    program_ = fork();
    if (program_ == 0) {
      if (freopen(log.c_str(), "a", stderr) == nullptr) _exit(126);
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      execl(VIRMO_VM_CONTROLLER, "vm-controller", "--config", config.c_str(), nullptr);
      _exit(127);
    }
    ASSERT_TRUE(Soon([&] {
      grpc::ClientContext context;
      v1::Host host;
      return vms_->GetHost(&context, {}, &host).ok() && host.reachable();
    })) << Read(log);
  }

  void StopProgram(int signal) {
    if (program_ <= 0) return;
    kill(program_, signal);
    waitpid(program_, nullptr, 0);
    program_ = -1;
  }

  // Reaps whatever the program leaves behind, but not the program.
  void Reap() {
    while (!ending_) {
      siginfo_t child = {};
      waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT);
      if (child.si_pid > 0 && child.si_pid != program_) waitpid(child.si_pid, nullptr, 0);
      absl::SleepFor(absl::Milliseconds(5));
    }
  }

  static std::string Read(const std::string& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  VirtualMachine Vm(const std::string& id) {
    grpc::ClientContext context;
    v1::GetVirtualMachineRequest request;
    request.set_name(VirtualMachineName(id));
    VirtualMachine vm;
    vms_->GetVirtualMachine(&context, request, &vm);
    if (vm.host_pid() > 0) qemus_.insert(vm.host_pid());
    return vm;
  }

  // Waits for the end.
  absl::Status Outcome(const grpc::Status& status, Operation operation) {
    if (!status.ok()) return FromGrpc(status);
    EXPECT_TRUE(Soon(
        [&] {
          if (operation.done()) return true;
          grpc::ClientContext context;
          google::longrunning::GetOperationRequest request;
          request.set_name(operation.name());
          operations_->GetOperation(&context, request, &operation);
          return operation.done();
        },
        absl::Seconds(120)))
        << operation.ShortDebugString();
    return operation.has_error() ? FromRpc(operation.error()) : absl::OkStatus();
  }

  template <typename Request>
  absl::Status Do(const std::string& id,
                  grpc::Status (v1::VirtualMachineService::Stub::*method)(grpc::ClientContext*,
                                                                          const Request&,
                                                                          Operation*),
                  Request request = {}) {
    request.set_name(VirtualMachineName(id));
    request.set_request_id(NewUuid());
    grpc::ClientContext context;
    Operation operation;
    const grpc::Status status = (*vms_.*method)(&context, request, &operation);
    return Outcome(status, operation);
  }

  std::string Provision(const std::string& name) {
    v1::CreateVirtualMachineRequest request;
    request.set_request_id(NewUuid());
    request.set_virtual_machine_id(NewUuid());
    request.mutable_virtual_machine()->set_display_name(name);
    v1::Allocation* memory = request.mutable_virtual_machine()->add_allocations();
    memory->set_kind(v1::RESOURCE_KIND_MEMORY);
    memory->set_virtual_quantity(96);
    request.mutable_package()->set_uri(absl::StrCat("file://", VIRMO_GUEST_IMAGE));
    request.mutable_package()->set_media_type("application/x-qcow2");
    request.mutable_package()->set_sha256(FileSha256(VIRMO_GUEST_IMAGE).value());
    grpc::ClientContext context;
    Operation operation;
    const grpc::Status status = vms_->CreateVirtualMachine(&context, request, &operation);
    const absl::Status outcome = Outcome(status, operation);
    EXPECT_TRUE(outcome.ok()) << outcome;
    return request.virtual_machine_id();
  }

  // The highest tick number that the console has shown, and the text after the last one.
  int LastTick(const std::string& id, std::string* line = nullptr) {
    const std::string text = Read(absl::StrCat(directory_, "/state/vms/", id, "/console/log"));
    const size_t at = text.rfind("tick ");
    if (at == std::string::npos) return 0;
    const std::string rest = text.substr(at + 5, 60);
    if (line != nullptr) *line = rest;
    int tick = 0;
    (void)absl::SimpleAtoi(rest.substr(0, rest.find(' ')), &tick);
    return tick;
  }

  std::string directory_;
  std::unique_ptr<PolicyServer> policy_;
  std::unique_ptr<v1::VirtualMachineService::Stub> vms_;
  std::unique_ptr<google::longrunning::Operations::Stub> operations_;
  std::atomic<pid_t> program_ = -1;
  std::atomic<bool> ending_ = false;
  std::thread reaper_;
  std::set<int64_t> qemus_;
};

TEST_F(QemuTest, AGuestLivesItsWholeLife) {
  using Stub = v1::VirtualMachineService::Stub;
  const std::string id = Provision("guest");
  ASSERT_EQ(Do(id, &Stub::StartVirtualMachine), absl::OkStatus());
  ASSERT_TRUE(Soon([&] { return LastTick(id) >= 2; })) << "no ticks on the console";
  const int64_t first_pid = Vm(id).host_pid();
  ASSERT_GT(first_pid, 0);

  ASSERT_EQ(Do(id, &Stub::SuspendVirtualMachine), absl::OkStatus());
  EXPECT_EQ(Vm(id).state(), VirtualMachine::STATE_SUSPENDED);
  EXPECT_TRUE(Soon([&] { return kill(static_cast<pid_t>(first_pid), 0) != 0; }))
      << "QEMU is still there";
  const int saved_tick = LastTick(id);

  ASSERT_EQ(Do(id, &Stub::ResumeVirtualMachine), absl::OkStatus());
  ASSERT_TRUE(Soon([&] { return LastTick(id) > saved_tick; }));
  EXPECT_LE(LastTick(id), saved_tick + 30) << "it did not go on where it stopped";

  policy_->SetLock(id, true);
  ASSERT_TRUE(Soon([&] { return Vm(id).paused_by_lock(); }));
  EXPECT_FALSE(Vm(id).network_interfaces(0).link_up());
  EXPECT_TRUE(Soon([&] {
    return policy_->engine.OutcomeOf(id, "lock.agent") == v1::AppliedItem::OUTCOME_APPLIED;
  }));
  const int locked_tick = LastTick(id);

  policy_->SetLock(id, false);
  ASSERT_TRUE(Soon([&] { return LastTick(id) > locked_tick; }));
  EXPECT_TRUE(Soon([&] { return Vm(id).network_interfaces(0).link_up(); }));

  ASSERT_EQ(Do(id, &Stub::StopVirtualMachine), absl::OkStatus());
  ASSERT_EQ(Do(id, &Stub::CloneVirtualMachine), absl::OkStatus());
  ASSERT_EQ(Do(id, &Stub::DeleteVirtualMachine), absl::OkStatus());
}

TEST_F(QemuTest, AKilledControllerFindsItsGuestAsTheSameProcess) {
  using Stub = v1::VirtualMachineService::Stub;
  const std::string id = Provision("guest");
  ASSERT_EQ(Do(id, &Stub::StartVirtualMachine), absl::OkStatus());
  ASSERT_TRUE(Soon([&] { return LastTick(id) >= 1; }));
  const int64_t pid = Vm(id).host_pid();

  StopProgram(SIGKILL);
  ASSERT_EQ(kill(static_cast<pid_t>(pid), 0), 0);
  StartProgram();

  EXPECT_TRUE(Soon([&] { return Vm(id).host_pid() == pid; }));
  EXPECT_EQ(Vm(id).state(), VirtualMachine::STATE_RUNNING);
  const int tick = LastTick(id);
  EXPECT_TRUE(Soon([&] { return LastTick(id) > tick; })) << "the console was not taken up again";
  v1::StopVirtualMachineRequest force;
  force.set_force(true);
  EXPECT_EQ(Do(id, &Stub::StopVirtualMachine, force), absl::OkStatus());
}

}  // namespace
}  // namespace virmo::vm_controller
