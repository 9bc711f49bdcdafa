// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "services/syncml/credential.h"
#include "services/syncml/message.h"
#include "virmo/config/v1/dm_bridge_config.pb.h"

namespace virmo::dm_bridge {

// What auth-MAC of a message is made with, once its octets are known.
struct MacKey {
  syncml::Identity identity;
  std::string nonce;
};

// How this device proves itself to the server in one session (OMA-TS-DM_Security §5.3). Not
// thread-safe.
class ClientCredentials {
 public:
  // `tls`: the address is https, so that basic may be used if the account says so.
  ClientCredentials(const config::v1::DmAccount& account, std::optional<std::string> nonce,
                    bool tls);

  // The Cred of the next message; nothing if none is due, none can be made, or it is the MAC's.
  std::optional<syncml::Cred> MakeCred() const;
  // The key of the next message's MAC; nothing if another kind is used.
  std::optional<MacKey> MakeMacKey() const;

  // The server accepted the header of the last message: 212 for the session, 200 for this one.
  void OnAccepted(const syncml::Command& status, syncml::StatusCode code);

  // 401 or 407. OK: begin anew with what the challenge asks for. UNAUTHENTICATED (UNAUTHENTICATED)
  // if credentials were refused twice, or it asks for what this account does not give.
  absl::Status OnRefused(const syncml::Command& status);

  // No message of ours was accepted yet.
  bool untried() const { return state_ == State::kNeeded; }
  // The newest from the server.
  const std::optional<std::string>& nonce() const { return nonce_; }

 private:
  enum class State { kNeeded, kEachMessage, kAccepted };

  // Not for a copy of the account: it is the session's.
  const config::v1::DmAccount& account_;
  const bool tls_;
  const syncml::Identity identity_;
  std::optional<syncml::AuthType> type_;  // Nothing: the transport proves us.
  std::optional<std::string> nonce_;
  State state_ = State::kNeeded;
  int wrong_ = 0;     // Messages refused though they had credentials.
  int refusals_ = 0;  // All.
};

}  // namespace virmo::dm_bridge
