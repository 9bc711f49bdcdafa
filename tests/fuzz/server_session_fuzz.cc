// SPDX-License-Identifier: Apache-2.0
// The server's session machine, fed with what a device may say, authenticated or not, with
// commands in its queue: nothing may crash it, no message may be more than that message's
// trouble, and what it answers must be a message.
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "services/server/testing/scripted_device.h"
#include "services/server/testing/test_fleet.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/session_input.h"

namespace virmo::server {
namespace {

using testing::kVm;
using testing::ScriptedDevice;
using testing::TestFleet;

constexpr unsigned kAuthenticated = 0;  // package 1 went well before
constexpr unsigned kFitHeaders = 1;     // so that the session looks at the bodies
constexpr unsigned kCommands = 2;       // commands wait for the device
constexpr unsigned kTrusts = 3;         // the device has accepted the server's credentials
constexpr unsigned kWbxml = 4;

constexpr int kRunsOfAFleet = 200;

// A fleet with one device that has one virtual machine.
struct Fixture {
  TestFleet fleet;
  ScriptedDevice device = fleet.Enrol("edge-1");
  Fixture() { device.AddVirtualMachine(kVm, "web", 10); }
};

Fixture& FreshFixture() {
  static std::unique_ptr<Fixture>& fixture = *new std::unique_ptr<Fixture>();
  static int runs = 0;
  if (fixture == nullptr || ++runs % kRunsOfAFleet == 0) {
    fixture.reset();
    fixture = std::make_unique<Fixture>();
  }
  // Who guessed wrong in an earlier run need not wait any more.
  fixture->fleet.now += absl::Hours(1);
  return *fixture;
}

void QueueCommands(TestFleet& fleet) {
  v1::Action get;
  get.mutable_get()->add_uris("./DevInfo/Man");
  fleet.Queue("edge-1", get);
  v1::Action replace;
  replace.mutable_replace()->set_uri("./VirMO/Config/StopTimeout");
  replace.mutable_replace()->set_value("60");
  replace.mutable_replace()->set_format("int");
  fleet.Queue("edge-1", replace);
}

// Gets the device in. False if it was not to be.
bool Authenticate(ScriptedDevice& device, bool trusts) {
  for (int i = 0; i < 3; ++i) {
    const auto answer = device.Send(device.Package1());
    if (!answer.ok()) return false;
    if (testing::HeaderStatus(*answer) != 212) continue;
    return !trusts || device.Send(device.Reply(*answer)).ok();
  }
  return false;
}

// Ours, and not the device's fault.
bool IsOurFault(const absl::Status& status) {
  return status.code() == absl::StatusCode::kInternal ||
         status.code() == absl::StatusCode::kUnknown ||
         status.code() == absl::StatusCode::kDataLoss;
}

void Say(Fixture& fixture, const std::string& octets) {
  const auto answer = fixture.fleet.Post(fixture.device.url, octets);
  fuzz::Require(answer.ok() || !IsOurFault(answer.status()), "no message breaks the server");
  if (!answer.ok() || answer->empty()) return;
  fuzz::Require(syncml::Decode(*answer, syncml::Sniff(*answer), {.max_bytes = 1 << 24}).ok(),
                "what the server says can be read");
}

void Run(const fuzz::SessionInput& input) {
  static int session = 0;
  Fixture& fixture = FreshFixture();
  ScriptedDevice& device = fixture.device;
  device.encoding = input.Has(kWbxml) ? syncml::Encoding::kWbxml : syncml::Encoding::kXml;
  device.received.clear();
  device.commands.clear();
  if (input.Has(kCommands)) QueueCommands(fixture.fleet);
  device.Begin(absl::StrCat(++session));
  if (input.Has(kAuthenticated) && !Authenticate(device, input.Has(kTrusts))) return;
  int number = static_cast<int>(device.received.size());
  for (const absl::string_view octets : input.messages) {
    auto message = syncml::Decode(octets, syncml::Sniff(octets));
    if (!input.Has(kFitHeaders) || !message.ok()) {
      Say(fixture, std::string(octets));
      continue;
    }
    fuzz::FitHeader(*message, {.session_id = absl::StrCat(session),
                               .msg_id = absl::StrCat(++number),
                               .target = {.uri = device.url},
                               .source = {.uri = device.account.device_uri(),
                                          .name = device.account.client_name()}});
    Say(fixture, syncml::Encode(*message, device.encoding));
  }
}

}  // namespace
}  // namespace virmo::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view octets(reinterpret_cast<const char*>(data), size);
  virmo::server::Run(virmo::fuzz::ParseSessionInput(octets));
  return 0;
}
