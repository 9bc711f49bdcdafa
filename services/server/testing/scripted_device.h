// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/syncml/codec.h"
#include "services/syncml/credential.h"
#include "services/syncml/generic_alert.h"
#include "services/syncml/message.h"
#include "virmo/config/v1/dm_bridge_config.pb.h"

namespace virmo::server::testing {

// A message on its way: to `url` with the header x-syncml-hmac, or back.
struct DeviceMessage {
  std::string url = "";
  std::string octets = "";
  std::string hmac = "";
};

// A DM client for tests: a tree of leaves, answers that can be scripted, and nothing hidden. Runs
// one session at a time; not thread-safe.
class ScriptedDevice {
 public:
  // Posts a message; the answer, or what went wrong.
  using Transport = std::function<absl::StatusOr<DeviceMessage>(const DeviceMessage& message)>;

  struct Answer {
    int status = 200;
    std::string text;
  };

  ScriptedDevice(const std::string& account_textproto, Transport transport);

  // One session, from package 1 to the end. Errors of the transport end it.
  absl::Status RunSession();

  // Package 1 as it stands: credentials, Alert, pending alerts, DevInfo.
  syncml::Message Package1();
  // Numbers, sends and notes a message; follows RespURI.
  absl::StatusOr<syncml::Message> Send(syncml::Message message);
  // The answer to a server's message: Status and Results for each command.
  syncml::Message Reply(const syncml::Message& server);
  // A new session begins.
  void Begin(const std::string& session_id);

  // Adds a virtual machine to the tree.
  void AddVirtualMachine(const std::string& id, const std::string& name, int state);
  // An alert to be sent with the next package 1.
  void QueueAlert(const std::string& operation, const std::string& correlator,
                  const std::string& vm, int result_code, const std::string& alert_id);

  std::map<std::string, std::string> tree;  // leaves by URI
  std::vector<syncml::GenericAlert> alerts;
  // Answers an Exec; default: 200.
  std::function<Answer(const syncml::Command& exec)> on_exec;
  // Overrides the answer to any command, if it gives a status.
  std::function<Answer(const syncml::Command& command)> override_status;
  syncml::AuthType auth = syncml::AuthType::kMd5;
  bool with_credentials = true;
  bool accept_server = true;  // false: refuse its credentials always
  bool check_server = true;   // verify its md5
  bool use_resp_uri = true;
  int64_t max_message_size = 65536;
  int64_t max_object_size = 0;  // 0: not told
  syncml::Encoding encoding = syncml::Encoding::kXml;

  config::v1::DmAccount account;
  std::string client_nonce;  // octets
  std::string server_nonce;
  bool server_mac_right = false;  // of the last answer
  std::vector<syncml::Message> received;
  std::vector<syncml::Command> commands;  // all that the server sent, children too
  std::string url;                        // where the next message goes

 private:
  void Execute(const syncml::Command& command, const std::string& msg_ref,
               std::vector<syncml::Command>& body);
  Answer Perform(const syncml::Command& command, std::vector<syncml::Item>* results);
  void Read(const std::string& uri, std::vector<syncml::Item>* results, Answer* answer) const;
  syncml::Identity ClientIdentity() const;
  bool IsServerGenuine(const syncml::Header& header);

  Transport transport_;
  std::string session_id_ = "1";
  int msg_id_ = 0;
  bool server_known_ = false;
};

// The Status for the SyncHdr in a server's message; 0 if there is none.
int HeaderStatus(const syncml::Message& message);

}  // namespace virmo::server::testing
