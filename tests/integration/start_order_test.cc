// SPDX-License-Identifier: Apache-2.0
// Each process starts alone, in any order, with the others absent: it stays up, says what it
// misses, and becomes healthy by itself when the others appear.

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "services/runtime/channel.h"
#include "tests/support/stack.h"

namespace virmo {
namespace {

using testing_support::Await;
using testing_support::Stack;

const std::vector<std::string>& DeviceProcesses() {
  static const std::vector<std::string> processes = {Stack::kAlertEmitter, Stack::kPolicyEngine,
                                                     Stack::kVmController, Stack::kDmBridge};
  return processes;
}

Stack::Options TestDriver() {
  return {.hypervisor_uri = "test:///default", .extra_configuration = {}};
}

std::vector<std::string> DegradationsOf(Stack& stack, const std::string& process) {
  config::v1::Endpoint endpoint;
  endpoint.set_address(stack.SocketOf(process));
  const auto stub = v1::ProcessService::NewStub(MakeChannel(endpoint).value());
  v1::Process answer;
  EXPECT_TRUE(Await([&] {
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(2));
    return stub->GetProcess(&context, v1::GetProcessRequest(), &answer).ok();
  })) << process
      << " does not answer";
  return {answer.degradations().begin(), answer.degradations().end()};
}

TEST(StartOrderTest, WhoNeedsOthersStaysUpAloneAndSaysWhatItMisses) {
  for (const std::string& process :
       {std::string(Stack::kVmController), std::string(Stack::kDmBridge)}) {
    Stack stack(TestDriver());
    stack.Start(process);
    EXPECT_TRUE(Await([&] { return !DegradationsOf(stack, process).empty(); }))
        << process << " alone calls itself healthy";
    EXPECT_TRUE(stack.IsRunning(process));
  }
}

TEST(StartOrderTest, WhoNeedsNobodyIsHealthyAlone) {
  // policy-engine misses alert-emitter once it has something to tell.
  for (const std::string& process :
       {std::string(Stack::kAlertEmitter), std::string(Stack::kPolicyEngine)}) {
    Stack stack(TestDriver());
    stack.Start(process);
    stack.AwaitHealthy(process);
  }
}

TEST(StartOrderTest, EveryOrderEndsHealthy) {
  std::vector<std::string> order = DeviceProcesses();
  std::sort(order.begin(), order.end());
  do {
    Stack stack(TestDriver());
    stack.Start(Stack::kServer);
    stack.AwaitHealthy(Stack::kServer);
    stack.Enrol();
    for (const std::string& process : order) stack.Start(process);
    for (const std::string& process : order) stack.AwaitHealthy(process);
    if (testing::Test::HasFailure()) FAIL() << "in the order " << absl::StrJoin(order, ", ");
  } while (std::next_permutation(order.begin(), order.end()));
}

}  // namespace
}  // namespace virmo
