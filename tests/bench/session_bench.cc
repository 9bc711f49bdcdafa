// SPDX-License-Identifier: Apache-2.0
// What it costs the device to answer a server's message: decoded, carried out on a tree of 500
// nodes, answered and encoded, in CPU time of this thread. An optimised build fails above the
// budget.
//   session_bench [--quick]
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dm-bridge/session/session.h"
#include "dm-bridge/tree/tree.h"
#include "services/syncml/codec.h"

namespace virmo::dm_bridge {
namespace {

using syncml::Encoding;

constexpr int kItems = 99;  // Each a node with four leaves; with their parents 497 nodes.
constexpr char kServer[] = "virmo-server";

class Host : public SessionHost {
 public:
  absl::Status SaveNonces(const Nonces&) override { return absl::OkStatus(); }
  std::vector<OutgoingAlert> PendingAlerts() override { return {}; }
  void OnAlertAnswered(const std::string&, syncml::StatusCode) override {}
  void OnCommands() override {}
  PromptAnswer Ask(const syncml::Interaction&) override { return {}; }
};

// A tree as that of virtual machines is: named nodes, each with leaves, values in memory.
class Device {
 public:
  Device() : folder_(absl::StrCat("/tmp/virmo-session-bench-", getpid())) {
    std::filesystem::create_directories(folder_);
    database_ = *Database::Open(folder_ + "/bench.db", {AclStore::GetSchema()});
    acls_ = *AclStore::Open(*database_);
    for (int i = 0; i < kItems; ++i) {
      const std::string item = absl::StrCat("./VirMO/VMs/", NameOf(i));
      acls_->Set(item, absl::StrCat("Get=", kServer, "+other&Replace=", kServer)).IgnoreError();
      for (const char* leaf : kLeaves) values_[absl::StrCat(item, "/", leaf)] = "1024";
    }
    tree_ = std::make_unique<Tree>(*acls_);
    tree_->Mount(MakeObject());
  }
  ~Device() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  Tree& tree() { return *tree_; }
  // The URI of one of the leaves, all of them in turn.
  static std::string LeafUri(int i) {
    return absl::StrCat("./VirMO/VMs/", NameOf(i * 7 % kItems), "/", kLeaves[i % 4]);
  }

 private:
  static constexpr const char* kLeaves[] = {"Name", "State", "RAM", "CPU"};
  static std::string NameOf(int i) {
    return absl::StrCat("3b6f9c4e-8a51-4c51-9d3c-3c0a2f7d1e", absl::Dec(i, absl::kZeroPad2));
  }

  ManagementObject MakeObject() {
    NodeType item{.path = "VMs/*"};
    item.present = [this](const Call& call) -> absl::StatusOr<bool> {
      return values_.count(absl::StrCat(call.uri, "/Name")) > 0;
    };
    ManagementObject object{.root = "VirMO", .nodes = {{.path = ""}, {.path = "VMs"}, item}};
    for (const char* name : kLeaves) {
      NodeType leaf{.path = absl::StrCat("VMs/*/", name), .format = Format::kInt};
      leaf.read = [this](const Call& call) -> absl::StatusOr<std::string> {
        return values_[call.uri];
      };
      object.nodes.push_back(std::move(leaf));
    }
    return object;
  }

  const std::string folder_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<AclStore> acls_;
  std::unique_ptr<Tree> tree_;
  std::map<std::string, std::string> values_;
};

double CpuMicroseconds() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

SessionSettings Settings(Encoding encoding) {
  SessionSettings settings;
  settings.account.set_server_id(kServer);
  settings.account.set_address("https://virmo.example/dm");
  settings.account.set_device_uri("urn:uuid:6f1c1f0e-0000-4000-8000-000000000001");
  settings.account.set_authentication("TRANSPORT");
  settings.session_id = "1F";
  settings.session_uuid = "9e107d9d-372b-4c81-8f2a-0d6f4b3e7a55";
  settings.transport_authenticates_server = true;
  settings.encoding = encoding;
  return settings;
}

// The server's message: Status for the header of ours, and one Get for each of `gets` leaves.
std::string Package(int gets, Encoding encoding) {
  syncml::Message message;
  message.header = {.session_id = "1F",
                    .msg_id = "1",
                    .target = {.uri = "urn:uuid:6f1c1f0e-0000-4000-8000-000000000001"},
                    .source = {.uri = "https://virmo.example/dm", .name = kServer}};
  message.header.meta = {.max_msg_size = 65536, .max_obj_size = 1048576};
  message.body = {
      syncml::MakeHeaderStatus("1", message.header, syncml::StatusCode::kAuthenticationAccepted)};
  for (int i = 0; i < gets; ++i) {
    syncml::Command& get = message.body.emplace_back();
    get.kind = syncml::CommandKind::kGet;
    get.cmd_id = absl::StrCat(i + 2);
    get.items = {syncml::MakeTargetItem(Device::LeafUri(i))};
  }
  message.final = true;
  return syncml::Encode(message, encoding);
}

// "Give me the rest."
std::string NextMessage(Encoding encoding) {
  syncml::Message message;
  message.header = {.session_id = "1F", .msg_id = "2"};
  message.body = {syncml::MakeHeaderStatus("1", message.header, syncml::StatusCode::kOk),
                  syncml::MakeAlert("2", syncml::AlertCode::kNextMessage)};
  return syncml::Encode(message, encoding);
}

struct Cost {
  double decode = 0;  // microseconds each
  double carry_out = 0;
  double encode = 0;
  int messages = 0;
  size_t results = 0;
  size_t largest = 0;  // octets of a message

  double total() const { return decode + carry_out + encode; }
};

// One answer to `gets` Gets: the message that has it, and those that the server asks for after it.
Cost Answer(Device& device, int gets, Encoding encoding) {
  const std::string package = Package(gets, encoding);
  const std::string next = NextMessage(encoding);
  Host host;
  Session session(Settings(encoding), device.tree(), host);
  session.Start();
  Cost cost;
  std::vector<std::string> sent;
  for (bool over = false; !over;) {
    const double begin = CpuMicroseconds();
    const auto message = syncml::Decode(sent.empty() ? package : next, encoding);
    const double decoded = CpuMicroseconds();
    const SessionStep step = session.Receive(*message);
    const double answered = CpuMicroseconds();
    if (!step.message) std::abort();
    sent.push_back(syncml::Encode(*step.message, encoding));
    cost.decode += decoded - begin;
    cost.carry_out += answered - decoded;
    cost.encode += CpuMicroseconds() - answered;
    over = step.message->final;
  }
  for (const std::string& octets : sent) {
    const auto answer = syncml::Decode(octets, encoding);
    for (const syncml::Command& command : answer->body) {
      const bool value =
          command.kind == syncml::CommandKind::kResults && command.items[0].data == "1024";
      cost.results += value ? 1 : 0;
    }
    cost.largest = std::max(cost.largest, octets.size());
  }
  cost.messages = static_cast<int>(sent.size());
  return cost;
}

// Prints the median; false if it is above the budget, or an answer is wrong.
bool Measure(Device& device, int gets, Encoding encoding, double budget, int rounds) {
  std::vector<Cost> costs;
  for (int i = 0; i < rounds; ++i) costs.push_back(Answer(device, gets, encoding));
  std::sort(costs.begin(), costs.end(),
            [](const Cost& a, const Cost& b) { return a.total() < b.total(); });
  const Cost& median = costs[costs.size() / 2];
  std::printf("%-6s %6d %9d %9zu %8.0f %8.0f %8.0f %9.0f %8.2f",
              encoding == Encoding::kXml ? "XML" : "WBXML", gets, median.messages, median.largest,
              median.decode, median.carry_out, median.encode, median.total(),
              median.total() / gets);
  if (budget > 0) std::printf("   <= %.0f", budget);
  std::printf("\n");
  const bool right = median.results == static_cast<size_t>(gets) && median.largest <= 65536;
#ifdef NDEBUG
  return right && (budget == 0 || median.total() <= budget);
#else
  return right;
#endif
}

int Run(bool quick) {
  Device device;
  const int rounds = quick ? 3 : 2000;
  std::printf("CPU time, us\n%-6s %6s %9s %9s %8s %8s %8s %9s %8s   %s\n", "", "Gets", "messages",
              "octets", "decode", "do", "encode", "total", "a Get", "budget");
  bool good = true;
  good &= Measure(device, 50, Encoding::kWbxml, 150, rounds);
  good &= Measure(device, 50, Encoding::kXml, 225, rounds);
  good &= Measure(device, 1000, Encoding::kWbxml, 0, quick ? 1 : rounds / 20);
  good &= Measure(device, 1000, Encoding::kXml, 0, quick ? 1 : rounds / 20);
  return good ? 0 : 1;
}

}  // namespace
}  // namespace virmo::dm_bridge

int main(int argc, char** argv) {
  return virmo::dm_bridge::Run(argc > 1 && std::strcmp(argv[1], "--quick") == 0);
}
