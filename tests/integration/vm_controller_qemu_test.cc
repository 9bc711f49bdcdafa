// SPDX-License-Identifier: Apache-2.0
// A real guest's life under the program, whatever is killed meanwhile.
#include <signal.h>

#include <cstdlib>
#include <filesystem>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "tests/integration/vm_controller_fixture.h"
#include "tests/support/private_libvirtd.h"

namespace virmo::vm_controller {
namespace {

using v1::VirtualMachine;

class VmControllerQemuTest : public VmControllerFixture {};

TEST_F(VmControllerQemuTest, AGuestLivesItsWholeLife) {
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

  grpc::ClientContext console_context;
  const auto console = vms_->OpenConsole(&console_context);
  v1::OpenConsoleRequest open;
  open.set_name(VirtualMachineName(id));
  open.set_backlog_bytes(4096);
  ASSERT_TRUE(console->Write(open));
  v1::OpenConsoleResponse output;
  ASSERT_TRUE(console->Read(&output));
  EXPECT_TRUE(absl::StrContains(output.output(), "tick "));

  policy_->SetLock(id, true);
  while (console->Read(&output)) continue;
  EXPECT_EQ(ReasonOf(FromGrpc(console->Finish())), v1::ErrorInfo::REASON_VM_LOCKED);
  ASSERT_TRUE(Soon([&] { return Vm(id).paused_by_lock(); }));
  EXPECT_TRUE(Soon([&] { return !Vm(id).network_interfaces(0).link_up(); }));
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

TEST_F(VmControllerQemuTest, AKilledControllerFindsItsGuestAsTheSameProcess) {
  const std::string id = Provision("guest");
  ASSERT_EQ(Do(id, &Stub::StartVirtualMachine), absl::OkStatus());
  ASSERT_TRUE(Soon([&] { return LastTick(id) >= 1; }));
  const int64_t pid = Vm(id).host_pid();

  StopProgram(SIGKILL);
  ASSERT_EQ(kill(static_cast<pid_t>(pid), 0), 0);
  StartProgram();

  EXPECT_EQ(Vm(id).host_pid(), pid);
  EXPECT_EQ(Vm(id).state(), VirtualMachine::STATE_RUNNING);
  const int tick = LastTick(id);
  EXPECT_TRUE(Soon([&] { return LastTick(id) > tick; })) << "the console was not taken up again";
  v1::StopVirtualMachineRequest force;
  force.set_force(true);
  EXPECT_EQ(Do(id, &Stub::StopVirtualMachine, force), absl::OkStatus());
}

#ifdef VIRMO_FAULT_POINTS

// The program dies at a named point of an operation, starts again, and ends it.
class FaultPointTest : public VmControllerFixture {
 protected:
  // Restarts the program so that it dies at `fault`, lets `act` run into it, starts it again.
  void DieAt(const std::string& fault, const std::function<void()>& act) {
    SCOPED_TRACE(fault);
    StopProgram(SIGTERM);
    StartProgram(fault);
    act();
    AwaitDeath();
    StartProgram();
  }
};

TEST_F(FaultPointTest, StartEndsOnceWhereverItDies) {
  const std::string id = Provision("guest");
  for (const char* point : {"start.create", "start.create.done", "start.access.done", "start.run",
                            "start.run.done", "start.end"}) {
    const std::string request_id = NewUuid();
    DieAt(point, [&] { Send(id, &Stub::StartVirtualMachine, request_id); });
    EXPECT_EQ(OutcomeOf(request_id), absl::OkStatus()) << point;
    EXPECT_EQ(Vm(id).state(), VirtualMachine::STATE_RUNNING) << point;
    EXPECT_EQ(QemuCount(), 1) << point;
    v1::StopVirtualMachineRequest force;
    force.set_force(true);
    EXPECT_EQ(Do(id, &Stub::StopVirtualMachine, force), absl::OkStatus());
  }
}

TEST_F(FaultPointTest, SuspendResumeAndDeleteEndOnceWhereverTheyDie) {
  const std::string id = Provision("guest");
  ASSERT_EQ(Do(id, &Stub::StartVirtualMachine), absl::OkStatus());
  ASSERT_TRUE(Soon([&] { return LastTick(id) >= 1; }));
  for (const char* point : {"suspend.save", "suspend.save.done", "suspend.end"}) {
    std::string request_id = NewUuid();
    DieAt(point, [&] { Send(id, &Stub::SuspendVirtualMachine, request_id); });
    EXPECT_EQ(OutcomeOf(request_id), absl::OkStatus()) << point;
    EXPECT_EQ(Vm(id).state(), VirtualMachine::STATE_SUSPENDED) << point;
    EXPECT_TRUE(Soon([&] { return QemuCount() == 0; })) << point;
    const int tick = LastTick(id);
    request_id = NewUuid();
    DieAt("resume.create.done", [&] { Send(id, &Stub::ResumeVirtualMachine, request_id); });
    EXPECT_EQ(OutcomeOf(request_id), absl::OkStatus()) << point;
    EXPECT_TRUE(Soon([&] { return LastTick(id) > tick; })) << point;
  }
  const std::string request_id = NewUuid();
  DieAt("delete.undefine", [&] {
    v1::DeleteVirtualMachineRequest request;
    request.set_name(VirtualMachineName(id));
    request.set_request_id(request_id);
    request.set_force(true);
    grpc::ClientContext context;
    Operation operation;
    vms_->DeleteVirtualMachine(&context, request, &operation);
  });
  EXPECT_EQ(OutcomeOf(request_id), absl::OkStatus());
  EXPECT_TRUE(Vm(id).name().empty());
  EXPECT_TRUE(Soon([&] { return QemuCount() == 0; }));
}

TEST_F(FaultPointTest, ProvisionEndsOnceWhereverItDies) {
  for (const char* point : {"provision.chunk:5", "provision.fetch.done", "provision.disk.done",
                            "provision.define.done", "provision.end"}) {
    v1::CreateVirtualMachineRequest request = ProvisionRequest(NewUuid().substr(0, 8));
    DieAt(point, [&] {
      grpc::ClientContext context;
      Operation operation;
      vms_->CreateVirtualMachine(&context, request, &operation);
    });
    EXPECT_EQ(OutcomeOf(request.request_id()), absl::OkStatus()) << point;
    EXPECT_EQ(Vm(request.virtual_machine_id()).state(), VirtualMachine::STATE_STOPPED) << point;
    // The next is to fetch again.
    EXPECT_EQ(Do(request.virtual_machine_id(), &Stub::DeleteVirtualMachine), absl::OkStatus());
  }
}

#endif  // VIRMO_FAULT_POINTS

// On a libvirtd of its own.
class LibvirtdTest : public VmControllerFixture {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    // Of this test alone, and short: sockets lie in it.
    std::string pattern = "/tmp/vqd-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    libvirtd_directory_ = pattern;
    libvirtd_ = std::make_unique<testing_support::PrivateLibvirtd>(libvirtd_directory_);
    VmControllerFixture::SetUp();
  }
  void TearDown() override {
    VmControllerFixture::TearDown();
    libvirtd_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(libvirtd_directory_, ignored);
  }
  std::string HypervisorUri() override { return libvirtd_->Uri(); }

  std::string libvirtd_directory_;
  std::unique_ptr<testing_support::PrivateLibvirtd> libvirtd_;
};

TEST_F(LibvirtdTest, AKilledLibvirtdHidesNothingAndIsFoundAgain) {
  const std::string id = Provision("guest");
  ASSERT_EQ(Do(id, &Stub::StartVirtualMachine), absl::OkStatus());
  const int64_t pid = Vm(id).host_pid();
  ASSERT_GT(pid, 0);

  libvirtd_->Kill9();
  EXPECT_TRUE(Soon([&] { return !Vm(id).state_detail().empty(); }));
  EXPECT_EQ(Vm(id).state(), VirtualMachine::STATE_RUNNING);
  libvirtd_->Start();

  EXPECT_TRUE(Soon([&] { return Vm(id).state_detail().empty(); }));
  EXPECT_EQ(Vm(id).host_pid(), pid);
  EXPECT_EQ(Do(id, &Stub::SuspendVirtualMachine), absl::OkStatus());
  EXPECT_EQ(Do(id, &Stub::DeleteVirtualMachine), absl::OkStatus());
}

TEST_F(LibvirtdTest, AnOperationOutlivesALibvirtdKilledInItsMiddle) {
  const std::string id = Provision("guest");
  ASSERT_EQ(Do(id, &Stub::StartVirtualMachine), absl::OkStatus());
  const std::string request_id = NewUuid();
  Send(id, &Stub::SuspendVirtualMachine, request_id);

  libvirtd_->Kill9();
  libvirtd_->Start();

  const absl::Status outcome = OutcomeOf(request_id);
  EXPECT_EQ(Vm(id).state(),
            outcome.ok() ? VirtualMachine::STATE_SUSPENDED : VirtualMachine::STATE_RUNNING)
      << outcome;
}

}  // namespace
}  // namespace virmo::vm_controller
