// SPDX-License-Identifier: Apache-2.0
// What VirMO adds to the hypervisor's own calls, on a real guest, and what its processes weigh.
// Each figure stands beside the direct libvirt call measured in the same run, alternating with it.

#include <libvirt/libvirt.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "services/runtime/channel.h"
#include "services/runtime/uuid.h"
#include "tests/support/private_libvirtd.h"
#include "tests/support/stack.h"

namespace virmo {
namespace {

using testing_support::PrivateLibvirtd;
using testing_support::Stack;

constexpr const char* kDeviceProcesses[] = {Stack::kAlertEmitter, Stack::kPolicyEngine,
                                            Stack::kVmController, Stack::kDmBridge};

// Durations of one thing, in microseconds.
class Sample {
 public:
  void Time(const std::function<void()>& act) {
    const absl::Time start = absl::Now();
    act();
    microseconds_.push_back(absl::ToDoubleMicroseconds(absl::Now() - start));
  }

  double Percentile(double share) const {
    std::vector<double> sorted = microseconds_;
    std::sort(sorted.begin(), sorted.end());
    return sorted[std::min(sorted.size() - 1, static_cast<size_t>(share * sorted.size()))];
  }

 private:
  std::vector<double> microseconds_;
};

void PrintHeader() {
  std::printf("%-34s %12s %12s %12s %12s %7s  %s\n", "what", "raw p50", "ours p50", "added p50",
              "added p99", "ratio", "budget (added)");
}

void PrintRow(const std::string& what, const Sample& raw, const Sample& ours,
              const std::string& budget) {
  std::printf("%-34s %9.0f us %9.0f us %9.0f us %9.0f us %6.1fx  %s\n", what.c_str(),
              raw.Percentile(0.5), ours.Percentile(0.5), ours.Percentile(0.5) - raw.Percentile(0.5),
              ours.Percentile(0.99) - raw.Percentile(0.99),
              ours.Percentile(0.5) / raw.Percentile(0.5), budget.c_str());
}

// Calls a method that returns an operation, and waits for its end.
template <typename Request, typename Method>
void Change(Stack& stack, const std::string& name, Method method) {
  Request request;
  request.set_name(name);
  request.set_request_id(NewUuid());
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(10));
  google::longrunning::Operation operation;
  const grpc::Status status = (stack.vms().*method)(&context, request, &operation);
  if (!status.ok()) ADD_FAILURE() << status.error_message();
  if (operation.done()) return;
  grpc::ClientContext wait_context;
  SetDeadline(wait_context, absl::Seconds(10));
  google::longrunning::WaitOperationRequest wait;
  wait.set_name(operation.name());
  wait.mutable_timeout()->set_seconds(10);
  stack.operations().WaitOperation(&wait_context, wait, &operation);
  if (!operation.done()) ADD_FAILURE() << operation.name() << " did not end";
}

void MeasureReads(Stack& stack, virDomainPtr domain, const std::string& name, int rounds) {
  Sample raw;
  Sample ours;
  for (int i = 0; i < rounds; ++i) {
    raw.Time([&] {
      virDomainInfo info;
      virDomainGetInfo(domain, &info);
    });
    ours.Time([&] {
      grpc::ClientContext context;
      SetDeadline(context, absl::Seconds(5));
      v1::GetVirtualMachineRequest request;
      request.set_name(name);
      v1::VirtualMachine vm;
      if (!stack.vms().GetVirtualMachine(&context, request, &vm).ok()) ADD_FAILURE();
    });
  }
  PrintRow("read one virtual machine", raw, ours, "p50 150 us, p99 1000 us");
}

void MeasureChanges(Stack& stack, virDomainPtr domain, const std::string& name, int rounds) {
  using Vms = v1::VirtualMachineService::Stub;
  Sample raw;
  Sample ours;
  for (int i = 0; i < rounds; ++i) {
    raw.Time([&] { virDomainSuspend(domain); });
    raw.Time([&] { virDomainResume(domain); });
    ours.Time([&] {
      Change<v1::PauseVirtualMachineRequest>(
          stack, name,
          static_cast<grpc::Status (Vms::*)(
              grpc::ClientContext*, const v1::PauseVirtualMachineRequest&,
              google::longrunning::Operation*)>(&Vms::PauseVirtualMachine));
    });
    ours.Time([&] {
      Change<v1::UnpauseVirtualMachineRequest>(
          stack, name,
          static_cast<grpc::Status (Vms::*)(
              grpc::ClientContext*, const v1::UnpauseVirtualMachineRequest&,
              google::longrunning::Operation*)>(&Vms::UnpauseVirtualMachine));
    });
  }
  PrintRow("journalled change (pause, unpause)", raw, ours, "p50 1500 us, p99 10000 us");
}

// From the command's acceptance by the server to the arrival of its alert there.
void MeasureFullPath(Stack& stack, virDomainPtr domain, const std::string& id, int rounds) {
  Sample raw;
  Sample ours;
  grpc::ClientContext watch_context;
  v1::WatchDeviceAlertsRequest watch;
  watch.set_parent(Stack::kDevice);
  watch.set_after_sequence(-1);
  const auto alerts = stack.fleet().WatchDeviceAlerts(&watch_context, watch);
  for (int i = 0; i < rounds; ++i) {
    for (const bool pause : {true, false}) {
      raw.Time([&] { pause ? virDomainSuspend(domain) : virDomainResume(domain); });
      pause ? virDomainResume(domain) : virDomainSuspend(domain);
      v1::Action action;
      action.set_virtual_machine(id);
      if (pause) {
        action.mutable_pause();
      } else {
        action.mutable_unpause();
      }
      v1::Command command;
      ours.Time([&] {
        command = stack.Queue(action);
        v1::WatchDeviceAlertsResponse response;
        while (alerts->Read(&response) && response.alert().command() != command.name()) {
        }
      });
      stack.AwaitEnd(command);
    }
  }
  watch_context.TryCancel();
  alerts->Finish();
  PrintRow("server command to alert at server", raw, ours, "p50 25000 us");
}

int64_t KibOf(pid_t pid, const std::vector<std::string>& fields) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/smaps_rollup"));
  int64_t sum = 0;
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    int64_t kib = 0;
    if (words.size() == 3 && absl::SimpleAtoi(words[1], &kib) &&
        std::find(fields.begin(), fields.end(), words[0]) != fields.end()) {
      sum += kib;
    }
  }
  return sum;
}

void PrintMemory(Stack& stack) {
  int64_t pss_sum = 0;
  int64_t private_sum = 0;
  std::printf("\n%-34s %12s %12s\n", "memory", "PSS", "private");
  for (const char* process : kDeviceProcesses) {
    const int64_t pss = KibOf(stack.PidOf(process), {"Pss:"});
    const int64_t own = KibOf(stack.PidOf(process), {"Private_Clean:", "Private_Dirty:"});
    std::printf("%-34s %8.1f MiB %8.1f MiB\n", process, pss / 1024.0, own / 1024.0);
    pss_sum += pss;
    private_sum += own;
  }
  std::printf("%-34s %8.1f MiB %8.1f MiB  (budget 40 MiB, 20 MiB)\n", "sum", pss_sum / 1024.0,
              private_sum / 1024.0);
}

// From the start of a process to its first answer.
void MeasureStart(Stack& stack, int rounds) {
  std::printf("\n%-34s %12s\n", "start to first answer", "p50");
  for (const char* process : kDeviceProcesses) {
    Sample sample;
    config::v1::Endpoint endpoint;
    endpoint.set_address(stack.SocketOf(process));
    for (int i = 0; i < rounds; ++i) {
      stack.Terminate(process);
      const auto stub = v1::ProcessService::NewStub(MakeChannel(endpoint).value());
      sample.Time([&] {
        stack.Start(process);
        for (bool answered = false; !answered;) {
          grpc::ClientContext context;
          SetDeadline(context, absl::Seconds(5));
          v1::Process answer;
          answered = access(endpoint.address().c_str() + strlen("unix:"), F_OK) == 0 &&
                     stub->GetProcess(&context, v1::GetProcessRequest(), &answer).ok();
          if (!answered) absl::SleepFor(absl::Milliseconds(1));
        }
      });
    }
    std::printf("%-34s %9.1f ms  (budget 100 ms)\n", process, sample.Percentile(0.5) / 1000);
  }
}

void Run(bool quick) {
  PrivateLibvirtd libvirtd(absl::StrCat("/tmp/vb-", getpid()));
  Stack stack({.hypervisor_uri = libvirtd.Uri(), .extra_configuration = {}});
  stack.StartAll();
  stack.Upload(testing_support::GuestImage(), "guest");
  v1::Action provision;
  provision.mutable_provision()->set_image("images/guest");
  provision.mutable_provision()->set_display_name("bench");
  provision.mutable_provision()->set_memory_mib(96);
  provision.mutable_provision()->set_start(true);
  const std::string id = stack.Do(provision).virtual_machine_id();

  const virConnectPtr connection = virConnectOpen(libvirtd.Uri().c_str());
  const virDomainPtr domain = virDomainLookupByUUIDString(connection, id.c_str());
  if (domain == nullptr) {
    ADD_FAILURE() << "libvirt does not know " << id;
    return;
  }
  PrintMemory(stack);
  std::printf("\n");
  PrintHeader();
  MeasureReads(stack, domain, "virtualMachines/" + id, quick ? 50 : 3000);
  MeasureChanges(stack, domain, "virtualMachines/" + id, quick ? 5 : 200);
  MeasureFullPath(stack, domain, id, quick ? 2 : 50);
  MeasureStart(stack, quick ? 1 : 9);
  virDomainFree(domain);
  virConnectClose(connection);
}

}  // namespace
}  // namespace virmo

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  virmo::Run(argc > 1 && std::strcmp(argv[1], "--quick") == 0);
  return testing::UnitTest::GetInstance()->Failed() ? 1 : 0;
}
