// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/program.h"

#include <malloc.h>
#include <unistd.h>

#include <cstdio>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/text_format.h"
#include "services/runtime/channel.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"

namespace virmo {

namespace {

constexpr int kUsageError = 2;

struct CommandLine {
  std::string config;  // Empty: the default, which may be missing.
  bool check_config = false;
  bool print_config = false;
  bool help = false;
  bool version = false;
};

std::string DefaultConfig(const Program& program) {
  return absl::StrCat("/etc/virmo/", program.name, ".textproto");
}

void PrintHelp(const Program& program) {
  std::printf(
      "%s: %s\n\n"
      "Usage: %s [FLAG]...\n\n"
      "  --config FILE    read the configuration from FILE\n"
      "                   (default %s, which may be missing)\n"
      "  --check_config   say whether the configuration is right, and stop\n"
      "  --print_config   print the configuration in force, defaults included, and stop\n"
      "  --version        print the version, and stop\n"
      "  --help           print this, and stop\n\n"
      "Exit status: 0 after SIGTERM or SIGINT, 1 if it failed, 2 if the command line or the\n"
      "configuration is wrong.\n",
      program.name.c_str(), program.description.c_str(), program.name.c_str(),
      DefaultConfig(program).c_str());
}

// (Not Abseil's flags: they are globals, list those of every library, and exit with 1.)
absl::StatusOr<CommandLine> ParseCommandLine(const std::vector<std::string>& arguments) {
  CommandLine line;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--check_config") {
      line.check_config = true;
    } else if (argument == "--print_config") {
      line.print_config = true;
    } else if (argument == "--help" || argument == "-h") {
      line.help = true;
    } else if (argument == "--version") {
      line.version = true;
    } else if (absl::StartsWith(argument, "--config=")) {
      line.config = argument.substr(sizeof("--config=") - 1);
      if (line.config.empty()) return absl::InvalidArgumentError("--config needs a file");
    } else if (argument == "--config") {
      if (++i == arguments.size()) return absl::InvalidArgumentError("--config needs a file");
      line.config = arguments[i];
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown argument `", argument, "`; see --help"));
    }
  }
  return line;
}

class Errors : public google::protobuf::io::ErrorCollector {
 public:
  explicit Errors(const std::string& path) : path_(path) {}

  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string& message) override {
    absl::StrAppend(&text_, text_.empty() ? "" : "\n", path_, ":", line + 1, ":", column + 1, ": ",
                    message);
  }
  const std::string& text() const { return text_; }

 private:
  const std::string& path_;
  std::string text_;
};

absl::Status ReadConfig(const Program& program, const CommandLine& line,
                        google::protobuf::Message& config) {
  if (!line.config.empty()) return ReadTextProto(line.config, config);
  const std::string path = DefaultConfig(program);
  if (access(path.c_str(), F_OK) != 0 && errno == ENOENT) return absl::OkStatus();
  return ReadTextProto(path, config);
}

config::v1::Logging LoggingOf(const google::protobuf::Message& config) {
  config::v1::Logging logging;
  const google::protobuf::FieldDescriptor* field =
      config.GetDescriptor()->FindFieldByName("logging");
  if (field != nullptr && field->message_type() == config::v1::Logging::descriptor()) {
    logging.CopyFrom(config.GetReflection()->GetMessage(config, field));
  }
  return logging;
}

int UsageError(absl::string_view message) {
  std::fprintf(stderr, "%s\n", std::string(message).c_str());
  return kUsageError;
}

}  // namespace

absl::Status ReadTextProto(const std::string& path, google::protobuf::Message& message) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  google::protobuf::io::ArrayInputStream input(text.data(), static_cast<int>(text.size()));
  Errors errors(path);
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&errors);
  if (!parser.Merge(&input, &message)) {
    return Error(v1::ErrorInfo::REASON_INVALID_ARGUMENT, errors.text(), {{"file", path}});
  }
  return absl::OkStatus();
}

int RunProgram(int argc, char** argv, const Program& program, google::protobuf::Message& config,
               const std::function<absl::Status()>& run) {
  const absl::StatusOr<CommandLine> line =
      ParseCommandLine(std::vector<std::string>(argv + std::min(argc, 1), argv + argc));
  if (!line.ok()) return UsageError(absl::StrCat(program.name, ": ", line.status().message()));
  if (line->help) {
    PrintHelp(program);
    return 0;
  }
  if (line->version) {
    std::printf("%s %s\n", program.name.c_str(), VIRMO_VERSION);
    return 0;
  }
  // One heap for all threads: after load a process keeps half the memory it would keep with a
  // heap for each.
  mallopt(M_ARENA_MAX, 1);
  PollIdleChannelsEverySecond();
  const absl::Status read = ReadConfig(program, *line, config);
  if (!read.ok()) return UsageError(read.message());
  const absl::Status logging = StartLogging(LoggingOf(config), program.name);
  if (!logging.ok()) return UsageError(absl::StrCat("logging.", logging.message()));
  if (line->print_config) {
    std::string text;
    google::protobuf::TextFormat::PrintToString(config, &text);
    std::fputs(text.c_str(), stdout);
    return 0;
  }
  if (line->check_config) {
    std::printf("%s: the configuration is right\n", program.name.c_str());
    return 0;
  }
  const absl::Status status = run();
  if (status.ok()) return 0;
  spdlog::critical("failed reason={} error=\"{}\"", v1::ErrorInfo::Reason_Name(ReasonOf(status)),
                   status.message());
  return 1;
}

}  // namespace virmo
