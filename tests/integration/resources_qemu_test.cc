// SPDX-License-Identifier: Apache-2.0
// Resources of a running guest, judged by what host and guest show.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/integration/guest_fixture.h"

namespace virmo::testing_support {
namespace {

class ResourcesQemuTest : public GuestFixture {
 protected:
  void SetUp() override { StartWith(""); }
  void StartWith(const std::string& controller) {
    if (access(VIRMO_GUEST_IMAGE, R_OK) != 0) GTEST_SKIP() << "no guest image";
    StartDevice(controller);
    id_ = Provision("guest", VIRMO_GUEST_IMAGE, 160);
    StartGuest(id_);
  }
  absl::Status Set(const v1::Allocation& allocation) {
    v1::SetAllocationsRequest request;
    request.set_virtual_machine(VirtualMachineName(id_));
    *request.add_allocations() = allocation;
    grpc::ClientContext context;
    v1::PolicyStatus status;
    return FromGrpc(stack_->policy().SetAllocations(&context, request, &status));
  }
  static v1::Allocation Processor(int64_t count, int64_t limit, int32_t weight) {
    v1::Allocation allocation;
    allocation.set_kind(v1::RESOURCE_KIND_PROCESSOR);
    allocation.set_virtual_quantity(count);
    allocation.set_limit(limit);
    allocation.set_weight(weight);
    return allocation;
  }
  static v1::Allocation Memory(int64_t mib) {
    v1::Allocation allocation;
    allocation.set_kind(v1::RESOURCE_KIND_MEMORY);
    allocation.set_virtual_quantity(mib);
    return allocation;
  }
  v1::AppliedSetting Applied(v1::ResourceKind kind, const std::string& name) {
    const v1::VirtualMachine vm = Vm(id_);
    for (const v1::AppliedAllocation& applied : vm.applied_allocations()) {
      if (applied.kind() != kind) continue;
      for (const v1::AppliedSetting& setting : applied.settings()) {
        if (setting.setting() == name) return setting;
      }
    }
    return {};
  }
  // CPU seconds that its process has used.
  double CpuSeconds() {
    std::ifstream file(absl::StrCat("/proc/", Vm(id_).host_pid(), "/stat"));
    std::stringstream text;
    text << file.rdbuf();
    std::istringstream fields(text.str().substr(text.str().rfind(')') + 2));
    std::string skipped;
    double user = 0, system = 0;
    for (int i = 0; i < 11; ++i) fields >> skipped;
    fields >> user >> system;
    return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
  }
  int64_t GuestMemoryKib() {
    int64_t kib = 0;
    const std::string text = Shell(id_, "echo mem $(grep MemTotal /proc/meminfo | tr -dc 0-9) kib");
    const size_t at = text.find("mem ");
    if (at != std::string::npos) {
      (void)absl::SimpleAtoi(text.substr(at + 4, text.find(" kib") - at - 4), &kib);
    }
    return kib;
  }

  std::string id_;
};

TEST_F(ResourcesQemuTest, ABusyGuestUsesWhatItsCapAllowsAndNoMore) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root for control groups";
  constexpr int64_t kLimit = 25;
  ASSERT_EQ(Set(Processor(1, kLimit, 200)), absl::OkStatus());
  ASSERT_TRUE(
      Soon([&] { return Applied(v1::RESOURCE_KIND_PROCESSOR, "limit").applied() == kLimit; }));
  EXPECT_TRUE(Applied(v1::RESOURCE_KIND_PROCESSOR, "limit").enforceable());
  EXPECT_EQ(Applied(v1::RESOURCE_KIND_PROCESSOR, "weight").applied(), 200);
  Shell(id_, "(while :; do :; done) & true", absl::Seconds(120));
  const absl::Time begin = absl::Now();
  const double before = CpuSeconds();
  absl::SleepFor(absl::Seconds(10));  // The time it is measured over, not a wait.
  const double share = (CpuSeconds() - before) / absl::ToDoubleSeconds(absl::Now() - begin);
  std::printf("cap %ld %%: used %.1f %%\n", kLimit, share * 100);
  EXPECT_NEAR(share * 100, kLimit, 5);

  ASSERT_EQ(Set(Processor(1, 0, 0)), absl::OkStatus());
  EXPECT_TRUE(Soon([&] {
    return Vm(id_).applied_allocations_size() > 0 &&
           Applied(v1::RESOURCE_KIND_PROCESSOR, "limit").asked() == 0;
  }));
}

TEST_F(ResourcesQemuTest, MemoryAndProcessorsChangeWhileItRuns) {
  const int64_t before = GuestMemoryKib();
  ASSERT_EQ(Set(Memory(128)), absl::OkStatus());
  EXPECT_TRUE(Soon([&] { return Applied(v1::RESOURCE_KIND_MEMORY, "quantity").applied() == 128; }));
  EXPECT_TRUE(Soon([&] { return before - GuestMemoryKib() > 30 * 1024; }));

  ASSERT_EQ(Set(Processor(2, 0, 0)), absl::OkStatus());
  EXPECT_TRUE(
      Soon([&] { return Applied(v1::RESOURCE_KIND_PROCESSOR, "quantity").applied() == 2; }));
  EXPECT_TRUE(
      Soon([&] { return absl::StrContains(Shell(id_, "echo cpus=$(nproc)."), "cpus=2."); }));

  stack_->Kill9(Stack::kVmController);
  stack_->Start(Stack::kVmController);
  stack_->AwaitHealthy(Stack::kVmController);
  EXPECT_TRUE(Soon([&] { return Applied(v1::RESOURCE_KIND_MEMORY, "quantity").applied() == 128; }));
}

TEST_F(ResourcesQemuTest, ReadingADiskIsAsFastAsAllowed) {
  constexpr int64_t kRate = 2 << 20;
  v1::Allocation storage;
  storage.set_kind(v1::RESOURCE_KIND_STORAGE);
  storage.mutable_block()->set_read_bytes_per_second(kRate);
  ASSERT_EQ(Set(storage), absl::OkStatus());
  ASSERT_TRUE(Soon([&] { return Applied(v1::RESOURCE_KIND_STORAGE, "block").applied() == kRate; }));
  // By the guest's own clock, which does not count how long its console takes.
  const std::string text =
      Shell(id_,
            "echo 3 >/proc/sys/vm/drop_caches; b=$(cut -d' ' -f1 /proc/uptime); "
            "dd if=/dev/vda of=/dev/null bs=64k count=160 2>/dev/null; "
            "echo took $b $(cut -d' ' -f1 /proc/uptime) end");
  double begin = 0, end = 0;
  std::istringstream words(text.substr(std::min(text.size(), text.find("took ") + 5)));
  words >> begin >> end;
  ASSERT_GT(end, begin) << text;
  const double rate = 160 * 65536 / (end - begin);
  std::printf("block: asked %.2f MB/s, got %.2f MB/s\n", kRate / 1e6, rate / 1e6);
  EXPECT_NEAR(rate / kRate, 1, 0.15);
}

TEST_F(ResourcesQemuTest, OnAUserNetworkRatesAreNotEnforceableAndSaidSo) {
  v1::Allocation network;
  network.set_kind(v1::RESOURCE_KIND_NETWORK);
  network.mutable_network()->mutable_inbound()->set_average_kbps(4000);
  ASSERT_EQ(Set(network), absl::OkStatus());
  ASSERT_TRUE(Soon([&] { return Applied(v1::RESOURCE_KIND_NETWORK, "inbound").asked() == 4000; }));
  EXPECT_FALSE(Applied(v1::RESOURCE_KIND_NETWORK, "inbound").enforceable());
  EXPECT_NE(Applied(v1::RESOURCE_KIND_NETWORK, "inbound").detail(), "");
}

class NetworkRateQemuTest : public ResourcesQemuTest {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root to make a bridge";
    bridge_ = absl::StrCat("vr", getpid());
    ASSERT_EQ(RunToEnd({"ip", "link", "add", "name", bridge_, "type", "bridge"}).exit_code, 0);
    ASSERT_EQ(RunToEnd({"ip", "address", "add", "10.78.0.1/24", "dev", bridge_}).exit_code, 0);
    ASSERT_EQ(RunToEnd({"ip", "link", "set", bridge_, "up"}).exit_code, 0);
    StartWith(absl::StrCat("networks { source: 'bridge:", bridge_, "' }\n"));
    if (IsSkipped()) return;
    Shell(id_, "ifconfig eth0 10.78.0.2 netmask 255.255.255.0 up");
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    inet_pton(AF_INET, "10.78.0.1", &address.sin_addr);
    ASSERT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(listen(listener_, 4), 0);
    socklen_t size = sizeof address;
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  void TearDown() override {
    GuestFixture::TearDown();
    if (listener_ >= 0) close(listener_);
    if (!bridge_.empty()) RunToEnd({"ip", "link", "delete", bridge_});
  }

  // The rate, in kbit/s, of what the guest sends or is sent; the first part, that a bucket lets
  // through, is not counted.
  double Measure(bool to_guest) {
    Shell(id_,
          absl::StrCat("(",
                       to_guest ? "nc 10.78.0.1 "
                                : "dd if=/dev/zero bs=64k count=64 2>/dev/null | nc 10.78.0.1 ",
                       port_, to_guest ? " >/dev/null" : "", ") & true"));
    const int peer = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    std::string buffer(16384, '.');
    constexpr int64_t kSkip = 512 << 10, kAll = 2560 << 10;
    // So that what the kernel takes on trust is little.
    const int small = 65536;
    setsockopt(peer, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    absl::Time begin;
    int64_t total = 0;
    while (total < kAll) {
      const ssize_t moved = to_guest ? send(peer, buffer.data(), buffer.size(), MSG_NOSIGNAL)
                                     : recv(peer, buffer.data(), buffer.size(), 0);
      if (moved <= 0) break;
      const bool before = total < kSkip;
      total += moved;
      if (before && total >= kSkip) begin = absl::Now();
    }
    const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
    close(peer);
    EXPECT_GE(total, kAll);
    return static_cast<double>(kAll - kSkip) * 8 / 1000 / seconds;
  }

  std::string bridge_;
  int listener_ = -1;
  int port_ = 0;
};

TEST_F(NetworkRateQemuTest, TrafficBothWaysIsAsFastAsAllowed) {
  constexpr int64_t kIn = 4000, kOut = 6000;
  v1::Allocation network;
  network.set_kind(v1::RESOURCE_KIND_NETWORK);
  network.mutable_network()->mutable_inbound()->set_average_kbps(kIn);
  network.mutable_network()->mutable_outbound()->set_average_kbps(kOut);
  ASSERT_EQ(Set(network), absl::OkStatus());
  ASSERT_TRUE(
      Soon([&] { return Applied(v1::RESOURCE_KIND_NETWORK, "outbound").applied() == kOut; }));
  const double in = Measure(true), out = Measure(false);
  std::printf("to the guest: %.0f of %ld kbit/s; from it: %.0f of %ld kbit/s\n", in, kIn, out,
              kOut);
  EXPECT_NEAR(in / kIn, 1, 0.1);
  EXPECT_NEAR(out / kOut, 1, 0.1);
}

}  // namespace
}  // namespace virmo::testing_support
