// SPDX-License-Identifier: Apache-2.0
#include "services/cli/syncml_trace.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "nlohmann/json.hpp"

#include "services/cli/exit_code.h"
#include "services/cli/format.h"
#include "services/cli/input.h"
#include "services/cli/json.h"
#include "services/cli/local.h"
#include "services/cli/peer.h"
#include "services/cli/watcher.h"
#include "services/cli/width.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/dump.h"
#include "services/syncml/inspect.h"
#include "services/syncml/recording.h"
#include "services/syncml/redact.h"
#include "virmo/v1/dm_bridge_service.grpc.pb.h"

namespace virmo::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxRecording = size_t{64} << 20;
constexpr syncml::Limits kLimits = {.max_bytes = size_t{4} << 20};

// A message as it is shown: without secrets.
absl::StatusOr<std::string> TextOf(absl::string_view octets, TraceStyle style) {
  const syncml::Encoding encoding = syncml::Sniff(octets);
  ASSIGN_OR_RETURN(syncml::Message message, syncml::Decode(octets, encoding, kLimits));
  message = syncml::Redact(std::move(message));
  if (style == TraceStyle::kLines) return syncml::Dump(message);
  return syncml::IndentXml(syncml::Encode(message, syncml::Encoding::kXml),
                           {.max_bytes = size_t{64} << 20});
}

std::string Indented(absl::string_view text) {
  std::string indented;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    absl::StrAppend(&indented, "  ", line, "\n");
  }
  return indented;
}

// Who sent it, as far as HTTP tells.
absl::string_view DirectionOf(const syncml::RecordedMessage& message) {
  if (absl::StartsWith(message.start_line, "POST")) return "device -> server, ";
  return message.start_line.empty() ? "" : "server -> device, ";
}

// Shows one recording's messages and counts what could not be read.
class RecordingTrace {
 public:
  RecordingTrace(Context& context, TraceStyle style) : context_(context), style_(style) {}

  void Show(const std::string& path) {
    const std::string name = InputName(path);
    const absl::StatusOr<std::string> octets = ReadInput(path, kMaxRecording);
    if (!octets.ok()) return Fail(name, octets.status());
    if (!context_.json()) context_.Print(absl::StrCat("== ", Printable(name), "\n"));
    // Package #0 has no envelope: a file holds just one.
    const absl::StatusOr<syncml::Inspected> whole = InspectSmall(*octets);
    if (whole.ok() && whole->kind == syncml::DocumentKind::kNotification) {
      return ShowNotification(name, whole->xml);
    }
    syncml::Recording recording(*octets, kLimits);
    for (int number = 1;; ++number) {
      absl::StatusOr<std::optional<syncml::RecordedMessage>> message = recording.Next();
      if (!message.ok()) return Fail(name, message.status());
      if (!message->has_value()) return;
      ShowMessage(name, number, **message);
    }
  }

  int failures() const { return failures_; }

 private:
  static absl::StatusOr<syncml::Inspected> InspectSmall(absl::string_view octets) {
    constexpr size_t kMost = 1024;
    if (octets.size() > kMost) return absl::OutOfRangeError("too long for package #0");
    return syncml::Inspect(octets, kLimits);
  }

  void ShowNotification(const std::string& name, const std::string& xml) {
    if (context_.json()) return PrintJson({{"recording", name}, {"notification", xml}});
    context_.Print(absl::StrCat("-- package #0\n", Indented(xml)));
  }

  void ShowMessage(const std::string& name, int number, const syncml::RecordedMessage& message) {
    absl::StatusOr<std::string> text = std::string();
    if (!message.body.empty()) text = TextOf(message.body, style_);
    if (context_.json()) {
      nlohmann::ordered_json line = {{"recording", name},
                                     {"message", number},
                                     {"offset", message.offset},
                                     {"http", message.start_line},
                                     {"syncml", text.value_or("")}};
      if (!text.ok()) line["error"] = std::string(text.status().message());
      PrintJson(line);
    } else {
      context_.Print(HeadOf(number, message));
      if (text.ok()) context_.Print(Indented(*text));
    }
    if (!text.ok()) {
      Fail(absl::StrCat(name, ": message ", number, " at octet ", message.offset), text.status());
    }
  }

  static std::string HeadOf(int number, const syncml::RecordedMessage& message) {
    const bool wbxml = syncml::Sniff(message.body) == syncml::Encoding::kWbxml;
    std::string head = absl::StrCat("-- message ", number, " (", DirectionOf(message),
                                    message.body.empty() ? "no body"
                                    : wbxml              ? "wbxml, "
                                                         : "xml, ");
    if (!message.body.empty()) absl::StrAppend(&head, message.body.size(), " octets");
    absl::StrAppend(&head, ")\n");
    if (message.start_line.empty()) return head;
    absl::StrAppend(&head, "  ", Printable(message.start_line), "\n");
    for (const auto& [name, value] : message.headers) {
      absl::StrAppend(&head, "  ", Printable(syncml::RedactedHeader(name, value)), "\n");
    }
    return head;
  }

  void PrintJson(const nlohmann::ordered_json& line) {
    using Json = nlohmann::ordered_json;
    context_.Print(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  }

  void Fail(const std::string& what, const absl::Status& status) {
    ++failures_;
    context_.err() << Printable(absl::StrCat("virmo: ", what, ": ", status.message())) << "\n";
  }

  Context& context_;
  const TraceStyle style_;
  int failures_ = 0;
};

// The files of a folder by name; another path is itself.
std::vector<std::string> FilesOf(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return {path};
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(path, error)) {
    if (entry.is_regular_file(error)) files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void ShowLive(Context& context, const v1::WatchTraceResponse& response, TraceStyle style) {
  if (context.json()) return context.Print(ToJsonLine(response));
  // What is sent to us is redacted already; once more does no harm.
  const absl::StatusOr<std::string> text = TextOf(response.syncml(), style);
  context.Print(absl::StrCat(
      "-- ", absl::FormatTime("%H:%M:%E3S", ToTime(response.time()), absl::LocalTimeZone()), " ",
      response.sent() ? "device -> " : "device <- ", Printable(response.server_id()), "\n",
      text.ok() ? Indented(*text)
                : absl::StrCat("  cannot be read: ", Printable(text.status().message()), "\n")));
}

}  // namespace

absl::Status TraceRecordings(Context& context, const std::vector<std::string>& paths,
                             TraceStyle style) {
  RecordingTrace trace(context, style);
  for (const std::string& path : paths) {
    for (const std::string& file : FilesOf(path)) trace.Show(file);
  }
  if (trace.failures() == 0) return absl::OkStatus();
  return WithExitCode(absl::InvalidArgumentError(absl::StrCat(
                          trace.failures(), " of the recordings' parts could not be read")),
                      ExitCode::kFailedOnDevice);
}

absl::Status TraceLive(Context& context, const Arguments& arguments, TraceStyle style) {
  ASSIGN_OR_RETURN(const Peer peer, LocalPeer(context, arguments, "dm-bridge"));
  v1::DmBridgeService::Stub stub(peer.channel());
  Watcher<v1::WatchTraceResponse> watcher(
      context, peer,
      {.open =
           [&stub](auto* client, auto* queue, void* tag) {
             return stub.AsyncWatchTrace(client, v1::WatchTraceRequest(), queue, tag);
           },
       .on_message =
           [&context, style](const v1::WatchTraceResponse& response) {
             if (!response.syncml().empty()) ShowLive(context, response, style);
             return false;
           },
       .on_tick = [] { return false; },
       .on_end = [] { return false; }});
  return watcher.Run("follow the sessions");
}

}  // namespace virmo::cli
