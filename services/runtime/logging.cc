// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/logging.h"

#include <grpc/support/log.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "spdlog/pattern_formatter.h"
#include "spdlog/sinks/stdout_sinks.h"

namespace virmo {

namespace {

// The message as the inside of a JSON string.
class JsonText : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm& /*time*/,
              spdlog::memory_buf_t& out) override {
    for (const char c : message.payload) Append(static_cast<unsigned char>(c), out);
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<JsonText>();
  }

 private:
  static void Append(unsigned char c, spdlog::memory_buf_t& out) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(static_cast<char>(c));
    } else if (c < 0x20) {
      fmt::format_to(fmt::appender(out), "\\u{:04x}", c);
    } else {
      out.push_back(static_cast<char>(c));
    }
  }
};

// One event is one line: a line break in a value must not look like a second event.
class OneLineText : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm& /*time*/,
              spdlog::memory_buf_t& out) override {
    for (const char c : message.payload) out.push_back(c == '\n' || c == '\r' ? ' ' : c);
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<OneLineText>();
  }
};

std::unique_ptr<spdlog::pattern_formatter> MakeFormatter(config::v1::Logging::Format format,
                                                         const std::string& process) {
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  if (format == config::v1::Logging::FORMAT_JSON) {
    formatter->add_flag<JsonText>('*').set_pattern(
        absl::StrCat(R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","process":")", process,
                     R"(","thread":%t,"message":"%*"})"));
  } else {
    formatter->add_flag<OneLineText>('*').set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %n: %*");
  }
  return formatter;
}

// gRPC writes lines of its own form to standard error. What it calls an error is mostly a peer that
// misbehaves or is absent, which the caller hears of by status: not more than a warning.
void LogOfGrpc(gpr_log_func_args* args) {
  const spdlog::level::level_enum level =
      args->severity == GPR_LOG_SEVERITY_ERROR ? spdlog::level::warn : spdlog::level::debug;
  spdlog::log(level, "grpc {}", args->message);
}

absl::StatusOr<spdlog::level::level_enum> ParseLevel(const std::string& level) {
  if (level.empty()) return spdlog::level::info;
  for (const char* known : {"trace", "debug", "info", "warn", "error", "critical", "off"}) {
    if (level == known) return spdlog::level::from_str(level);
  }
  return InvalidField("level", absl::StrCat("unknown log level `", level,
                                            "`; know trace, debug, info, warn, error, critical, "
                                            "off"));
}

}  // namespace

absl::Status StartLogging(const config::v1::Logging& config, const std::string& process) {
  ASSIGN_OR_RETURN(const spdlog::level::level_enum level, ParseLevel(config.level()));
  auto logger =
      std::make_shared<spdlog::logger>(process, std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_formatter(MakeFormatter(config.format(), process));
  logger->set_level(level);
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
  gpr_set_log_function(LogOfGrpc);
  return absl::OkStatus();
}

absl::Status SetLogLevel(const std::string& level) {
  if (level.empty()) return InvalidField("level", "is required");
  ASSIGN_OR_RETURN(const spdlog::level::level_enum parsed, ParseLevel(level));
  spdlog::default_logger_raw()->set_level(parsed);
  return absl::OkStatus();
}

std::string LogLevel() {
  const spdlog::string_view_t name =
      spdlog::level::to_string_view(spdlog::default_logger_raw()->level());
  // spdlog spells it `warning`.
  const std::string level(name.data(), name.size());
  return level == "warning" ? "warn" : level;
}

}  // namespace virmo
