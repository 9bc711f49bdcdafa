// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/syncml/credential.h"
#include "services/syncml/message.h"
#include "virmo/config/v1/dm_bridge_config.pb.h"

namespace virmo::dm_bridge {

// How a message came: what its auth-MAC is over. An intermediary may have compressed the body on
// its way, so the MAC counts over the entity and over what is in it.
struct Wire {
  absl::string_view entity = {};         // As received, before any content decoding.
  absl::string_view body = {};           // Decoded.
  std::optional<std::string> hmac = {};  // x-syncml-hmac.
};

// Whether the server of one session is who it should be (OMA-TS-DM_Security §5.3). Not
// thread-safe.
class ServerCredentials {
 public:
  // `nonces` as in Nonces::server. `tls`: the transport proved who the server is.
  ServerCredentials(const config::v1::DmAccount& account, std::vector<std::string> nonces,
                    bool tls);

  enum class Verdict {
    kProven,
    kMissing,    // To be answered with 407.
    kWrong,      // To be answered with 401.
    kOtherKind,  // Another kind than it was challenged for: the session ends.
  };
  Verdict Judge(const syncml::Header& header, const Wire& wire);

  // It proved itself in this session.
  bool known() const { return known_; }
  // Whether it may be challenged after this verdict: once for each since it last proved itself.
  bool MayChallenge(Verdict verdict) const;

  // The Chal of the 401 or 407 that `verdict` asks for.
  absl::StatusOr<syncml::Chal> Challenge(Verdict verdict);

  // What the Status of the header of a message that was Judge()d to be proven says: 212 with the
  // next nonce, for the session; 200 with the next message's nonce for a MAC; else 200.
  struct Acceptance {
    syncml::StatusCode code = syncml::StatusCode::kOk;
    std::optional<syncml::Chal> chal;
  };
  absl::StatusOr<Acceptance> Accept();

  // Those that are good now; see Nonces::server.
  const std::vector<std::string>& nonces() const { return nonces_; }

 private:
  bool Proves(const syncml::Header& header, const Wire& wire, syncml::AuthType type);
  bool Fits(const syncml::Header& header, const Wire& wire, syncml::AuthType type,
            const std::string& nonce) const;

  const config::v1::DmAccount& account_;
  const bool tls_;
  const syncml::Identity identity_;
  std::vector<std::string> nonces_;
  bool known_ = false;
  bool nonce_due_ = false;                 // It proved itself and gets its next nonce.
  bool nonce_offered_ = false;             // In our last message.
  std::optional<syncml::AuthType> type_;   // It proved itself by.
  std::optional<syncml::AuthType> asked_;  // By our challenge.
  bool challenged_for_wrong_ = false;      // Since it last proved itself, as are the next.
  bool challenged_for_missing_ = false;
};

}  // namespace virmo::dm_bridge
