// SPDX-License-Identifier: Apache-2.0
// virmo local bootstrap, virmo local ddf: dm-bridge's accounts and the description of its tree.

#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "services/cli/exit_code.h"
#include "services/cli/format.h"
#include "services/cli/local.h"
#include "services/cli/table.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/status_macros.h"
#include "virmo/v1/dm_bridge_service.grpc.pb.h"

namespace virmo::cli {
namespace {

// The most that a bootstrap document can be.
constexpr size_t kLargest = 1 << 20;

// A secret: in a file, so that it stands in no list of processes. Without the line's end.
absl::StatusOr<std::string> SecretIn(const std::string& path) {
  if (path.empty()) return "";
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, 4096));
  return std::string(absl::StripTrailingAsciiWhitespace(text));
}

}  // namespace

absl::Status LocalBootstrap(Context& context, const Arguments& arguments) {
  v1::BootstrapRequest request;
  ASSIGN_OR_RETURN(*request.mutable_document(), ReadFile(arguments.Text("FILE"), kLargest));
  request.set_mac(arguments.Text("--mac"));
  const std::string pin = arguments.Text("--pin");
  ASSIGN_OR_RETURN(const std::string secret, SecretIn(arguments.Text("--secret-file")));
  if (!request.mac().empty()) {
    if (pin.empty() && secret.empty()) {
      return UsageError("--mac needs the key it was made with: --pin, --secret-file, or both");
    }
    const bool both = !pin.empty() && !secret.empty();
    request.set_security(both ? "USERPIN_NETWORKID" : pin.empty() ? "NETWORKID" : "USERPIN");
    request.set_key(both ? absl::StrCat(pin, ":", secret) : absl::StrCat(pin, secret));
  } else if (!pin.empty() || !secret.empty()) {
    return UsageError("a PIN or secret is of use with --mac only");
  }
  ASSIGN_OR_RETURN(const Peer peer, LocalPeer(context, arguments, "dm-bridge"));
  ASSIGN_OR_RETURN(const v1::BootstrapResponse response,
                   peer.Call(&v1::DmBridgeService::Stub::Bootstrap, request, "bootstrap"));
  Table table({"SERVER", "ADDRESS"});
  std::string servers;
  for (const v1::Account& account : response.accounts()) {
    table.Add({account.server_id(), account.address()});
    absl::StrAppend(&servers, servers.empty() ? "" : "\n", account.server_id());
  }
  context.Show(response, servers, table.Text());
  return absl::OkStatus();
}

absl::Status LocalDescription(Context& context, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Peer peer, LocalPeer(context, arguments, "dm-bridge"));
  ASSIGN_OR_RETURN(const v1::GetDeviceDescriptionResponse response,
                   peer.Call(&v1::DmBridgeService::Stub::GetDeviceDescription,
                             v1::GetDeviceDescriptionRequest(), "describe the management tree"));
  context.Show(response, response.ddf(), response.ddf());
  return absl::OkStatus();
}

}  // namespace virmo::cli
