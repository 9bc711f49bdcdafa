// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "policy-engine/fake_alert_emitter.h"
#include "policy-engine/policy_engine.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/uuid.h"

namespace virmo::policy_engine {

using google::longrunning::Operation;
using Outcome = v1::AppliedItem;
using Vm = v1::VirtualMachine;

// A policy-engine without its services, over a database of its own, and the words of a controller
// that reports to it. The pools have 4096 MiB and 400 hundredths of a CPU.
class PolicyEngineFixture : public testing::Test {
 protected:
  PolicyEngineFixture() : folder_(std::filesystem::path(testing::TempDir()) / NewUuid()) {
    config_ = PolicyEngine::DefaultConfig();
    config_.set_host_reserve_memory_mib(1024);
    config_.set_state_directory(folder_.string());
    Open();
    ReportFull({});
  }
  ~PolicyEngineFixture() override {
    Close();
    std::filesystem::remove_all(folder_);
  }

  std::string Path() const { return (folder_ / "policy.db").string(); }

  void Open() {
    auto database = Database::Open(Path(), PolicyEngine::Schemas());
    ASSERT_TRUE(database.ok()) << database.status();
    database_ = *std::move(database);
    outbox_ = std::make_unique<Outbox>(*database_, "policy-engine", emitter_.Channel(),
                                       [](bool, const std::string&) {});
    engine_ = std::make_unique<PolicyEngine>(
        *database_, *outbox_, config_, [this] { return absl::Now() + ahead_; },
        [](const absl::Status&) {}, unlocking_options_);
    outbox_->Start();
  }
  void Close() {
    engine_.reset();
    outbox_.reset();
    database_.reset();
  }
  // As a restart of the process.
  void Reopen() {
    Close();
    Open();
  }

  static std::string Name(const std::string& id) { return "virtualMachines/" + id; }
  static std::string NewOperation() { return "operations/" + NewUuid(); }

  static v1::Allocation Memory(int64_t mib, int64_t reservation = 0) {
    v1::Allocation allocation;
    allocation.set_kind(v1::RESOURCE_KIND_MEMORY);
    allocation.set_virtual_quantity(mib);
    allocation.set_reservation(reservation);
    return allocation;
  }
  static v1::Allocation Processor(int64_t count, int64_t reservation = 0) {
    v1::Allocation allocation;
    allocation.set_kind(v1::RESOURCE_KIND_PROCESSOR);
    allocation.set_virtual_quantity(count);
    allocation.set_reservation(reservation);
    return allocation;
  }

  absl::StatusOr<v1::AdmitResponse> Admit(const std::string& id, v1::OperationKind kind,
                                          const std::string& operation,
                                          const std::vector<v1::Allocation>& allocations = {},
                                          const std::string& source = "") {
    v1::AdmitRequest request;
    request.set_virtual_machine(Name(id));
    request.set_operation(operation);
    request.set_kind(kind);
    *request.mutable_allocations() = {allocations.begin(), allocations.end()};
    if (!source.empty()) request.set_source(Name(source));
    return engine_->admission.Admit(request);
  }
  absl::Status Start(const std::string& id, const std::string& operation = NewOperation()) {
    return Admit(id, v1::OPERATION_KIND_START, operation).status();
  }

  // Everything that is in the state folder's files, each with its name.
  std::vector<std::pair<std::string, std::string>> FilesOfState() const {
    std::vector<std::pair<std::string, std::string>> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_)) {
      if (!entry.is_regular_file()) continue;
      auto content = ReadFile(entry.path().string());
      EXPECT_TRUE(content.ok()) << content.status();
      files.emplace_back(entry.path().filename().string(), content.value_or(""));
    }
    return files;
  }
  // The files of the state folder that contain `octets`.
  std::vector<std::string> FilesWith(const std::string& octets) const {
    std::vector<std::string> names;
    for (const auto& [name, content] : FilesOfState()) {
      if (content.find(octets) != std::string::npos) names.push_back(name);
    }
    return names;
  }

  // A virtual machine that was provisioned and is stopped.
  std::string GivenVm(int64_t memory_mib = 1024, int64_t processor_reservation = 0) {
    const std::string id = NewUuid();
    const auto ticket = Admit(id, v1::OPERATION_KIND_PROVISION, NewOperation(),
                              {Memory(memory_mib), Processor(2, processor_reservation)});
    EXPECT_TRUE(ticket.ok()) << ticket.status();
    Report(id, Vm::STATE_STOPPED);
    return id;
  }
  // One that runs.
  std::string GivenRunningVm(int64_t memory_mib = 1024, int64_t processor_reservation = 0) {
    const std::string id = GivenVm(memory_mib, processor_reservation);
    const absl::Status admitted = Start(id);
    EXPECT_TRUE(admitted.ok()) << admitted;
    Report(id, Vm::STATE_RUNNING, memory_mib);
    return id;
  }

  v1::InventoryItem Item(const std::string& id, Vm::State state, int64_t memory_mib = 0,
                         int64_t version = -1) {
    v1::InventoryItem item;
    item.set_virtual_machine(Name(id));
    item.set_state(state);
    if (version < 0) {
      const auto record = engine_->store.Find(id);
      version = record.ok() && *record ? (*record)->status.policy().version() : 0;
    }
    item.set_policy_version(version);
    if (memory_mib > 0) {
      v1::AppliedAllocation& applied = *item.add_applied();
      applied.set_kind(v1::RESOURCE_KIND_MEMORY);
      applied.set_actual_quantity(memory_mib);
    }
    return item;
  }
  absl::StatusOr<bool> Send(const std::vector<v1::InventoryItem>& items, bool full,
                            const std::vector<std::string>& removed = {}) {
    v1::ReportInventoryRequest request;
    request.set_sequence(++sequence_);
    request.set_controller_instance(instance_);
    request.set_full(full);
    *request.mutable_items() = {items.begin(), items.end()};
    for (const std::string& id : removed) request.add_removed(Name(id));
    if (full) {
      request.mutable_host()->set_memory_total_mib(host_memory_mib_);
      request.mutable_host()->set_processor_total(400);
      request.mutable_host()->set_management_vm(management_vm_);
    }
    return engine_->inventory.Report(request);
  }
  void Report(const std::string& id, Vm::State state, int64_t memory_mib = 0,
              const std::string& operation = "") {
    v1::InventoryItem item = Item(id, state, memory_mib);
    item.set_current_operation(operation);
    const auto wanted = Send({item}, false);
    ASSERT_TRUE(wanted.ok()) << wanted.status();
    ASSERT_FALSE(*wanted);
  }
  void ReportFull(const std::vector<v1::InventoryItem>& items) {
    const auto wanted = Send(items, true);
    ASSERT_TRUE(wanted.ok()) << wanted.status();
    ASSERT_FALSE(*wanted);
  }

  v1::PolicyStatus Policy(const std::string& id) {
    auto record = engine_->store.Load(id);
    EXPECT_TRUE(record.ok()) << record.status();
    return record.ok() ? record->status : v1::PolicyStatus();
  }
  bool Exists(const std::string& id) { return engine_->store.Find(id)->has_value(); }
  v1::ResourcePool Pool(v1::ResourceKind kind) {
    const auto pools = engine_->pools.List();
    EXPECT_TRUE(pools.ok()) << pools.status();
    for (const v1::ResourcePool& pool : *pools) {
      if (pool.kind() == kind) return pool;
    }
    return {};
  }
  int64_t ReservedMemory() { return Pool(v1::RESOURCE_KIND_MEMORY).reserved(); }

  // Reports `outcome` for the lock's console and network.
  int64_t ReportApplied(const std::string& id, int64_t version,
                        Outcome::Outcome outcome = Outcome::OUTCOME_APPLIED) {
    v1::ReportAppliedRequest request;
    request.set_virtual_machine(Name(id));
    request.set_policy_version(version);
    v1::AppliedItem& console = *request.add_items();
    console.set_item("lock.console");
    console.set_outcome(v1::AppliedItem::OUTCOME_APPLIED);
    v1::AppliedItem& network = *request.add_items();
    network.set_item("lock.network");
    network.set_outcome(outcome);
    network.set_detail("link of tap0");
    const auto newest = engine_->enforcement.Report(request);
    EXPECT_TRUE(newest.ok()) << newest.status();
    return newest.value_or(0);
  }
  void ReportNewestApplied(const std::string& id) {
    ReportApplied(id, Policy(id).policy().version());
  }

  static v1::LockVirtualMachineRequest LockRequest(const std::string& id) {
    v1::LockVirtualMachineRequest request;
    request.set_virtual_machine(Name(id));
    request.set_request_id(NewUuid());
    request.mutable_initiator()->set_server_id("enterprise");
    request.mutable_initiator()->set_correlator("c1");
    return request;
  }
  Operation Lock(const std::string& id) {
    auto operation = engine_->locking.Lock(LockRequest(id));
    EXPECT_TRUE(operation.ok()) << operation.status();
    return operation.value_or(Operation());
  }
  Operation Unlock(const std::string& id) {
    v1::UnlockVirtualMachineRequest request;
    request.set_virtual_machine(Name(id));
    request.set_request_id(NewUuid());
    auto operation = engine_->locking.Unlock(request);
    EXPECT_TRUE(operation.ok()) << operation.status();
    return operation.value_or(Operation());
  }
  Operation Get(const Operation& operation) {
    auto now =
        engine_->journal.GetOperation(operation.name().substr(std::string("operations/").size()));
    EXPECT_TRUE(now.ok()) << now.status();
    return now.value_or(Operation());
  }
  static v1::ErrorInfo::Reason ReasonOfEnd(const Operation& operation) {
    return ReasonOf(FromRpc(operation.error()));
  }
  static v1::OperationMetadata MetadataOf(const Operation& operation) {
    v1::OperationMetadata metadata;
    EXPECT_TRUE(operation.metadata().UnpackTo(&metadata));
    return metadata;
  }

  const std::filesystem::path folder_;
  config::v1::PolicyEngineConfig config_;
  absl::Duration ahead_;  // Of the engine's clock.
  int64_t host_memory_mib_ = 4096 + 1024;
  std::string management_vm_;
  // Cheap to check.
  UserUnlocking::Options unlocking_options_ = {.memory = 64 * 1024};
  std::string instance_ = NewUuid();
  int64_t sequence_ = 0;
  FakeAlertEmitter emitter_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Outbox> outbox_;
  std::unique_ptr<PolicyEngine> engine_;
};

}  // namespace virmo::policy_engine
