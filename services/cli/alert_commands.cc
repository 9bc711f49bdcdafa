// SPDX-License-Identifier: Apache-2.0
// virmo alerts
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

#include "services/cli/command.h"
#include "services/cli/context.h"
#include "services/cli/exit_code.h"
#include "services/cli/format.h"
#include "services/cli/watcher.h"
#include "services/runtime/status_macros.h"
#include "virmo/v1/fleet_service.grpc.pb.h"

namespace virmo::cli {
namespace {

const std::vector<std::string> kHeader = {"SEQ", "RECEIVED", "DEVICE", "ALERT",
                                          "VM",  "STATE",    "RESULT", "DETAIL"};

std::string Sequence(const v1::DeviceAlert& alert) { return absl::StrCat(alert.sequence()); }

// `Start` of `urn:oma:at:virmo:1.0:Start`.
std::string Event(const v1::DeviceAlert& alert) {
  return alert.type().substr(alert.type().rfind(':') + 1);
}

// `when` differs between a list, where an age tells most, and a stream that grows old.
std::vector<std::string> Row(const v1::DeviceAlert& alert, std::string when) {
  std::string state = alert.state() == 0 ? "" : StateWord(alert.state());
  if (alert.lock_state() == 10) absl::StrAppend(&state, " [locked]");
  return {Sequence(alert),    std::move(when), PartAfter(alert.name(), "devices"), Event(alert),
          alert.identifier(), state,           ResultWord(alert.result_code()),    alert.detail()};
}

// The alerts after `since`, at most the newest `limit` (0 = all), oldest first.
absl::StatusOr<std::vector<v1::DeviceAlert>> Stored(const Peer& server, const std::string& parent,
                                                    int64_t since, size_t limit) {
  v1::ListDeviceAlertsRequest request;
  request.set_parent(parent);
  ASSIGN_OR_RETURN(
      std::vector<v1::DeviceAlert> alerts,
      server.List(
          &v1::FleetService::Stub::ListDeviceAlerts, request,
          [](v1::ListDeviceAlertsResponse& page) { return page.mutable_alerts(); }, "list alerts"));
  auto first = std::find_if(alerts.begin(), alerts.end(), [since](const v1::DeviceAlert& alert) {
    return alert.sequence() > since;
  });
  if (limit != 0 && alerts.end() - first > static_cast<ptrdiff_t>(limit)) {
    first = alerts.end() - static_cast<ptrdiff_t>(limit);
  }
  alerts.erase(alerts.begin(), first);
  return alerts;
}

class Follower {
 public:
  Follower(Context& context, const Peer& server, std::string parent)
      : context_(context), server_(server), parent_(std::move(parent)), table_(kHeader) {
    table_.SetMinimumWidths({5, 20, 12, 14, 36, 10, 16});
    context_.Tell(table_.HeaderText());
  }

  void Show(const v1::DeviceAlert& alert) {
    last_ = std::max(last_, alert.sequence());
    context_.Print(context_.json()    ? ToJsonLine(alert)
                   : context_.quiet() ? Sequence(alert) + "\n"
                                      : table_.RowText(Row(alert, Rfc3339(alert.receive_time()))));
  }

  absl::Status Run(int64_t after) {
    last_ = std::max(last_, after);
    v1::FleetService::Stub stub(server_.channel());
    Watcher<v1::WatchDeviceAlertsResponse> watcher(
        context_, server_,
        {.open =
             [&](auto* client, auto* queue, void* tag) {
               v1::WatchDeviceAlertsRequest request;
               request.set_parent(parent_);
               request.set_after_sequence(last_);
               return stub.AsyncWatchDeviceAlerts(client, request, queue, tag);
             },
         .on_message =
             [&](const v1::WatchDeviceAlertsResponse& response) {
               // After a break the server may tell again what we have seen.
               if (response.has_alert() && response.alert().sequence() > last_)
                 Show(response.alert());
               return false;
             },
         .on_tick = [] { return false; },
         .on_end = [] { return false; }});
    return watcher.Run("follow alerts");
  }

 private:
  Context& context_;
  const Peer& server_;
  const std::string parent_;
  Table table_;
  int64_t last_ = 0;
};

// Ends as asked by Ctrl-C or --timeout: neither is a failure of a thing that has no end.
absl::Status FollowOutcome(const absl::Status& status) {
  const ExitCode code = ExitCodeOf(status);
  return code == ExitCode::kInterrupted || code == ExitCode::kTimedOut ? absl::OkStatus() : status;
}

absl::Status ShowAlerts(Context& context, const Arguments& arguments) {
  const std::string parent =
      FullName("devices", arguments.Has("DEVICE") ? arguments.Text("DEVICE") : "-");
  const bool follow = arguments.Has("--follow");
  const int64_t since = arguments.Number("--since");
  size_t limit = follow ? 10 : 50;
  if (arguments.Has("--since")) limit = 0;
  if (arguments.Has("--limit")) limit = static_cast<size_t>(arguments.Number("--limit"));
  ASSIGN_OR_RETURN(const Peer server, context.Server());
  if (follow && arguments.Has("--since")) {
    Follower follower(context, server, parent);
    return FollowOutcome(follower.Run(since));
  }
  ASSIGN_OR_RETURN(const std::vector<v1::DeviceAlert> alerts, Stored(server, parent, since, limit));
  if (follow) {
    Follower follower(context, server, parent);
    for (const v1::DeviceAlert& alert : alerts) follower.Show(alert);
    return FollowOutcome(follower.Run(0));
  }
  const absl::Time now = context.now();
  context.ShowList<v1::DeviceAlert>(
      alerts, kHeader,
      [now](const v1::DeviceAlert& alert) {
        return Row(alert, Relative(alert.receive_time(), now));
      },
      Sequence);
  return absl::OkStatus();
}

}  // namespace

std::vector<Command> AlertCommands() {
  return {{"alerts",
           "List what devices told, oldest first",
           {{.name = "DEVICE", .kind = Kind::kDevice, .help = "Of this device alone"},
            {.name = "-f,--follow", .kind = Kind::kFlag, .help = "Go on as alerts arrive"},
            {.name = "--since",
             .kind = Kind::kNumber,
             .help = "Only those after this SEQ; scripts give the last one they saw"},
            {.name = "--limit",
             .kind = Kind::kNumber,
             .help = "At most so many of the newest; 0 = all. Default 50, with --follow 10, "
                     "with --since all"}},
           ShowAlerts}};
}

}  // namespace virmo::cli
