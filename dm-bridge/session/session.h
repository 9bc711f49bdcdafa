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
#include "dm-bridge/session/command_runner.h"
#include "dm-bridge/session/outgoing_queue.h"
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
class SessionHost {
 public:
  virtual ~SessionHost() = default;

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
  int64_t max_message_bytes = 65536;  // What we accept, for the header's Meta.
};

// What to do next.
struct SessionStep {
  // To send to `url`. Nothing: the session has ended, with `outcome`.
  std::optional<syncml::Message> message;
  std::string url;
  // UNAUTHENTICATED (UNAUTHENTICATED) if a side refuses the other's credentials, UNAVAILABLE
  // (SESSION_FAILED) if the server aborts or does not keep to the protocol.
  absl::Status outcome;
  // The server does not know our protocol version: begin again with DM/1.2.
  bool fall_back = false;
};

// One DM session as the client has it (OMA-TS-DM_Protocol §8): packages 1, 3, 5 …, each in as
// many messages as the server's MaxMsgSize makes of it; authentication of both sides by
// auth-md5. Carries out the server's commands on the tree. Does no I/O of its own. Not
// thread-safe.
class Session {
 public:
  Session(SessionSettings settings, Tree& tree, SessionHost& host);

  // The first message.
  SessionStep Start();

  // What follows from the server's answer to the last message.
  SessionStep Receive(const syncml::Message& message);

  int messages_sent() const { return messages_sent_; }
  int commands_done() const { return runner_.commands_done(); }
  int alerts_delivered() const { return alerts_delivered_; }
  // Alerts that were sent and that the server has not answered.
  const std::set<std::string>& unanswered() const { return in_flight_; }

 private:
  enum class Credentials { kNeeded, kEachMessage, kAccepted };

  void BeginPackageOne();
  void QueueAlerts();
  SessionStep Send(std::optional<syncml::Command> header_status, bool with_alerts);
  SessionStep End(absl::Status outcome);
  syncml::Header MakeHeader() const;

  absl::Status ReadHeader(const syncml::Header& header);
  std::optional<SessionStep> CheckOwnCredentials(const syncml::Message& message);
  std::optional<SessionStep> Answer401(const syncml::Command& status);
  std::optional<SessionStep> CheckServer(const syncml::Message& message);
  bool ProvesServer(const syncml::Header& header);
  SessionStep ChallengeServer(const syncml::Message& message);
  void TakeAlertAnswers(const syncml::Message& message);
  SessionStep CarryOut(const syncml::Message& message);
  absl::StatusOr<syncml::Command> AnswerHeader(const syncml::Header& header);

  const SessionSettings settings_;
  SessionHost& host_;
  Nonces nonces_;
  CommandRunner runner_;
  OutgoingQueue queue_;

  std::string url_;
  int64_t peer_max_bytes_;
  int messages_sent_ = 0;
  int alerts_delivered_ = 0;
  Credentials credentials_ = Credentials::kNeeded;
  bool challenged_ = false;          // by the server: it gets one more try of ours
  bool server_known_ = false;        // authenticated
  bool server_challenged_ = false;   // by us
  bool nonce_due_ = false;           // it proved itself and gets its next nonce
  bool next_nonce_offered_ = false;  // in our last message
  bool server_final_ = true;         // its package is complete
  bool own_final_ = false;           // our last message was the last of its package
  std::map<std::pair<std::string, std::string>, std::string> sent_alerts_;  // by MsgID, CmdID
  std::set<std::string> in_flight_;
};

}  // namespace virmo::dm_bridge
