// SPDX-License-Identifier: Apache-2.0
// What any Hypervisor promises, on the fake and on libvirt's test driver.
#include <memory>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "services/runtime/error.h"
#include "services/runtime/uuid.h"
#include "vm-controller/fake_hypervisor.h"
#include "vm-controller/libvirt/libvirt_hypervisor.h"

namespace virmo::vm_controller {
namespace {

class Silent : public HypervisorObserver {
 public:
  void OnDomainChanged(const std::string&) override {}
  void OnReachable(bool, const std::string&) override {}
};

// libvirt wants one event loop a process.
EventLoop& Loop() {
  static EventLoop* loop = new EventLoop();
  return *loop;
}

class HypervisorContractTest : public testing::TestWithParam<std::string> {
 protected:
  HypervisorContractTest() {
    if (GetParam() == "Fake") {
      hypervisor_ = std::make_unique<FakeHypervisor>();
      return;
    }
    Loop();
    LibvirtHypervisor::Options options;
    options.uri = "test:///default";
    hypervisor_ = std::make_unique<LibvirtHypervisor>(options, silent_);
    for (int i = 0; i < 500 && !hypervisor_->List().ok(); ++i) {
      absl::SleepFor(absl::Milliseconds(10));
    }
  }

  void SetUp() override {
    spec_.id = NewUuid();
    spec_.title = "work <&> \"play\"";
    spec_.memory_mib = 128;
    spec_.cpu_count = 2;
    spec_.disk_path = "/nowhere/" + spec_.id;
    spec_.image_digest = "sha256:00";
    spec_.console_socket = "/nowhere/console";
    spec_.interfaces = {{"52:54:00:00:00:01", "user", "virtio", true}};
    ASSERT_TRUE(hypervisor_->Define(spec_).ok()) << hypervisor_->Define(spec_);
  }

  void TearDown() override {
    (void)hypervisor_->Destroy(spec_.id);  // Some tests removed it.
    EXPECT_TRUE(hypervisor_->Undefine(spec_.id).ok());
  }

  DomainState State() {
    const absl::StatusOr<Domain> domain = hypervisor_->Get(spec_.id);
    EXPECT_TRUE(domain.ok()) << domain.status();
    return domain.ok() ? domain->state : DomainState::kCrashed;
  }

  Silent silent_;
  std::unique_ptr<Hypervisor> hypervisor_;
  DomainSpec spec_;
};

TEST_P(HypervisorContractTest, WhatIsDefinedIsListedAsOursWithItsSpec) {
  const absl::StatusOr<Domain> domain = hypervisor_->Get(spec_.id);
  ASSERT_TRUE(domain.ok()) << domain.status();
  EXPECT_TRUE(domain->ours);
  EXPECT_EQ(domain->state, DomainState::kOff);
  EXPECT_EQ(domain->spec.title, spec_.title);
  EXPECT_EQ(domain->spec.memory_mib, 128);
  EXPECT_EQ(domain->spec.cpu_count, 2);
  EXPECT_EQ(domain->spec.disk_path, spec_.disk_path);
  EXPECT_EQ(domain->spec.image_digest, "sha256:00");
  bool listed = false;
  const absl::StatusOr<std::vector<Domain>> all = hypervisor_->List();
  ASSERT_TRUE(all.ok());
  for (const Domain& one : *all) listed |= one.spec.id == spec_.id;
  EXPECT_TRUE(listed);
}

TEST_P(HypervisorContractTest, AStartStandsStillUntilItIsLetRun) {
  ASSERT_TRUE(hypervisor_->StartPaused(spec_.id, StartFrom::kBoot).ok());
  EXPECT_EQ(State(), DomainState::kPaused);
  ASSERT_TRUE(hypervisor_->Run(spec_.id).ok());
  EXPECT_EQ(State(), DomainState::kRunning);
  ASSERT_TRUE(hypervisor_->Pause(spec_.id).ok());
  EXPECT_EQ(State(), DomainState::kPaused);
}

TEST_P(HypervisorContractTest, EverythingMayBeRepeated) {
  const std::string& id = spec_.id;
  EXPECT_TRUE(hypervisor_->Define(spec_).ok());
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(hypervisor_->StartPaused(id, StartFrom::kBoot).ok());
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(hypervisor_->Run(id).ok());
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(hypervisor_->Pause(id).ok());
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(hypervisor_->Save(id).ok());
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(hypervisor_->StartPaused(id, StartFrom::kSavedState).ok());
  }
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(hypervisor_->Destroy(id).ok());
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(hypervisor_->Undefine(id).ok());
}

TEST_P(HypervisorContractTest, ASavedStateIsUsedUpByResumingAndDroppedByBootingAndDestroying) {
  const std::string& id = spec_.id;
  ASSERT_TRUE(hypervisor_->StartPaused(id, StartFrom::kBoot).ok());
  ASSERT_TRUE(hypervisor_->Save(id).ok());
  EXPECT_EQ(State(), DomainState::kSaved);
  ASSERT_TRUE(hypervisor_->StartPaused(id, StartFrom::kSavedState).ok());
  ASSERT_TRUE(hypervisor_->Destroy(id).ok());
  EXPECT_EQ(State(), DomainState::kOff);
  EXPECT_FALSE(hypervisor_->StartPaused(id, StartFrom::kSavedState).ok());

  ASSERT_TRUE(hypervisor_->StartPaused(id, StartFrom::kBoot).ok());
  ASSERT_TRUE(hypervisor_->Save(id).ok());
  ASSERT_TRUE(hypervisor_->Destroy(id).ok());
  EXPECT_EQ(State(), DomainState::kOff);
}

TEST_P(HypervisorContractTest, AnUnknownDomainIsNotFoundAndNeedsNoRemoval) {
  const std::string unknown = NewUuid();
  EXPECT_EQ(ReasonOf(hypervisor_->Get(unknown).status()), v1::ErrorInfo::REASON_VM_NOT_FOUND);
  EXPECT_EQ(ReasonOf(hypervisor_->Run(unknown)), v1::ErrorInfo::REASON_VM_NOT_FOUND);
  EXPECT_TRUE(hypervisor_->Undefine(unknown).ok());
}

TEST_P(HypervisorContractTest, TheHostIsDescribed) {
  const absl::StatusOr<v1::Host> host = hypervisor_->GetHost();
  ASSERT_TRUE(host.ok()) << host.status();
  EXPECT_GT(host->memory_total_mib(), 0);
  EXPECT_GT(host->processor_total(), 0);
  EXPECT_EQ(host->accelerator(), "test");
}

INSTANTIATE_TEST_SUITE_P(All, HypervisorContractTest, testing::Values("Fake", "LibvirtTest"),
                         [](const auto& given) { return given.param; });

}  // namespace
}  // namespace virmo::vm_controller
