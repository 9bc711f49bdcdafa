// SPDX-License-Identifier: Apache-2.0
// The services over gRPC, with a scripted controller, and races between them.
#include "policy-engine/policy_service.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "policy-engine/policy_enforcement_service.h"
#include "policy-engine/policy_engine_fixture.h"
#include "services/runtime/channel.h"

namespace virmo::policy_engine {
namespace {

class PolicyServiceTest : public PolicyEngineFixture {
 protected:
  PolicyServiceTest() { Serve(); }
  ~PolicyServiceTest() override { EndServing(); }

  void Serve() {
    policy_service_ = std::make_unique<PolicyService>(*engine_);
    enforcement_service_ = std::make_unique<PolicyEnforcementService>(*engine_);
    grpc::ServerBuilder builder;
    builder.RegisterService(policy_service_.get());
    builder.RegisterService(enforcement_service_.get());
    server_ = builder.BuildAndStart();
    stub_ = v1::PolicyService::NewStub(server_->InProcessChannel({}));
    controller_ = v1::PolicyEnforcementService::NewStub(server_->InProcessChannel({}));
  }
  void EndServing() {
    engine_->store.Close();
    server_->Shutdown();
    server_.reset();
    policy_service_.reset();
    enforcement_service_.reset();
  }
  void Restart() {
    EndServing();
    Reopen();
    Serve();
  }

  // A stream of effective policies, read message by message.
  struct Stream {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::WatchEffectivePoliciesResponse>> reader;
    v1::WatchEffectivePoliciesResponse Next() {
      v1::WatchEffectivePoliciesResponse message;
      EXPECT_TRUE(reader->Read(&message));
      return message;
    }
    ~Stream() { context.TryCancel(); }
  };
  std::unique_ptr<Stream> Watch() {
    auto stream = std::make_unique<Stream>();
    SetDeadline(stream->context, absl::Seconds(20));
    stream->reader = controller_->WatchEffectivePolicies(&stream->context, {});
    return stream;
  }

  absl::Status CallAdmit(const std::string& id, const std::string& operation,
                         v1::AdmitResponse* ticket) {
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(20));
    v1::AdmitRequest request;
    request.set_virtual_machine(Name(id));
    request.set_operation(operation);
    request.set_kind(v1::OPERATION_KIND_START);
    return FromGrpc(controller_->Admit(&context, request, ticket));
  }
  absl::Status CallLock(const std::string& id) {
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(20));
    Operation operation;
    return FromGrpc(stub_->LockVirtualMachine(&context, LockRequest(id), &operation));
  }

  std::unique_ptr<PolicyService> policy_service_;
  std::unique_ptr<PolicyEnforcementService> enforcement_service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::PolicyService::Stub> stub_;
  std::unique_ptr<v1::PolicyEnforcementService::Stub> controller_;
};

TEST_F(PolicyServiceTest, StreamsEveryPolicyThenSynchronizedThenEachNewVersionOnce) {
  const std::string id = GivenVm();
  const auto stream = Watch();
  EXPECT_EQ(stream->Next().changed().virtual_machine(), Name(id));
  EXPECT_TRUE(stream->Next().synchronized());

  Lock(id);
  ReportApplied(id, 2);  // Its own report is nothing new to the controller.
  Unlock(id);
  ASSERT_TRUE(Send({}, false, {id}).ok());

  const auto locked = stream->Next();
  EXPECT_EQ(locked.changed().version(), 2);
  EXPECT_TRUE(locked.changed().lock().locked());
  EXPECT_EQ(stream->Next().changed().version(), 3);
  EXPECT_EQ(stream->Next().removed(), Name(id));
}

TEST_F(PolicyServiceTest, StreamsStatusWithWhatWasApplied) {
  const std::string id = GivenVm();
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(20));
  const auto reader = stub_->WatchPolicyStatus(&context, {});
  v1::WatchPolicyStatusResponse message;
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_EQ(message.changed().policy().virtual_machine(), Name(id));
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_TRUE(message.synchronized());

  Lock(id);
  ReportApplied(id, 2);

  ASSERT_TRUE(reader->Read(&message));
  EXPECT_EQ(message.changed().applied_version(), 0);
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_EQ(message.changed().applied_version(), 2);
  EXPECT_EQ(message.changed().applied_items_size(), 2);
  context.TryCancel();
}

TEST_F(PolicyServiceTest, EndsALockAcrossARestartInTheMiddle) {
  const std::string id = GivenRunningVm();
  const Operation lock = Lock(id);
  Restart();

  const auto stream = Watch();
  const v1::EffectivePolicy policy = stream->Next().changed();
  EXPECT_TRUE(policy.lock().locked());
  grpc::ClientContext context;
  v1::ReportAppliedRequest request;
  request.set_virtual_machine(policy.virtual_machine());
  request.set_policy_version(policy.version());
  v1::AppliedItem& item = *request.add_items();
  item.set_item("lock.console");
  item.set_outcome(v1::AppliedItem::OUTCOME_APPLIED);
  v1::ReportAppliedResponse response;
  ASSERT_TRUE(controller_->ReportApplied(&context, request, &response).ok());

  EXPECT_EQ(response.newest_version(), 2);
  EXPECT_TRUE(Get(lock).has_response());
  EXPECT_EQ(emitter_.WaitFor(1).size(), 1U);
}

TEST_F(PolicyServiceTest, ListsPoliciesInPagesAndGetsOne) {
  for (int i = 0; i < 5; ++i) GivenVm();
  v1::ListPoliciesRequest request;
  request.set_page_size(2);
  std::vector<std::string> names;
  do {
    grpc::ClientContext context;
    v1::ListPoliciesResponse response;
    ASSERT_TRUE(stub_->ListPolicies(&context, request, &response).ok());
    for (const auto& status : response.policies()) {
      names.push_back(status.policy().virtual_machine());
    }
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(names.size(), 5U);
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));

  grpc::ClientContext context;
  v1::GetPolicyRequest get;
  get.set_virtual_machine(Name(NewUuid()));
  v1::PolicyStatus status;
  EXPECT_EQ(ReasonOf(FromGrpc(stub_->GetPolicy(&context, get, &status))),
            v1::ErrorInfo::REASON_VM_NOT_FOUND);
}

// A controller starts the virtual machine again and again while an admin locks it. Whatever the
// order: once Lock has returned, no admission succeeds, and one that was given before it names an
// older version, by which the controller knows that it was overtaken.
TEST_F(PolicyServiceTest, WinsEveryRaceOfLockWithStart) {
  for (int round = 0; round < 30; ++round) {
    const std::string id = GivenVm(16);
    std::atomic<bool> locked = false;
    std::vector<std::thread> starters;
    for (int i = 0; i < 2; ++i) {
      starters.emplace_back([&] {
        for (int attempt = 0; attempt < 100; ++attempt) {
          const bool locked_before = locked;
          v1::AdmitResponse ticket;
          const absl::Status status = CallAdmit(id, NewOperation(), &ticket);
          if (status.ok()) {
            EXPECT_FALSE(locked_before);
            EXPECT_EQ(ticket.policy_version(), 1);
            EXPECT_FALSE(ticket.policy().lock().locked());
          } else {
            EXPECT_EQ(ReasonOf(status), v1::ErrorInfo::REASON_VM_LOCKED) << status;
            return;
          }
        }
      });
    }
    const absl::Status status = CallLock(id);
    locked = true;
    for (std::thread& starter : starters) starter.join();
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(Policy(id).policy().version(), 2);
    ASSERT_TRUE(Send({}, false, {id}).ok());
  }
}

TEST_F(PolicyServiceTest, ReservesNoMoreThanThereIsWhenManyStartAtOnce) {
  std::vector<std::string> ids;
  for (int i = 0; i < 8; ++i) ids.push_back(GivenVm(1024));
  std::atomic<int> admitted = 0;
  std::vector<std::thread> starters;
  for (const std::string& id : ids) {
    starters.emplace_back([&, id] {
      v1::AdmitResponse ticket;
      if (CallAdmit(id, NewOperation(), &ticket).ok()) ++admitted;
    });
  }
  for (std::thread& starter : starters) starter.join();

  EXPECT_EQ(admitted, 4);
  EXPECT_EQ(ReservedMemory(), 4096);
}

}  // namespace
}  // namespace virmo::policy_engine
