// SPDX-License-Identifier: Apache-2.0
// Snapshots, clones that share their disk's past, and what starts with the host.
#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "vm-controller/controller_fixture.h"
#include "vm-controller/snapshot_store.h"
#include "vm-controller/wipe_file.h"

namespace virmo::vm_controller {
namespace {

using v1::ErrorInfo;
using v1::VirtualMachine;

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

class CopiesTest : public ControllerFixture {
 protected:
  void SetUp() override { Launch(); }

  absl::StatusOr<Operation> TakeSnapshot(const std::string& id, const std::string& name) {
    v1::CreateSnapshotRequest request;
    request.set_parent(VirtualMachineName(id));
    request.set_snapshot_id(name);
    request.set_request_id(NewUuid());
    return controller_->requests().CreateSnapshot(request);
  }
  absl::StatusOr<Operation> Revert(const std::string& id, const std::string& name) {
    v1::RevertToSnapshotRequest request;
    request.set_name(SnapshotName(id, name));
    request.set_request_id(NewUuid());
    return controller_->requests().RevertToSnapshot(request);
  }
  absl::StatusOr<Operation> DeleteSnapshot(const std::string& id, const std::string& name) {
    v1::DeleteSnapshotRequest request;
    request.set_name(SnapshotName(id, name));
    request.set_request_id(NewUuid());
    return controller_->requests().DeleteSnapshot(request);
  }
  std::vector<std::string> Snapshots(const std::string& id) {
    std::vector<std::string> names;
    const auto all = controller_->requests().ListSnapshots(VirtualMachineName(id));
    EXPECT_TRUE(all.ok()) << all.status();
    for (const v1::Snapshot& one : all.value_or(std::vector<v1::Snapshot>())) {
      names.push_back(ParseSnapshotName(one.name()).value().snapshot_id);
    }
    return names;
  }
  absl::StatusOr<Operation> CloneLinked(const std::string& id, const std::string& clone_id) {
    v1::CloneVirtualMachineRequest request;
    request.set_name(VirtualMachineName(id));
    request.set_request_id(NewUuid());
    request.set_virtual_machine_id(clone_id);
    request.set_linked(true);
    return controller_->requests().Clone(request);
  }
  void SetAutoStart(const std::string& id) {
    v1::UpdateVirtualMachineRequest request;
    request.mutable_virtual_machine()->set_name(VirtualMachineName(id));
    request.mutable_virtual_machine()->set_auto_start(true);
    request.mutable_update_mask()->add_paths("auto_start");
    ASSERT_TRUE(controller_->requests().Update(request).ok());
  }
  // As after a boot of the host: nothing runs.
  void Reboot(const std::string& boot_id, const std::vector<std::string>& running) {
    End();
    for (const std::string& id : running) ASSERT_TRUE(hypervisor_.Destroy(id).ok());
    boot_id_ = boot_id;
    Launch();
  }
};

TEST_F(CopiesTest, SnapshotsAreTakenListedRevertedToAndDeleted) {
  const std::string id = Provision("work", /*start=*/true);
  ASSERT_TRUE(Outcome(TakeSnapshot(id, "running")).ok());
  ASSERT_TRUE(Outcome(Do(v1::OPERATION_KIND_STOP, id)).ok());
  ASSERT_TRUE(Outcome(TakeSnapshot(id, "stopped")).ok());
  EXPECT_THAT(Snapshots(id), testing::ElementsAre("running", "stopped"));
  EXPECT_EQ(Vm(id).snapshot_count(), 2);

  ASSERT_TRUE(Outcome(Revert(id, "running")).ok());
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_RUNNING);
  EXPECT_EQ(DomainStateOf(id), DomainState::kRunning);
  ASSERT_TRUE(Outcome(Revert(id, "stopped")).ok());
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_STOPPED);

  ASSERT_TRUE(Outcome(DeleteSnapshot(id, "running")).ok());
  EXPECT_THAT(Snapshots(id), testing::ElementsAre("stopped"));
  EXPECT_EQ(ReasonOf(Revert(id, "running").status()), ErrorInfo::REASON_NOT_FOUND);
  EXPECT_EQ(ReasonOf(TakeSnapshot(id, "stopped").status()), ErrorInfo::REASON_ALREADY_EXISTS);
  EXPECT_EQ(ReasonOf(TakeSnapshot(id, "No/Good").status()), ErrorInfo::REASON_INVALID_ARGUMENT);
}

TEST_F(CopiesTest, ALockForbidsSnapshotsAndRevertsButNotTheirRemoval) {
  const std::string id = Provision("work");
  ASSERT_TRUE(Outcome(TakeSnapshot(id, "one")).ok());
  Lock(id);
  EXPECT_EQ(ReasonOf(TakeSnapshot(id, "two").status()), ErrorInfo::REASON_VM_LOCKED);
  EXPECT_EQ(ReasonOf(Revert(id, "one").status()), ErrorInfo::REASON_VM_LOCKED);
  EXPECT_TRUE(Outcome(DeleteSnapshot(id, "one")).ok());
}

TEST_F(CopiesTest, ALinkedCloneKeepsTheSharedPastUntilItsLastUserGoes) {
  const std::string id = Provision("work"), first = NewUuid(), second = NewUuid();
  ASSERT_TRUE(Outcome(CloneLinked(id, first)).ok());
  EXPECT_EQ(FilesIn("layers"), 1);
  ASSERT_TRUE(Outcome(CloneLinked(first, second)).ok());
  EXPECT_EQ(FilesIn("layers"), 2);
  EXPECT_EQ(Vm(second).disks(0).image_digest(), Vm(id).disks(0).image_digest());

  ASSERT_TRUE(Outcome(Do(v1::OPERATION_KIND_DELETE, id)).ok());
  EXPECT_EQ(FilesIn("layers"), 2);
  EXPECT_TRUE(Outcome(Do(v1::OPERATION_KIND_START, second)).ok());
  ASSERT_TRUE(Outcome(Do(v1::OPERATION_KIND_DELETE, first)).ok());
  EXPECT_EQ(FilesIn("layers"), 2);
  ASSERT_TRUE(Outcome(Do(v1::OPERATION_KIND_STOP, second)).ok());
  ASSERT_TRUE(Outcome(Do(v1::OPERATION_KIND_DELETE, second)).ok());
  EXPECT_EQ(FilesIn("layers"), 0);
  EXPECT_TRUE(Soon([&] { return FilesIn("images") == 0; }));
}

TEST_F(CopiesTest, AFailedLinkedCloneGivesTheSourceItsDiskBack) {
  const std::string id = Provision("work");
  const std::string disk = config_.state_directory() + "/vms/" + id + "/vda.qcow2";
  const std::string before = Read(disk);
  hypervisor_.FailNext("Define", Error(ErrorInfo::REASON_HYPERVISOR_FAILED, "no"));

  EXPECT_FALSE(Outcome(CloneLinked(id, NewUuid())).ok());

  EXPECT_EQ(Read(disk), before);
  EXPECT_EQ(FilesIn("layers"), 0);
  EXPECT_EQ(FilesIn("vms"), 1);
}

TEST_F(CopiesTest, ALinkedCloneOfARunningMachineOrOneWithSnapshotsIsRefused) {
  const std::string id = Provision("work", /*start=*/true);
  EXPECT_EQ(ReasonOf(CloneLinked(id, NewUuid()).status()), ErrorInfo::REASON_WRONG_STATE);
  ASSERT_TRUE(Outcome(Do(v1::OPERATION_KIND_STOP, id)).ok());
  ASSERT_TRUE(Outcome(TakeSnapshot(id, "one")).ok());
  EXPECT_EQ(ReasonOf(CloneLinked(id, NewUuid()).status()), ErrorInfo::REASON_WRONG_STATE);
}

TEST_F(CopiesTest, ARunningMachineIsClonedWhileItRuns) {
  const std::string id = Provision("work", /*start=*/true);
  ASSERT_TRUE(Outcome(Clone(id, "copy")).ok());
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_RUNNING);
  EXPECT_EQ(DomainStateOf(id), DomainState::kRunning);
  EXPECT_EQ(FilesIn("vms"), 2);
}

TEST_F(CopiesTest, WhatIsDeletedIsOverwrittenFirst) {
  const std::string id = Provision("work");
  const std::string folder = config_.state_directory() + "/vms/" + id;
  std::ofstream(folder + "/left-over") << "the secret marker";
  // A second name shows what becomes of the contents.
  std::filesystem::create_hard_link(folder + "/left-over", directory_ + "/second-name");
  ASSERT_TRUE(Outcome(Do(v1::OPERATION_KIND_DELETE, id)).ok());
  EXPECT_FALSE(std::filesystem::exists(folder));
  EXPECT_THAT(Read(directory_ + "/second-name"), testing::Not(testing::HasSubstr("marker")));
}

TEST_F(CopiesTest, MachinesStartWithTheHostOnceABootAndNotWithTheController) {
  const std::string id = Provision("work"), other = Provision("other"), locked = Provision("held");
  SetAutoStart(id);
  SetAutoStart(locked);
  Lock(locked);
  Reboot("boot 2", {id});
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_STOPPED) << "before policies are known";

  controller_->OnPoliciesSynchronized();
  EXPECT_TRUE(Soon([&] { return StateOf(id) == VirtualMachine::STATE_RUNNING; }));
  ASSERT_TRUE(Soon([&] { return Alerts("Start").size() == 1u; }));
  EXPECT_EQ(StateOf(other), VirtualMachine::STATE_STOPPED);
  EXPECT_EQ(StateOf(locked), VirtualMachine::STATE_STOPPED);

  ASSERT_TRUE(Outcome(Do(v1::OPERATION_KIND_STOP, id)).ok());
  Reboot("boot 2", {});  // The controller alone.
  controller_->OnPoliciesSynchronized();
  ASSERT_TRUE(Outcome(Do(v1::OPERATION_KIND_START, other)).ok());
  EXPECT_EQ(StateOf(id), VirtualMachine::STATE_STOPPED);
}

TEST_F(CopiesTest, NoMoreMachinesAreMadeThanAreAllowed) {
  config_.set_max_virtual_machines(2);
  const std::string id = Provision("one");
  Provision("two");
  EXPECT_EQ(ReasonOf(Clone(id).status()), ErrorInfo::REASON_INSUFFICIENT_RESOURCES);
  EXPECT_EQ(controller_->DescribeHost().max_virtual_machines(), 2);
}

}  // namespace
}  // namespace virmo::vm_controller
