// SPDX-License-Identifier: Apache-2.0
// What is made of a real guest's disk and memory, and what is left of it when it is deleted.
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/integration/vm_controller_fixture.h"

namespace virmo::vm_controller {
namespace {

using v1::VirtualMachine;

class VmControllerCopiesTest : public VmControllerFixture {
 protected:
  absl::Status TakeSnapshot(const std::string& id, const std::string& name,
                            const std::string& request_id = NewUuid()) {
    v1::CreateSnapshotRequest request;
    request.set_parent(VirtualMachineName(id));
    request.set_snapshot_id(name);
    request.set_request_id(request_id);
    grpc::ClientContext context;
    Operation operation;
    const grpc::Status status = snapshots_->CreateSnapshot(&context, request, &operation);
    return status.ok() ? Outcome(status, operation) : FromGrpc(status);
  }

  absl::Status Revert(const std::string& id, const std::string& name) {
    v1::RevertToSnapshotRequest request;
    request.set_name(absl::StrCat(VirtualMachineName(id), "/snapshots/", name));
    request.set_request_id(NewUuid());
    grpc::ClientContext context;
    Operation operation;
    const grpc::Status status = snapshots_->RevertToSnapshot(&context, request, &operation);
    return Outcome(status, operation);
  }

  absl::Status DeleteSnapshot(const std::string& id, const std::string& name) {
    v1::DeleteSnapshotRequest request;
    request.set_name(absl::StrCat(VirtualMachineName(id), "/snapshots/", name));
    request.set_request_id(NewUuid());
    grpc::ClientContext context;
    Operation operation;
    const grpc::Status status = snapshots_->DeleteSnapshot(&context, request, &operation);
    return Outcome(status, operation);
  }

  absl::Status Clone(const std::string& id, const std::string& clone_id, bool linked) {
    v1::CloneVirtualMachineRequest request;
    request.set_virtual_machine_id(clone_id);
    request.set_linked(linked);
    return Do(id, &Stub::CloneVirtualMachine, request);
  }

  absl::Status Force(const std::string& id) {
    v1::StopVirtualMachineRequest request;
    request.set_force(true);
    return Do(id, &Stub::StopVirtualMachine, request);
  }

  std::string ProvisionRunning(const std::string& name) {
    const std::string id = Provision(name);
    EXPECT_EQ(Do(id, &Stub::StartVirtualMachine), absl::OkStatus());
    EXPECT_TRUE(Soon([&] { return LastTick(id) >= 2; })) << "no ticks on the console";
    return id;
  }

  // Dies at the point while `act` runs, and starts again.
  void DieAt(const std::string& fault, const std::function<void()>& act) {
    StopProgram(SIGTERM);
    StartProgram(fault);
    act();
    AwaitDeath();
    StartProgram();
  }
};

TEST_F(VmControllerCopiesTest, AGuestGoesBackToASnapshotMemoryAndDisk) {
  const std::string id = ProvisionRunning("guest");
  ASSERT_EQ(TakeSnapshot(id, "before"), absl::OkStatus());
  const int then = LastTick(id);
  ASSERT_TRUE(Soon([&] { return LastTick(id) > then + 3; })) << "it does not go on after it";
  const int later = LastTick(id);

  ASSERT_EQ(Revert(id, "before"), absl::OkStatus());
  EXPECT_EQ(Vm(id).state(), VirtualMachine::STATE_RUNNING);
  ASSERT_TRUE(Soon([&] { return LastTick(id) < later && LastTick(id) >= then; }));
  const int now = LastTick(id);
  EXPECT_TRUE(Soon([&] { return LastTick(id) > now; }));
  EXPECT_EQ(Vm(id).snapshot_count(), 1);

  ASSERT_EQ(Do(id, &Stub::StopVirtualMachine), absl::OkStatus());
  ASSERT_EQ(Revert(id, "before"), absl::OkStatus()) << "from stopped";
  ASSERT_TRUE(Soon([&] { return Vm(id).state() == VirtualMachine::STATE_RUNNING; }));
  ASSERT_EQ(DeleteSnapshot(id, "before"), absl::OkStatus());
  EXPECT_EQ(Vm(id).snapshot_count(), 0);
  ASSERT_EQ(Force(id), absl::OkStatus());
}

TEST_F(VmControllerCopiesTest, ClonesBootWithWhatTheirSourceHadWritten) {
  const std::string id = ProvisionRunning("guest");
  const std::string full = NewUuid(), linked = NewUuid();
  ASSERT_EQ(Clone(id, full, /*linked=*/false), absl::OkStatus()) << "while it runs";
  EXPECT_EQ(Vm(id).state(), VirtualMachine::STATE_RUNNING);
  const int tick = LastTick(id);
  EXPECT_TRUE(Soon([&] { return LastTick(id) > tick; }));
  ASSERT_EQ(Do(id, &Stub::StopVirtualMachine), absl::OkStatus());
  ASSERT_EQ(Clone(id, linked, /*linked=*/true), absl::OkStatus());

  for (const std::string& one : {id, full, linked}) {
    ASSERT_EQ(Do(one, &Stub::StartVirtualMachine), absl::OkStatus());
    EXPECT_TRUE(Soon([&] { return absl::StrContains(ConsoleOf(one), "boot 2"); })) << one;
  }
  // The source goes; what the linked clone shares with it stays.
  ASSERT_EQ(Force(id), absl::OkStatus());
  ASSERT_EQ(Do(id, &Stub::DeleteVirtualMachine), absl::OkStatus());
  ASSERT_EQ(Force(linked), absl::OkStatus());
  ASSERT_EQ(Do(linked, &Stub::StartVirtualMachine), absl::OkStatus());
  EXPECT_TRUE(Soon([&] { return absl::StrContains(ConsoleOf(linked), "boot 3"); }));
  for (const std::string& one : {full, linked}) {
    ASSERT_EQ(Force(one), absl::OkStatus());
    ASSERT_EQ(Do(one, &Stub::DeleteVirtualMachine), absl::OkStatus());
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory_ + "/state/layers"));
}

TEST_F(VmControllerCopiesTest, NothingOfADeletedGuestCanBeRead) {
  const std::string marker = "MARK" + NewUuid(), state = directory_ + "/state";
  const std::string other = ProvisionRunning("other"), id = ProvisionRunning("guest");
  Type(other, "echo OTHER" + marker.substr(4) + " > /data/kept; sync");
  // In its memory, on its disk, and on its console.
  Type(id, "kept=" + marker + "; echo $kept > /data/marker; sync; echo written");
  ASSERT_TRUE(Soon([&] { return absl::StrContains(ConsoleOf(id), "written"); }));
  ASSERT_EQ(TakeSnapshot(id, "one"), absl::OkStatus());
  ASSERT_EQ(Do(id, &Stub::SuspendVirtualMachine), absl::OkStatus());

  // A second name for each file shows what becomes of its contents.
  const std::vector<std::string> before = FilesWith(marker, state);
  ASSERT_GE(before.size(), 3u) << "disk, saved memory and console log";
  std::filesystem::create_directory(directory_ + "/second-names");
  for (size_t i = 0; i < before.size(); ++i) {
    std::filesystem::create_hard_link(before[i], absl::StrCat(directory_, "/second-names/", i));
  }
  ASSERT_EQ(Do(id, &Stub::DeleteVirtualMachine), absl::OkStatus());

  EXPECT_THAT(FilesWith(marker, directory_), testing::IsEmpty());
  for (const auto& entry : std::filesystem::recursive_directory_iterator(state + "/libvirt")) {
    EXPECT_FALSE(absl::StrContains(entry.path().string(), id)) << entry.path();
  }
  EXPECT_FALSE(std::filesystem::exists(state + "/vms/" + id));
  EXPECT_THAT(FilesWith("OTHER" + marker.substr(4), state), testing::Not(testing::IsEmpty()));
  ASSERT_EQ(Force(other), absl::OkStatus());
}

TEST_F(VmControllerCopiesTest, AGuestStartsWithTheHostAndASuspendedOneSurvivesItsReboot) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  StopProgram(SIGTERM);
  SetBootId("00000000-0000-0000-0000-000000000001");
  StartProgram();
  const std::string id = Provision("guest");
  v1::UpdateVirtualMachineRequest request;
  request.mutable_virtual_machine()->set_name(VirtualMachineName(id));
  request.mutable_virtual_machine()->set_auto_start(true);
  request.mutable_update_mask()->add_paths("auto_start");
  grpc::ClientContext context;
  VirtualMachine vm;
  ASSERT_TRUE(vms_->UpdateVirtualMachine(&context, request, &vm).ok());
  const std::string suspended = ProvisionRunning("suspended");
  ASSERT_EQ(Do(suspended, &Stub::SuspendVirtualMachine), absl::OkStatus());
  const int tick = LastTick(suspended);
  EXPECT_EQ(Vm(id).state(), VirtualMachine::STATE_STOPPED) << "this boot was begun long ago";

  StopProgram(SIGKILL);
  SetBootId("00000000-0000-0000-0000-000000000002");
  StartProgram();

  EXPECT_TRUE(Soon([&] { return Vm(id).state() == VirtualMachine::STATE_RUNNING; }));
  ASSERT_EQ(Do(suspended, &Stub::ResumeVirtualMachine), absl::OkStatus());
  EXPECT_TRUE(Soon([&] { return LastTick(suspended) > tick; }));
  EXPECT_LE(LastTick(suspended), tick + 30) << "it did not go on where it stopped";
  ASSERT_EQ(Force(suspended), absl::OkStatus());
  ASSERT_EQ(Force(id), absl::OkStatus());
}

// The disk that saved states go to is small.
class FullDiskTest : public VmControllerCopiesTest {
 protected:
  void TearDown() override {
    StopProgram(SIGKILL);
    umount2(SaveDirectory().c_str(), MNT_DETACH);
    VmControllerCopiesTest::TearDown();
  }
  std::string ExtraConfiguration() override { return "storage_reserve_mib: 1\n"; }
  std::string SaveDirectory() { return directory_ + "/state/libvirt/lib/qemu/save"; }
};

TEST_F(FullDiskTest, ASuspendThatFillsTheDiskLeavesTheGuestRunning) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const std::string id = ProvisionRunning("guest");
  ASSERT_EQ(mount("tmpfs", SaveDirectory().c_str(), "tmpfs", 0, "size=120m,mode=0755"), 0);
  // There was room when it was looked at; somebody else takes it while the state is written.
  std::thread filler([&] {
    const std::string saved = absl::StrCat(SaveDirectory(), "/virmo-", id, ".save");
    EXPECT_TRUE(Soon([&] { return std::filesystem::exists(saved); }));
    const int fd = open((SaveDirectory() + "/filler").c_str(), O_WRONLY | O_CREAT, 0600);
    for (int mib = 119; mib > 0; --mib) {
      if (posix_fallocate(fd, 0, int64_t{mib} << 20) == 0) break;
    }
    close(fd);
  });
  const absl::Status outcome = Do(id, &Stub::SuspendVirtualMachine);
  filler.join();
  EXPECT_FALSE(outcome.ok());
  EXPECT_EQ(Vm(id).state(), VirtualMachine::STATE_RUNNING) << outcome;
  const int tick = LastTick(id);
  EXPECT_TRUE(Soon([&] { return LastTick(id) > tick; })) << "it does not run on";

  // Too little room to begin with is told at once, with the figures.
  const absl::Status refused = Do(id, &Stub::SuspendVirtualMachine);
  EXPECT_EQ(ReasonOf(refused), v1::ErrorInfo::REASON_INSUFFICIENT_RESOURCES) << refused;
  std::filesystem::remove(SaveDirectory() + "/filler");
  EXPECT_EQ(Do(id, &Stub::SuspendVirtualMachine), absl::OkStatus());
}

#ifdef VIRMO_FAULT_POINTS

TEST_F(VmControllerCopiesTest, CopiesEndOnceWhereverTheControllerDies) {
  const std::string id = ProvisionRunning("guest");
  int copies = 0;
  for (const char* point : {"snapshot.take", "snapshot.take.done", "snapshot.end"}) {
    const std::string request_id = NewUuid(), name = absl::StrCat("s", ++copies);
    DieAt(point, [&] {
      v1::CreateSnapshotRequest request;
      request.set_parent(VirtualMachineName(id));
      request.set_snapshot_id(name);
      request.set_request_id(request_id);
      grpc::ClientContext context;
      Operation operation;
      snapshots_->CreateSnapshot(&context, request, &operation);
    });
    EXPECT_EQ(OutcomeOf(request_id), absl::OkStatus()) << point;
    EXPECT_EQ(Vm(id).snapshot_count(), copies) << point;
    const int tick = LastTick(id);
    EXPECT_TRUE(Soon([&] { return LastTick(id) > tick; })) << point;
    EXPECT_EQ(QemuCount(), 1) << point;
  }
  for (const char* point : {"clone.copy", "clone.copy.done", "clone.define.done"}) {
    const std::string request_id = NewUuid();
    DieAt(point, [&] {
      Send<v1::CloneVirtualMachineRequest>(id, &Stub::CloneVirtualMachine, request_id);
    });
    EXPECT_EQ(OutcomeOf(request_id), absl::OkStatus()) << point;
    EXPECT_EQ(Vm(id).state(), VirtualMachine::STATE_RUNNING) << point;
  }
  for (int i = 1; i <= copies; ++i) {
    EXPECT_EQ(DeleteSnapshot(id, absl::StrCat("s", i)), absl::OkStatus());
  }
  ASSERT_EQ(Force(id), absl::OkStatus());
  for (const char* point : {"clone.split.done", "clone.share.done"}) {
    v1::CloneVirtualMachineRequest request;
    request.set_name(VirtualMachineName(id));
    request.set_request_id(NewUuid());
    request.set_linked(true);
    DieAt(point, [&] {
      grpc::ClientContext context;
      Operation operation;
      vms_->CloneVirtualMachine(&context, request, &operation);
    });
    EXPECT_EQ(OutcomeOf(request.request_id()), absl::OkStatus()) << point;
  }
  EXPECT_EQ(Do(id, &Stub::StartVirtualMachine), absl::OkStatus());
  EXPECT_TRUE(Soon([&] { return absl::StrContains(ConsoleOf(id), "boot 2"); }));
  const std::string request_id = NewUuid();
  DieAt("delete.discard.done", [&] {
    v1::DeleteVirtualMachineRequest request;
    request.set_name(VirtualMachineName(id));
    request.set_request_id(request_id);
    request.set_force(true);
    grpc::ClientContext context;
    Operation operation;
    vms_->DeleteVirtualMachine(&context, request, &operation);
  });
  EXPECT_EQ(OutcomeOf(request_id), absl::OkStatus());
  EXPECT_EQ(QemuCount(), 0);
}

#endif  // VIRMO_FAULT_POINTS

}  // namespace
}  // namespace virmo::vm_controller
