// SPDX-License-Identifier: Apache-2.0
#include "services/cli/peer.h"

#include "absl/strings/str_cat.h"

#include "services/cli/exit_code.h"
#include "services/runtime/channel.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"

namespace virmo::cli {
namespace {

// `No such file or directory`: what is left of gRPC's words without the address, which we name.
std::string Cause(const std::string& message, const std::string& address) {
  absl::string_view cause = message;
  for (const std::string& before : {std::string("last error: "), std::string("UNKNOWN: "),
                                    std::string("UNAVAILABLE: "), address + ": "}) {
    const size_t found = cause.find(before);
    if (found != absl::string_view::npos) cause.remove_prefix(found + before.size());
  }
  return std::string(cause);
}

}  // namespace

absl::StatusOr<Peer> Peer::Connect(const config::v1::Endpoint& endpoint,
                                   std::optional<absl::Duration> timeout,
                                   absl::string_view option) {
  ASSIGN_OR_RETURN(std::shared_ptr<grpc::Channel> channel, MakeChannel(endpoint));
  return Peer(std::move(channel), endpoint.address(), timeout.value_or(absl::Seconds(30)), option);
}

void Peer::SetTimeout(grpc::ClientContext& context) const { SetDeadline(context, timeout_); }

bool Peer::IsBackSoon() const {
  if (channel_->GetState(false) == GRPC_CHANNEL_TRANSIENT_FAILURE) return false;
  return channel_->WaitForConnected(absl::ToChronoTime(absl::Now() + absl::Seconds(2)));
}

absl::Status Peer::Explain(const grpc::Status& status, absl::string_view goal) const {
  const absl::Status error = FromGrpc(status);
  // What gRPC says of itself comes without our reason.
  const bool from_grpc = status.error_details().empty();
  const std::string what = goal.empty() ? "" : absl::StrCat("cannot ", goal, ": ");
  if (from_grpc && error.code() == absl::StatusCode::kUnavailable) {
    return WithHint(Error(v1::ErrorInfo::REASON_SERVICE_UNAVAILABLE,
                          absl::StrCat(what, "nobody answers at ", address_, ": ",
                                       Cause(status.error_message(), address_)),
                          {{"address", address_}}),
                    absl::StrCat("is it running there? another address is given with ", option_));
  }
  if (from_grpc && error.code() == absl::StatusCode::kDeadlineExceeded) {
    return Error(
        v1::ErrorInfo::REASON_TIMED_OUT,
        absl::StrCat(what, "no answer from ", address_, " in ", absl::FormatDuration(timeout_)),
        {{"address", address_}});
  }
  return goal.empty() ? error : Annotate(error, absl::StrCat("cannot ", goal));
}

}  // namespace virmo::cli
