// SPDX-License-Identifier: Apache-2.0
// Peripherals on a real guest with Debian's full kernel (VirMO-HLF-06): from the decision at
// policy-engine to what the guest sees.
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/integration/guest_fixture.h"

namespace virmo::testing_support {
namespace {

// A stand-in for a device of each class.
struct StandIn {
  const char* id;
  std::vector<v1::PeripheralClass> classes;
  const char* software;  // Kind of software-usb; empty: another.
  const char* see;       // A command in the guest that writes SEEN if it has it.
};

const std::vector<StandIn>& StandIns() {
  static const std::vector<StandIn> all = {
      {"stick",
       {v1::PERIPHERAL_CLASS_USB_STORAGE},
       "",
       "for d in /sys/block/sd*; do head -c 9 /dev/${d##*/} | grep -q STICKDATA && echo SE''EN; "
       "done"},
      {"card",
       {v1::PERIPHERAL_CLASS_MEMORY_CARD},
       "",
       "for d in /sys/block/sd*; do head -c 8 /dev/${d##*/} | grep -q CARDDATA && echo SE''EN; "
       "done"},
      {"thing",
       {v1::PERIPHERAL_CLASS_OTHER_USB},
       "other",
       "grep -q 'Software thing' /sys/bus/usb/devices/*/product && echo SE''EN"},
      {"gps",
       {v1::PERIPHERAL_CLASS_GPS},
       "gps",
       "for t in /sys/class/tty/ttyACM*; do grep -q GPS $t/device/../product && "
       "timeout 5 head -n 2 /dev/${t##*/} | grep -q GPGGA && echo SE''EN; done"},
      {"radio",
       {v1::PERIPHERAL_CLASS_BLUETOOTH},
       "bluetooth",
       "ls /sys/class/bluetooth | grep -q hci && echo SE''EN"},
      {"modem",
       {v1::PERIPHERAL_CLASS_VOICE_CALL_OUT, v1::PERIPHERAL_CLASS_VOICE_CALL_IN},
       "modem",
       "for t in /sys/class/tty/ttyACM*; do grep -q modem $t/device/../product && { "
       "stty -F /dev/${t##*/} raw -echo; (exec 3<>/dev/${t##*/}; printf 'ATD5551\\r' >&3; "
       "timeout 5 head -n 2 <&3 | grep -q 'DIALLED 5551') && echo SE''EN; }; done"},
      {"wlan", {v1::PERIPHERAL_CLASS_WIFI}, "", "[ -e /sys/class/net/eth1 ] && echo SE''EN"},
      {"nfc",
       {v1::PERIPHERAL_CLASS_NFC},
       "",
       "grep -q org.virmo.nfc.0 /sys/class/virtio-ports/*/name && echo SE''EN"},
  };
  return all;
}

class PeripheralsQemuTest : public GuestFixture {
 protected:
  void SetUp() override {
    if (access(VIRMO_FULL_GUEST_IMAGE, R_OK) != 0) GTEST_SKIP() << "no guest with the full kernel";
    std::string pattern = "/tmp/vp-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    chmod(folder_.c_str(), 0755);
    bridge_ = absl::StrCat("vp", folder_.substr(8));
    ASSERT_EQ(RunToEnd({"ip", "link", "add", "name", bridge_, "type", "bridge"}).exit_code, 0);
    WriteMap();
    for (const StandIn& one : StandIns()) PlugIn(one);
    StartDevice(absl::StrCat("device_map_file: '", folder_, "/map'\n"));
    id_ = Provision("guest", VIRMO_FULL_GUEST_IMAGE, 192);
  }
  void TearDown() override {
    software_.clear();
    GuestFixture::TearDown();
    if (nfc_ >= 0) close(nfc_);
    if (!bridge_.empty()) RunToEnd({"ip", "link", "delete", bridge_});
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  }

  static std::string Bus(const StandIn& one) {
    const std::string id = one.id;
    if (*one.software != '\0') return "BUS_USB_REDIRECTED";
    if (id == "wlan") return "BUS_NETWORK";
    return id == "nfc" ? "BUS_CHARACTER" : "BUS_BLOCK";
  }
  std::string PathOf(const StandIn& one) {
    return Bus(one) == "BUS_NETWORK" ? bridge_ : absl::StrCat(folder_, "/", one.id);
  }
  void WriteMap() {
    std::ofstream map(folder_ + "/map");
    for (const StandIn& one : StandIns()) {
      map << "entries { id: '" << one.id << "' bus: " << Bus(one) << " path: '" << PathOf(one)
          << "'";
      if (Bus(one) == "BUS_CHARACTER") map << " channel: 'org.virmo.nfc.0'";
      for (const v1::PeripheralClass each : one.classes) {
        map << " classes: " << v1::PeripheralClass_Name(each);
      }
      map << " }\n";
    }
  }

  void PlugIn(const StandIn& one) {
    const std::string path = PathOf(one), bus = Bus(one);
    if (bus == "BUS_USB_REDIRECTED") {
      Child::Options options;
      options.command = {VIRMO_SOFTWARE_USB, one.software, path};
      software_[one.id] = std::make_unique<Child>(options);
    } else if (bus == "BUS_BLOCK") {
      std::ofstream(path + ".new") << (std::string(one.id) == "stick" ? "STICKDATA" : "CARDDATA")
                                   << std::string(1 << 20, '.');
      chmod((path + ".new").c_str(), 0666);
      std::filesystem::rename(path + ".new", path);
    } else if (bus == "BUS_CHARACTER") {
      ListenAt(path);
    }
  }
  void Unplug(const StandIn& one) {
    software_.erase(one.id);
    std::filesystem::remove(PathOf(one));
  }
  void ListenAt(const std::string& path) {
    nfc_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    ASSERT_EQ(bind(nfc_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(listen(nfc_, 8), 0);
    chmod(path.c_str(), 0666);
  }

  absl::Status SetAll(const StandIn& one, bool enabled) {
    absl::Status status;
    for (const v1::PeripheralClass each : one.classes) {
      const auto operation = SetPeripheral(id_, each, enabled);
      status.Update(operation.ok() ? OutcomeOf(*operation, false) : operation.status());
    }
    return status;
  }
  bool Sees(const StandIn& one) { return absl::StrContains(Shell(id_, one.see), "SEEN"); }
  std::set<std::string> Seen() {
    std::set<std::string> seen;
    for (const StandIn& one : StandIns()) {
      if (Sees(one)) seen.insert(one.id);
    }
    return seen;
  }
  static std::set<std::string> AllBut(const std::string& without) {
    std::set<std::string> all;
    for (const StandIn& one : StandIns()) {
      if (one.id != without) all.insert(one.id);
    }
    return all;
  }
  static const StandIn& Find(const std::string& id) {
    for (const StandIn& one : StandIns()) {
      if (one.id == id) return one;
    }
    return StandIns().front();
  }
  static int64_t Ms(absl::Duration duration) { return absl::ToInt64Milliseconds(duration); }

  std::string folder_, bridge_, id_;
  std::map<std::string, std::unique_ptr<Child>> software_;
  int nfc_ = -1;
};

TEST_F(PeripheralsQemuTest, AGuestHasWhatItIsAllowedAndNothingElse) {
  StartGuest(id_);
  EXPECT_EQ(Seen(), std::set<std::string>()) << "default deny";

  for (const StandIn& one : StandIns()) {
    const absl::Time decided = absl::Now();
    for (const v1::PeripheralClass each : one.classes) {
      ASSERT_TRUE(SetPeripheral(id_, each, true).ok());
    }
    Took([&] { return HasDevice(id_, one.id); });
    std::printf("%-6s decision to plugged in: %4ld ms\n", one.id, Ms(absl::Now() - decided));
    EXPECT_TRUE(Soon([&] { return Sees(one); })) << one.id;
  }
  EXPECT_EQ(Seen(), AllBut(""));

  for (const StandIn& one : StandIns()) {
    const absl::Time decided = absl::Now();
    ASSERT_TRUE(SetPeripheral(id_, one.classes[0], false).ok());
    Took([&] { return !HasDevice(id_, one.id); });
    std::printf("%-6s denial to gone:         %4ld ms\n", one.id, Ms(absl::Now() - decided));
    EXPECT_FALSE(Sees(one)) << one.id;
    EXPECT_EQ(SetAll(one, true), absl::OkStatus());
    EXPECT_TRUE(Soon([&] { return Sees(one); })) << one.id;
  }
}

TEST_F(PeripheralsQemuTest, DevicesComeBackAfterSuspendRestartAndPluggingAnew) {
  for (const StandIn& one : StandIns()) ASSERT_EQ(SetAll(one, true), absl::OkStatus());
  StartGuest(id_);
  EXPECT_TRUE(Soon([&] { return Seen() == AllBut(""); })) << "after a start";

  ASSERT_EQ(Do(id_, &Vms::SuspendVirtualMachine), absl::OkStatus());
  for (const StandIn& one : StandIns()) EXPECT_FALSE(HasDevice(id_, one.id)) << one.id;
  ASSERT_EQ(SetAll(Find("gps"), false), absl::OkStatus());
  Unplug(Find("radio"));
  ASSERT_EQ(Do(id_, &Vms::ResumeVirtualMachine), absl::OkStatus());
  std::set<std::string> expected = AllBut("gps");
  expected.erase("radio");
  EXPECT_TRUE(Soon([&] { return Seen() == expected; })) << "denied, or gone, while it slept";

  PlugIn(Find("radio"));
  EXPECT_TRUE(Soon([&] { return Sees(Find("radio")); }));
  Unplug(Find("thing"));
  Took([&] { return !HasDevice(id_, "thing"); });
  EXPECT_FALSE(Sees(Find("thing")));
  PlugIn(Find("thing"));
  EXPECT_TRUE(Soon([&] { return Sees(Find("thing")); }));

  v1::StopVirtualMachineRequest force;
  force.set_force(true);
  ASSERT_EQ(Do(id_, &Vms::StopVirtualMachine, force), absl::OkStatus());
  EXPECT_FALSE(HasDevice(id_, "stick"));
  StartGuest(id_);
  EXPECT_TRUE(Soon([&] { return Seen() == AllBut("gps"); })) << "after a restart";

  ASSERT_EQ(Lock(id_), absl::OkStatus());
  for (const StandIn& one : StandIns()) EXPECT_FALSE(HasDevice(id_, one.id)) << one.id;
  EXPECT_EQ(ReasonOf(SetPeripheral(id_, v1::PERIPHERAL_CLASS_GPS, true).status()),
            v1::ErrorInfo::REASON_VM_LOCKED);
  ASSERT_EQ(Unlock(id_), absl::OkStatus());
  EXPECT_TRUE(Soon([&] { return Seen() == AllBut("gps"); })) << "after an unlock";
}

// Random plugging, deciding and restarting of the controller, with the guest idle. The number is
// small for every day; VIRMO_CYCLES says another.
TEST_F(PeripheralsQemuTest, NothingIsExposedAndNothingLostInManyCycles) {
  const char* wanted = getenv("VIRMO_CYCLES");
  const int cycles = wanted == nullptr ? 40 : atoi(wanted);
  StartGuest(id_);
  std::mt19937 random(20261125);
  const std::vector<std::string> names = {"stick", "thing", "gps", "radio", "card"};
  std::map<std::string, bool> allowed, present;
  for (const std::string& name : names) present[name] = true;
  int exposures = 0, losses = 0;
  for (int cycle = 0; cycle < cycles; ++cycle) {
    const StandIn& one = Find(names[random() % names.size()]);
    switch (random() % 5) {
      case 0:
      case 1:
        allowed[one.id] = !allowed[one.id];
        ASSERT_EQ(SetAll(one, allowed[one.id]), absl::OkStatus());
        break;
      case 2:
      case 3:
        present[one.id] ? Unplug(one) : PlugIn(one);
        present[one.id] = !present[one.id];
        break;
      default:
        if (cycle % 5 != 0) break;
        stack_->Kill9(Stack::kVmController);
        stack_->Start(Stack::kVmController);
        stack_->AwaitHealthy(Stack::kVmController);
    }
    for (const std::string& name : names) {
      const bool due = allowed[name] && present[name];
      if (!Soon([&] { return HasDevice(id_, name) == due; })) ++(due ? losses : exposures);
    }
  }
  for (const std::string& name : names) {
    EXPECT_EQ(Sees(Find(name)), allowed[name] && present[name]) << name;
  }
  std::printf("%d cycles: %d exposures, %d lost\n", cycles, exposures, losses);
  EXPECT_EQ(exposures, 0);
  EXPECT_EQ(losses, 0);
}

}  // namespace
}  // namespace virmo::testing_support
