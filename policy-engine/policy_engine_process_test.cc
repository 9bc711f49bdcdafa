// SPDX-License-Identifier: Apache-2.0
// The real process: killed, with a damaged or missing database, without alert-emitter.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "google/longrunning/operations.grpc.pb.h"
#include "gtest/gtest.h"
#include "policy-engine/fake_alert_emitter.h"
#include "services/runtime/channel.h"
#include "services/runtime/error.h"
#include "services/runtime/uuid.h"
#include "virmo/v1/policy_enforcement_service.grpc.pb.h"
#include "virmo/v1/policy_service.grpc.pb.h"
#include "virmo/v1/process_service.grpc.pb.h"

namespace virmo::policy_engine {
namespace {

using google::longrunning::Operation;
using Vm = v1::VirtualMachine;

class PolicyEngineProcessTest : public testing::Test {
 protected:
  // Short: the address of a unix socket has at most 107 characters.
  PolicyEngineProcessTest() : folder_(absl::StrCat("/tmp/pe-", NewUuid().substr(0, 13))) {
    std::filesystem::create_directories(folder_);
    std::ofstream(folder_ + "/config.textproto")
        << "listener { address: 'unix:" << folder_ << "/s' }\nstate_directory: '" << folder_
        << "/state'\nalert_emitter { address: 'unix:" << folder_
        << "/a' }\nenforcement_timeout_seconds: 600\nlogging { level: 'critical' }\n";
  }
  ~PolicyEngineProcessTest() override {
    Kill(SIGKILL);
    std::filesystem::remove_all(folder_);
  }

  // With a `fault`, it kills itself at that point.
  void Start(const char* fault = nullptr) {
    if (fault != nullptr) setenv("VIRMO_FAULT", fault, 1);
    Spawn();
    unsetenv("VIRMO_FAULT");
    config::v1::Endpoint endpoint;
    endpoint.set_address("unix:" + folder_ + "/s");
    auto channel = MakeChannel(endpoint);
    ASSERT_TRUE(channel.ok()) << channel.status();
    channel_ = *channel;
    policy_ = v1::PolicyService::NewStub(channel_);
    controller_ = v1::PolicyEnforcementService::NewStub(channel_);
  }
  void Spawn() {
    const std::string config = folder_ + "/config.textproto";
    pid_ = vfork();  // Not fork: gRPC's threads do not survive its fork handlers.
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      execl(POLICY_ENGINE, POLICY_ENGINE, "--config", config.c_str(), nullptr);
      _exit(127);
    }
  }
  int Kill(int signal) {
    if (pid_ <= 0) return 0;
    kill(pid_, signal);
    return Wait();
  }
  int Wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return status;
  }

  template <typename Request, typename Response, typename Stub, typename Method>
  Response Call(Stub& stub, Method method, const Request& request) {
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(20), true);
    Response response;
    last_ = FromGrpc((stub.*method)(&context, request, &response));
    return response;
  }

  static std::string Name(const std::string& id) { return "virtualMachines/" + id; }

  // Reports the VM, stopped, with this version of its policy; with none if the id is empty.
  void ReportFull(const std::string& id, int64_t version) {
    v1::ReportInventoryRequest request;
    request.set_sequence(1);
    request.set_controller_instance(NewUuid());
    request.set_full(true);
    request.mutable_host()->set_memory_total_mib(8192);
    request.mutable_host()->set_processor_total(400);
    if (!id.empty()) {
      v1::InventoryItem& item = *request.add_items();
      item.set_virtual_machine(Name(id));
      item.set_state(Vm::STATE_STOPPED);
      item.set_policy_version(version);
    }
    (void)Call<v1::ReportInventoryRequest, v1::ReportInventoryResponse>(
        *controller_, &v1::PolicyEnforcementService::Stub::ReportInventory, request);
    ASSERT_TRUE(last_.ok()) << last_;
  }
  void Admit(const std::string& id, v1::OperationKind kind) {
    v1::AdmitRequest request;
    request.set_virtual_machine(Name(id));
    request.set_operation("operations/" + NewUuid());
    request.set_kind(kind);
    (void)Call<v1::AdmitRequest, v1::AdmitResponse>(
        *controller_, &v1::PolicyEnforcementService::Stub::Admit, request);
  }
  std::string GivenVm() {
    const std::string id = NewUuid();
    Admit(id, v1::OPERATION_KIND_PROVISION);
    EXPECT_TRUE(last_.ok()) << last_;
    ReportFull(id, 1);
    return id;
  }
  Operation Lock(const std::string& id) {
    v1::LockVirtualMachineRequest request;
    request.set_virtual_machine(Name(id));
    request.set_request_id(NewUuid());
    auto operation = Call<v1::LockVirtualMachineRequest, Operation>(
        *policy_, &v1::PolicyService::Stub::LockVirtualMachine, request);
    EXPECT_TRUE(last_.ok()) << last_;
    return operation;
  }
  v1::PolicyStatus Policy(const std::string& id) {
    v1::GetPolicyRequest request;
    request.set_virtual_machine(Name(id));
    return Call<v1::GetPolicyRequest, v1::PolicyStatus>(
        *policy_, &v1::PolicyService::Stub::GetPolicy, request);
  }
  std::vector<std::string> Degradations() {
    auto stub = v1::ProcessService::NewStub(channel_);
    const auto process = Call<v1::GetProcessRequest, v1::Process>(
        *stub, &v1::ProcessService::Stub::GetProcess, v1::GetProcessRequest());
    return {process.degradations().begin(), process.degradations().end()};
  }

  const std::string folder_;
  pid_t pid_ = 0;
  absl::Status last_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::PolicyService::Stub> policy_;
  std::unique_ptr<v1::PolicyEnforcementService::Stub> controller_;
};

TEST_F(PolicyEngineProcessTest, KeepsEveryLockThatWasAnsweredWhenKilledRightAfter) {
  for (int round = 0; round < 8; ++round) {
    Start();
    const std::string id = GivenVm();
    const Operation lock = Lock(id);
    Kill(SIGKILL);
    Start();

    EXPECT_TRUE(Policy(id).policy().lock().locked());
    Admit(id, v1::OPERATION_KIND_START);
    EXPECT_EQ(ReasonOf(last_), v1::ErrorInfo::REASON_VM_LOCKED);
    google::longrunning::GetOperationRequest get;
    get.set_name(lock.name());
    auto operations = google::longrunning::Operations::NewStub(channel_);
    const auto found = Call<google::longrunning::GetOperationRequest, Operation>(
        *operations, &google::longrunning::Operations::Stub::GetOperation, get);
    EXPECT_TRUE(last_.ok()) << last_;
    EXPECT_FALSE(found.done());
    Kill(SIGTERM);
  }
}

#ifdef VIRMO_FAULT_POINTS
// The request is answered only after the restart, and then as if nothing had happened.
TEST_F(PolicyEngineProcessTest, LocksOnceWithOneAlertWhereverItIsKilled) {
  FakeAlertEmitter emitter("unix:" + folder_ + "/a");
  size_t alerts = 0;
  for (const char* fault : {"lock.decided", "lock.committed", "lock.finished"}) {
    Start();
    const std::string id = GivenVm();
    Kill(SIGTERM);
    Start(fault);
    v1::LockVirtualMachineRequest lock;
    lock.set_virtual_machine(Name(id));
    lock.set_request_id(NewUuid());
    v1::ReportAppliedRequest applied;
    applied.set_virtual_machine(Name(id));
    applied.set_policy_version(2);
    applied.add_items()->set_item("lock.console");
    applied.mutable_items(0)->set_outcome(v1::AppliedItem::OUTCOME_APPLIED);
    const auto run = [&] {
      (void)Call<v1::LockVirtualMachineRequest, Operation>(
          *policy_, &v1::PolicyService::Stub::LockVirtualMachine, lock);
      if (!last_.ok()) return;
      (void)Call<v1::ReportAppliedRequest, v1::ReportAppliedResponse>(
          *controller_, &v1::PolicyEnforcementService::Stub::ReportApplied, applied);
    };
    run();
    EXPECT_FALSE(last_.ok()) << fault;
    EXPECT_TRUE(WIFSIGNALED(Wait())) << fault;
    Start();
    run();

    EXPECT_TRUE(last_.ok()) << fault << ": " << last_;
    EXPECT_EQ(Policy(id).policy().version(), 2) << fault;
    EXPECT_EQ(Policy(id).applied_version(), 2) << fault;
    EXPECT_EQ(emitter.WaitFor(++alerts).size(), alerts) << fault;
    Kill(SIGTERM);
  }
}
#endif

TEST_F(PolicyEngineProcessTest, LocksEveryVmWhenItsDatabaseIsDamaged) {
  FakeAlertEmitter emitter("unix:" + folder_ + "/a");
  Start();
  const std::string id = GivenVm();
  Kill(SIGTERM);
  std::ofstream(folder_ + "/state/policy.db") << std::string(16384, 'x');
  Start();

  Admit(id, v1::OPERATION_KIND_START);
  EXPECT_EQ(ReasonOf(last_), v1::ErrorInfo::REASON_VM_LOCKED);
  ReportFull(id, 1);

  EXPECT_TRUE(Policy(id).policy().lock().locked());
  EXPECT_EQ(Policy(id).policy().version(), 2);
  EXPECT_THAT(Degradations(), testing::Contains(testing::HasSubstr("damaged")));
  const auto alerts = emitter.WaitFor(2);
  ASSERT_EQ(alerts.size(), 2U);
  EXPECT_EQ(alerts[0].event(), "PolicyViolation");
  EXPECT_TRUE(alerts[0].virtual_machine().empty());
  EXPECT_EQ(alerts[1].virtual_machine(), Name(id));
}

TEST_F(PolicyEngineProcessTest, LocksEveryVmWhenItsDatabaseIsGone) {
  Start();
  const std::string id = GivenVm();
  Kill(SIGKILL);
  std::filesystem::remove_all(folder_ + "/state");
  Start();

  Admit(id, v1::OPERATION_KIND_START);
  EXPECT_EQ(ReasonOf(last_), v1::ErrorInfo::REASON_VM_LOCKED);
  ReportFull(id, 1);

  EXPECT_TRUE(Policy(id).policy().lock().locked());
}

TEST_F(PolicyEngineProcessTest, WorksWithoutAlertEmitterSaysSoAndDeliversWhenItAppears) {
  Start();
  const std::string id = NewUuid();
  ReportFull(id, 3);  // An alert.
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  while (Degradations().empty() && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(20));
  EXPECT_THAT(Degradations(), testing::ElementsAre(testing::HasSubstr("alert-emitter")));

  FakeAlertEmitter emitter("unix:" + folder_ + "/a");

  EXPECT_EQ(emitter.WaitFor(1).size(), 1U);
  while (!Degradations().empty() && absl::Now() < deadline + absl::Seconds(10)) {
    absl::SleepFor(absl::Milliseconds(20));
  }
  EXPECT_TRUE(Degradations().empty());
}

TEST_F(PolicyEngineProcessTest, EndsWithZeroOnSigtermWhileAControllerWatches) {
  Start();
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(20), true);
  const auto reader = controller_->WatchEffectivePolicies(&context, {});
  v1::WatchEffectivePoliciesResponse message;
  ASSERT_TRUE(reader->Read(&message));

  const int status = Kill(SIGTERM);

  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace virmo::policy_engine
