// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "dm-bridge/accounts/nonces.h"
#include "dm-bridge/session/client_credentials.h"
#include "dm-bridge/session/command_runner.h"
#include "dm-bridge/session/large_object.h"
#include "dm-bridge/session/outgoing_queue.h"
#include "dm-bridge/session/prompter.h"
#include "dm-bridge/session/server_credentials.h"
#include "dm-bridge/tree/tree.h"
#include "services/syncml/generic_alert.h"
#include "services/syncml/message.h"
#include "virmo/config/v1/dm_bridge_config.pb.h"

namespace virmo::dm_bridge {

// A Generic Alert on its way, under the id by which its deliverer knows it.
struct OutgoingAlert {
  std::string alert_id;
  syncml::GenericAlert alert;
};

// What a session needs from its surroundings.
class SessionHost : public Prompter {
 public:
  // Keeps the nonces; durable when it returns.
  virtual absl::Status SaveNonces(const Nonces& nonces) = 0;

  // The alerts that wait for this server, in their order. Those in flight may be among them.
  virtual std::vector<OutgoingAlert> PendingAlerts() = 0;

  // The (authenticated) server answered an alert.
  virtual void OnAlertAnswered(const std::string& alert_id, syncml::StatusCode code) = 0;

  // A message's commands are about to be carried out: what was read before counts as old.
  virtual void OnCommands() = 0;
};

struct SessionSettings {
  config::v1::DmAccount account;
  std::string protocol_version = "DM/1.3";
  Nonces nonces;
  std::string session_id;
  bool server_initiated = false;
  // Names the session among all that ever were; see Call::command_key.
  std::string session_uuid;
  // The transport proved who the server is (TLS).
  bool transport_authenticates_server = false;
  // ./DevInfo, node names and values.
  std::vector<std::pair<std::string, std::string>> dev_info;
  // What we accept, for the header's Meta.
  int64_t max_message_bytes = 65536;
  int64_t max_object_bytes = 1048576;
  syncml::Encoding encoding = syncml::Encoding::kXml;  // What is sent.
};

// Whether a message has nothing but Status and Alert 1222 (next message).
bool OnlyAsksForMore(const syncml::Message& message);

// What to do next.
struct SessionStep {
  // To send to `url`. Nothing: the session has ended, with `outcome`.
  std::optional<syncml::Message> message = {};
  std::string url = {};
  // What the message's x-syncml-hmac is made with, if it needs one.
  std::optional<MacKey> mac_key = {};
  // UNAUTHENTICATED (UNAUTHENTICATED) if a side refuses the other's credentials, UNAVAILABLE
  // (SESSION_FAILED) if the server aborts or does not keep to the protocol.
  absl::Status outcome = {};
  // The server does not know our protocol version: begin again with DM/1.2.
  bool fall_back = false;
  // We end what the server thinks goes on: it is to be told by Abort().
  bool abort = false;
};

// One DM session as the client has it (OMA-TS-DM_Protocol §8): packages 1, 3, 5 …, each in as
// many messages as the server's MaxMsgSize makes of it; large objects both ways; authentication of
// both sides by basic, auth-md5 or auth-MAC. Carries out the server's commands on the tree. Does no
// I/O of its own. Not thread-safe.
class Session {
 public:
  Session(SessionSettings settings, Tree& tree, SessionHost& host);

  // The first message.
  SessionStep Start();

  // What follows from the server's answer to the last message.
  SessionStep Receive(const syncml::Message& message, const Wire& wire = {});

  // The message that tells the server that the session is given up (Alert 1223), of which no
  // answer matters; nothing before the first message.
  SessionStep Abort();

  int messages_sent() const { return messages_sent_; }
  int commands_done() const { return runner_.commands_done(); }
  int alerts_delivered() const { return alerts_delivered_; }
  // Alerts that were sent and that the server has not answered.
  const std::set<std::string>& unanswered() const { return in_flight_; }

 private:
  using AlertKey = std::pair<std::string, std::string>;  // MsgID, CmdID

  void BeginPackageOne();
  void QueueAlerts();
  SessionStep Send(std::optional<syncml::Command> header_status, bool with_alerts);
  SessionStep Post(syncml::Message message);
  SessionStep End(absl::Status outcome);
  SessionStep GiveUp(absl::Status outcome);
  syncml::Header MakeHeader() const;

  absl::Status ReadHeader(const syncml::Header& header);
  std::optional<SessionStep> CheckOwnCredentials(const syncml::Message& message);
  std::optional<SessionStep> CheckServer(const syncml::Message& message, const Wire& wire);
  SessionStep ChallengeServer(const syncml::Message& message, ServerCredentials::Verdict verdict);
  void TakeAnswers(const syncml::Message& message);
  void TakeAlertAnswer(const std::string& alert_id, syncml::StatusCode code);
  SessionStep CarryOut(const syncml::Message& message);
  void RunCommands(const syncml::Message& message, bool bare);
  void QueueAnswers(std::vector<syncml::Command> answers);
  void KeepWithinPeersObjectSize(std::vector<syncml::Command>& answers) const;
  absl::StatusOr<syncml::Command> AnswerHeader(const syncml::Header& header);
  absl::Status SaveNonces();

  const SessionSettings settings_;
  SessionHost& host_;
  ClientCredentials own_;
  ServerCredentials server_;
  CommandRunner runner_;
  LargeObjectAssembler objects_;
  OutgoingQueue queue_;

  std::string url_;
  int64_t peer_max_bytes_;
  int64_t peer_max_object_bytes_;
  int messages_sent_ = 0;
  int alerts_delivered_ = 0;
  bool trusted_ = false;      // What the server says counts: it is known, or TLS showed it.
  bool server_final_ = true;  // Its package is complete.
  bool own_final_ = false;    // Our last message was the last of its package.
  std::map<AlertKey, std::string> sent_alerts_;
  std::optional<std::pair<AlertKey, std::string>>
      open_chunk_;  // With the alert's id, if it is one.
  // Alerts that were answered before the server proved itself.
  std::vector<std::pair<std::string, syncml::StatusCode>> untrusted_answers_;
  std::set<std::string> in_flight_;
};

}  // namespace virmo::dm_bridge
