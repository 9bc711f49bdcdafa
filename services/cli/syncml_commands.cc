// SPDX-License-Identifier: Apache-2.0
// virmo syncml …
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "services/cli/command.h"
#include "services/cli/context.h"
#include "services/cli/exit_code.h"
#include "services/cli/input.h"
#include "services/cli/local.h"
#include "services/cli/syncml_trace.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/excerpt.h"
#include "services/syncml/inspect.h"

namespace virmo::cli {
namespace {

// What peers of ours accept at once is far less; and it is read and shown within a second.
constexpr syncml::Limits kLimits = {.max_bytes = size_t{4} << 20};

// One line: where, and why.
absl::Status Malformed(const std::string& path, const absl::Status& status) {
  return WithExitCode(absl::InvalidArgumentError(
                          absl::StrCat(InputName(path), ": ", syncml::Excerpt(status.message()))),
                      ExitCode::kFailedOnDevice);
}

absl::StatusOr<std::string> ReadDocument(const std::string& path) {
  absl::StatusOr<std::string> octets = ReadInput(path, kLimits.max_bytes);
  if (octets.status().code() == absl::StatusCode::kResourceExhausted) {
    return Malformed(path, octets.status());
  }
  return octets;
}

absl::Status DecodeDocument(Context& context, const Arguments& arguments) {
  const std::string path = arguments.Text("FILE");
  ASSIGN_OR_RETURN(const std::string octets, ReadDocument(path));
  const absl::StatusOr<syncml::Inspected> document = syncml::Inspect(octets, kLimits);
  if (!document.ok()) return Malformed(path, document.status());
  context.Print(document->xml);
  return absl::OkStatus();
}

absl::Status EncodeDocument(Context& context, const Arguments& arguments) {
  const std::string path = arguments.Text("FILE");
  const syncml::Encoding to =
      arguments.Text("--to") == "xml" ? syncml::Encoding::kXml : syncml::Encoding::kWbxml;
  ASSIGN_OR_RETURN(const std::string octets, ReadDocument(path));
  const absl::StatusOr<std::string> converted = syncml::Convert(octets, to, kLimits);
  if (!converted.ok()) return Malformed(path, converted.status());
  context.Print(*converted);
  return absl::OkStatus();
}

absl::Status TraceSession(Context& context, const Arguments& arguments) {
  const TraceStyle style = arguments.Has("--xml") ? TraceStyle::kXml : TraceStyle::kLines;
  const std::vector<std::string> paths = arguments.All("FILE");
  if (paths.empty()) return TraceLive(context, arguments, style);
  return TraceRecordings(context, paths, style);
}

Parameter FileParameter() {
  return {.name = "FILE", .kind = Kind::kFile, .help = "The document; - or none: standard input"};
}

}  // namespace

std::vector<Command> SyncmlCommands() {
  return {
      {"syncml decode",
       "Show a SyncML message, TNDS or DDF document (XML or WBXML) or package #0 as indented XML",
       {FileParameter()},
       DecodeDocument},
      {"syncml encode",
       "Write such a document in one encoding to standard output; package #0's octets are its "
       "wbxml",
       {FileParameter(),
        {.name = "--to",
         .kind = Kind::kChoice,
         .help = "The encoding",
         .required = true,
         .choices = {"wbxml", "xml"}}},
       EncodeDocument},
      {"syncml trace",
       "Follow this device's live DM sessions, or show recorded ones, secrets hidden",
       {{.name = "FILE",
         .kind = Kind::kFile,
         .help = "Recordings: files or folders of messages, bare or with HTTP heads; -: standard "
                 "input. None: live",
         .many = true},
        {.name = "--xml", .kind = Kind::kFlag, .help = "Messages as indented XML"},
        SocketOption()},
       TraceSession},
  };
}

}  // namespace virmo::cli
