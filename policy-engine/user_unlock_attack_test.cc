// SPDX-License-Identifier: Apache-2.0
// What the local user may try against the real process: kill it in the middle of a guess, put an
// older database back, reach what is not for users, read secrets in its log.
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "policy-engine/fake_alert_emitter.h"
#include "services/runtime/channel.h"
#include "services/runtime/error.h"
#include "services/runtime/uuid.h"
#include "virmo/v1/policy_enforcement_service.grpc.pb.h"
#include "virmo/v1/policy_service.grpc.pb.h"
#include "virmo/v1/user_unlock_service.grpc.pb.h"

namespace virmo::policy_engine {
namespace {

constexpr char kSecret[] = "tr0ub4dor-77";
constexpr uid_t kNobody = 65534;

// A controller that stores the highest count it hears of, and tells it.
class CountingController {
 public:
  CountingController(std::shared_ptr<grpc::Channel> channel, std::string vm, int64_t total)
      : total_(total),
        vm_(std::move(vm)),
        stub_(v1::PolicyEnforcementService::NewStub(std::move(channel))),
        instance_(NewUuid()) {
    Report(0, true);
    thread_ = std::thread([this] { Watch(); });
  }
  ~CountingController() { Stop(); }
  int64_t Stop() {
    context_.TryCancel();
    if (thread_.joinable()) thread_.join();
    return total_;
  }

 private:
  void Watch() {
    const auto reader = stub_->WatchEffectivePolicies(&context_, {});
    v1::WatchEffectivePoliciesResponse message;
    while (reader->Read(&message)) {
      if (!message.has_changed()) continue;
      total_ = std::max<int64_t>(total_, message.changed().unlock_attempts_total());
      Report(message.changed().version(), false);
    }
    reader->Finish();
  }
  void Report(int64_t version, bool full) {
    v1::ReportInventoryRequest request;
    request.set_sequence(++sequence_);
    request.set_controller_instance(instance_);
    request.set_full(full);
    request.mutable_host()->set_memory_total_mib(8192);
    request.mutable_host()->set_processor_total(400);
    v1::InventoryItem& item = *request.add_items();
    item.set_virtual_machine(vm_);
    item.set_state(v1::VirtualMachine::STATE_STOPPED);
    item.set_policy_version(version);
    item.set_unlock_attempts_total(total_);
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(20), true);
    v1::ReportInventoryResponse response;
    stub_->ReportInventory(&context, request, &response);
  }

  std::atomic<int64_t> total_;
  const std::string vm_;
  const std::unique_ptr<v1::PolicyEnforcementService::Stub> stub_;
  const std::string instance_;
  int64_t sequence_ = 0;
  grpc::ClientContext context_;
  std::thread thread_;
};

class UserUnlockAttackTest : public testing::Test {
 protected:
  UserUnlockAttackTest() : folder_(absl::StrCat("/tmp/ua-", NewUuid().substr(0, 13))) {
    std::filesystem::create_directories(folder_);
    std::filesystem::permissions(folder_, std::filesystem::perms(0755));
    std::ofstream(folder_ + "/config.textproto")
        << "listener { address: 'unix:" << folder_ << "/s' }\nstate_directory: '" << folder_
        << "/state'\nalert_emitter { address: 'unix:" << folder_
        << "/a' }\nlogging { level: 'trace' }\n";
  }
  ~UserUnlockAttackTest() override {
    controller_.reset();
    Kill();
    std::filesystem::remove_all(folder_);
  }

  void Start(const char* fault = nullptr) {
    if (fault != nullptr) setenv("VIRMO_FAULT", fault, 1);
    const std::string config = folder_ + "/config.textproto";
    const std::string log = folder_ + "/log";
    pid_ = vfork();  // Not fork: gRPC's threads do not survive its fork handlers.
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (freopen(log.c_str(), "a", stderr) == nullptr) _exit(126);
      execl(POLICY_ENGINE, POLICY_ENGINE, "--config", config.c_str(), nullptr);
      _exit(127);
    }
    unsetenv("VIRMO_FAULT");
    user_ = v1::UserUnlockService::NewStub(Connect("user-unlock.sock"));
    policy_ = v1::PolicyService::NewStub(Connect("s"));
  }
  void Kill() {
    if (pid_ > 0) kill(pid_, SIGKILL);
    Wait();
  }
  void Wait() {
    if (pid_ > 0) waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  std::shared_ptr<grpc::Channel> Connect(const std::string& socket) {
    config::v1::Endpoint endpoint;
    endpoint.set_address("unix:" + folder_ + "/" + socket);
    return *MakeChannel(endpoint);
  }
  void StartController(int64_t total = 0) {
    controller_ = std::make_unique<CountingController>(Connect("s"), vm_, total);
  }
  int64_t StopController() {
    const int64_t total = controller_->Stop();
    controller_.reset();
    return total;
  }

  template <typename Response, typename Stub, typename Method, typename Request>
  Response Call(Stub& stub, Method method, const Request& request) {
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(60), true);
    Response response;
    last_ = FromGrpc((stub.*method)(&context, request, &response));
    return response;
  }
  // Locked, with a grant of three attempts.
  void GivenLockedVm() {
    const std::string id = NewUuid();
    vm_ = "virtualMachines/" + id;
    v1::AdmitRequest admit;
    admit.set_virtual_machine(vm_);
    admit.set_operation("operations/" + NewUuid());
    admit.set_kind(v1::OPERATION_KIND_PROVISION);
    const auto enforcement = v1::PolicyEnforcementService::NewStub(Connect("s"));
    Call<v1::AdmitResponse>(*enforcement, &v1::PolicyEnforcementService::Stub::Admit, admit);
    ASSERT_TRUE(last_.ok()) << last_;
    Grant();
    v1::LockVirtualMachineRequest lock;
    lock.set_virtual_machine(vm_);
    lock.set_request_id(NewUuid());
    Call<google::longrunning::Operation>(*policy_, &v1::PolicyService::Stub::LockVirtualMachine,
                                         lock);
    ASSERT_TRUE(last_.ok()) << last_;
  }
  void Grant() {
    v1::UpdateLockSettingsRequest grant;
    grant.set_virtual_machine(vm_);
    grant.set_request_id(NewUuid());
    v1::UserUnlock& unlock = *grant.mutable_lock()->mutable_user_unlock();
    unlock.set_allowed(true);
    unlock.set_method(v1::UserUnlock::METHOD_SECRET);
    unlock.set_max_attempts(3);
    grant.mutable_update_mask()->add_paths("user_unlock");
    grant.set_user_secret(kSecret);
    Call<v1::PolicyStatus>(*policy_, &v1::PolicyService::Stub::UpdateLockSettings, grant);
    ASSERT_TRUE(last_.ok()) << last_;
  }
  v1::ErrorInfo::Reason Try(const std::string& secret) {
    v1::UnlockByUserRequest request;
    request.set_virtual_machine(vm_);
    request.set_secret(secret);
    Call<v1::UnlockByUserResponse>(*user_, &v1::UserUnlockService::Stub::UnlockByUser, request);
    return last_.ok() ? v1::ErrorInfo::REASON_UNSPECIFIED : ReasonOf(last_);
  }
  v1::EffectivePolicy Policy() {
    v1::GetPolicyRequest request;
    request.set_virtual_machine(vm_);
    return Call<v1::PolicyStatus>(*policy_, &v1::PolicyService::Stub::GetPolicy, request).policy();
  }
  std::string Log() const {
    std::stringstream text;
    text << std::ifstream(folder_ + "/log").rdbuf();
    return text.str();
  }
  // Runs a program as another user; its exit status.
  int RunAs(uid_t uid, const std::vector<std::string>& arguments, const std::string& input) {
    std::ofstream(folder_ + "/input") << input;
    const std::string input_path = folder_ + "/input";
    const std::string output = folder_ + "/output";
    std::vector<char*> argv;
    for (const std::string& argument : arguments)
      argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    const pid_t pid = vfork();
    if (pid == 0) {
      if (freopen(input_path.c_str(), "r", stdin) == nullptr ||
          freopen(output.c_str(), "w", stdout) == nullptr || setgroups(0, nullptr) != 0 ||
          setgid(uid) != 0 || setuid(uid) != 0) {
        _exit(126);
      }
      execv(argv[0], argv.data());
      _exit(127);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  static constexpr auto kRefused = v1::ErrorInfo::REASON_USER_UNLOCK_REFUSED;
  const std::string folder_;
  std::string vm_;
  pid_t pid_ = 0;
  absl::Status last_;
  std::unique_ptr<CountingController> controller_;
  std::unique_ptr<v1::UserUnlockService::Stub> user_;
  std::unique_ptr<v1::PolicyService::Stub> policy_;
};

#ifdef VIRMO_FAULT_POINTS
TEST_F(UserUnlockAttackTest, KillingItInAGuessGivesNoAttemptBack) {
  int64_t total = 0;
  Start();
  GivenLockedVm();
  for (const char* fault : {"unlock.counted", "unlock.checked", "unlock.checked"}) {
    Kill();
    Start(fault);
    StartController(total);
    EXPECT_EQ(Try("wrong"), v1::ErrorInfo::REASON_SERVICE_UNAVAILABLE) << fault;
    total = StopController();
    Wait();
  }
  FakeAlertEmitter emitter("unix:" + folder_ + "/a");
  Start();
  StartController(total);

  EXPECT_EQ(Policy().lock().user_unlock().attempts(), 3);
  EXPECT_EQ(Try(kSecret), kRefused);
  EXPECT_TRUE(Policy().lock().locked());
  const auto alerts = emitter.WaitFor(1);
  ASSERT_EQ(alerts.size(), 1U);
  EXPECT_EQ(alerts[0].event(), "UserUnlock");
  EXPECT_EQ(alerts[0].result_code(), 1427);
}
#endif

TEST_F(UserUnlockAttackTest, PuttingAnOlderDatabaseBackGivesNoAttemptBack) {
  Start();
  GivenLockedVm();
  Kill();
  std::filesystem::copy(folder_ + "/state", folder_ + "/copy");
  Start();
  StartController();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Try("wrong"), kRefused);
  const int64_t total = StopController();
  EXPECT_EQ(total, 3);
  Kill();
  std::filesystem::remove_all(folder_ + "/state");
  std::filesystem::rename(folder_ + "/copy", folder_ + "/state");
  Start();
  StartController(total);

  EXPECT_EQ(Try(kSecret), kRefused);
  EXPECT_TRUE(Policy().lock().locked());
  EXPECT_GE(Policy().unlock_attempts_total(), total);
}

TEST_F(UserUnlockAttackTest, PuttingAnOlderDatabaseOfTheControllerBackUsesTheGrantUp) {
  Start();
  GivenLockedVm();
  StartController();
  for (int i = 0; i < 2; ++i) EXPECT_EQ(Try("wrong"), kRefused);
  StopController();
  StartController(0);

  EXPECT_EQ(Try(kSecret), kRefused);
  EXPECT_EQ(Policy().lock().user_unlock().attempts(), 3);
  Grant();  // The server's word counts.
  EXPECT_EQ(Try(kSecret), v1::ErrorInfo::REASON_UNSPECIFIED);
  EXPECT_FALSE(Policy().lock().locked());
}

TEST_F(UserUnlockAttackTest, GuessingFromManyConnectionsIsCountedOneByOne) {
  Start();
  GivenLockedVm();
  StartController();
  std::vector<std::thread> guessers;
  std::atomic<int> refused = 0;
  for (int i = 0; i < 6; ++i) {
    guessers.emplace_back([&, i] {
      const auto stub = v1::UserUnlockService::NewStub(Connect("user-unlock.sock"));
      v1::UnlockByUserRequest request;
      request.set_virtual_machine(vm_);
      request.set_secret(absl::StrCat("guess-", i));
      grpc::ClientContext context;
      SetDeadline(context, absl::Seconds(60), true);
      v1::UnlockByUserResponse response;
      const grpc::Status status = stub->UnlockByUser(&context, request, &response);
      if (ReasonOf(FromGrpc(status)) == kRefused) ++refused;
    });
  }
  for (std::thread& guesser : guessers) guesser.join();

  EXPECT_EQ(refused, 6);
  EXPECT_EQ(Policy().unlock_attempts_total(), 3);
  EXPECT_EQ(Try(kSecret), kRefused);
}

TEST_F(UserUnlockAttackTest, AnotherUserReachesTheUnlockAloneAndIsNamedInTheLog) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to become another user";
  Start();
  GivenLockedVm();
  StartController();
  // The program is where another user may run it.
  const std::string program = folder_ + "/virmo-unlock";
  std::filesystem::copy(VIRMO_UNLOCK, program);
  std::filesystem::permissions(program, std::filesystem::perms(0755));
  const std::string socket = folder_ + "/user-unlock.sock";

  EXPECT_EQ(RunAs(kNobody, {program, "--socket", folder_ + "/s", "--status", vm_.substr(16)}, ""),
            3);
  EXPECT_EQ(RunAs(kNobody, {program, "--socket", socket, "--status", vm_.substr(16)}, ""), 0);
  EXPECT_EQ(RunAs(kNobody, {program, "--socket", socket, vm_.substr(16)}, "wrong\n"), 1);
  EXPECT_TRUE(Policy().lock().locked());
  EXPECT_EQ(RunAs(kNobody, {program, "--socket", socket, "no-such-vm"}, ""), 2);
  EXPECT_EQ(
      RunAs(kNobody, {program, "--socket", socket, vm_.substr(16)}, absl::StrCat(kSecret, "\n")),
      0);

  EXPECT_FALSE(Policy().lock().locked());
  const auto policy = v1::PolicyService::NewStub(Connect("user-unlock.sock"));
  v1::UnlockVirtualMachineRequest unlock;
  unlock.set_virtual_machine(vm_);
  Call<google::longrunning::Operation>(*policy, &v1::PolicyService::Stub::UnlockVirtualMachine,
                                       unlock);
  EXPECT_EQ(last_.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(Log(), testing::HasSubstr("uid=65534"));
  EXPECT_THAT(Log(), testing::Not(testing::HasSubstr(kSecret)));
}

}  // namespace
}  // namespace virmo::policy_engine
