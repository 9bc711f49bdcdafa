// SPDX-License-Identifier: Apache-2.0
// The device's session machine, fed with what a server may say, authenticated or not: nothing may
// crash it, it must come to an end, and what it answers must be a message in both encodings.
#include <cstdint>
#include <string>

#include "dm-bridge/session/session.h"
#include "dm-bridge/testing/session_fixture.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/session_input.h"

namespace virmo::dm_bridge {
namespace {

constexpr unsigned kTrusted = 0;     // the transport has shown who the server is
constexpr unsigned kMd5 = 1;         // the first message gets the server's right credentials
constexpr unsigned kFitHeaders = 2;  // so that the session looks at the bodies
constexpr unsigned kAlerts = 3;      // alerts wait for the server
constexpr unsigned kStatuses = 4;    // each message gets Status for all that the client sent

SessionSettings SettingsFor(const fuzz::SessionInput& input) {
  SessionSettings settings;
  config::v1::DmAccount& account = settings.account;
  account.set_server_id("virmo-server");
  account.set_address("https://virmo.example/dm");
  account.set_device_uri("urn:x:d1");
  account.set_client_name("vm-device-01");
  account.set_client_secret("devsecret");
  account.set_server_name("virmo-server");
  if (!input.Has(kTrusted)) account.set_server_secret("srvsecret");
  settings.transport_authenticates_server = input.Has(kTrusted);
  settings.nonces = {kClientNonce, {kServerNonce}};
  settings.session_id = "1F";
  settings.session_uuid = "uuid";
  settings.dev_info = {{"DevId", "urn:x:d1"}, {"Man", "Example"}};
  return settings;
}

// What the server says, as the input wants it.
void Complete(const fuzz::SessionInput& input, const syncml::Message& request, bool is_first,
              syncml::Message& message) {
  const ServerMessage good(request);
  const syncml::Message& answer = good;
  if (input.Has(kFitHeaders)) fuzz::FitHeader(message, answer.header);
  if (input.Has(kMd5) && is_first) message.header.cred = MakeCred(kServerDigest);
  if (input.Has(kStatuses)) {
    message.body.insert(message.body.begin(), answer.body.begin(), answer.body.end());
  }
}

void CheckAnswer(const SessionStep& step) {
  if (!step.message) return;
  for (const syncml::Encoding encoding : {syncml::Encoding::kXml, syncml::Encoding::kWbxml}) {
    const auto read =
        syncml::Decode(syncml::Encode(*step.message, encoding), encoding, {.max_bytes = 1 << 24});
    fuzz::Require(read.ok(), "what the client says can be read");
  }
}

void Run(const fuzz::SessionInput& input) {
  static auto& test = *new TestTree();
  test.values = {{"./T/Number", "1"}, {"./T/Flag", "true"}, {"./T/Octets", "abc"}};
  test.execs.clear();
  FakeHost host;
  if (input.Has(kAlerts)) host.Raise("a1");
  Session session(SettingsFor(input), test.tree(), host);
  SessionStep step = session.Start();
  bool is_first = true;
  for (const absl::string_view octets : input.messages) {
    CheckAnswer(step);
    if (!step.message) return;
    auto message = syncml::Decode(octets, syncml::Sniff(octets));
    if (!message.ok()) continue;
    Complete(input, *step.message, is_first, *message);
    is_first = false;
    step = session.Receive(*message);
  }
  CheckAnswer(step);
}

}  // namespace
}  // namespace virmo::dm_bridge

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view octets(reinterpret_cast<const char*>(data), size);
  virmo::dm_bridge::Run(virmo::fuzz::ParseSessionInput(octets));
  return 0;
}
