// SPDX-License-Identifier: Apache-2.0
// The only file that includes CLI11, which takes long to compile.
#include "services/cli/command_line.h"

#include <algorithm>
#include <map>
#include <memory>
#include <sstream>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "services/cli/completion.h"
#include "services/cli/exit_code.h"
#include "services/runtime/error.h"

namespace virmo::cli {
namespace {

using Values = std::map<std::string, std::vector<std::string>>;

// What CLI11 fills in. Its options keep pointers to these.
struct Parsed {
  std::string server = kDefaultServer;
  std::string tls_cert;
  std::string tls_key;
  std::string tls_ca;
  std::string tls_peer;
  std::string output = "table";
  std::string timeout;
  bool quiet = false;
  std::map<std::string, CLI::App*> groups;
  std::map<std::string, Values> group_values;
  std::map<const Command*, Values> values;
  const Command* command = nullptr;
};

bool ParseTimeout(const std::string& text, absl::Duration* timeout) {
  int64_t seconds = 0;
  if (absl::SimpleAtoi(text, &seconds)) {
    *timeout = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(text, timeout)) {
    return false;
  }
  return *timeout > absl::ZeroDuration();
}

std::string CheckTimeout(const std::string& text) {
  absl::Duration timeout;
  return ParseTimeout(text, &timeout) ? "" : absl::StrCat("`", text, "` is no time, as 90 or 5m");
}

std::string CheckNumber(const std::string& text) {
  int64_t number = 0;
  return absl::SimpleAtoi(text, &number) && number >= 0
             ? ""
             : absl::StrCat("`", text, "` is no whole number");
}

std::string TypeName(const Parameter& parameter) {
  switch (parameter.kind) {
    case Kind::kFlag:
      return "";
    case Kind::kNumber:
      return "N";
    case Kind::kFile:
      return "FILE";
    case Kind::kDevice:
      return "DEVICE";
    case Kind::kVirtualMachine:
      return "VM";
    case Kind::kImage:
      return "IMAGE";
    default:
      return "TEXT";
  }
}

void AddParameter(CLI::App& app, const Parameter& parameter, Values& values) {
  std::vector<std::string>& value = values[KeyOf(parameter)];
  if (parameter.kind == Kind::kFlag) {
    app.add_flag_function(
        parameter.name, [&value](int64_t /*times*/) { value = {"true"}; }, parameter.help);
    return;
  }
  CLI::Option* option = app.add_option(parameter.name, value, parameter.help);
  option->required(parameter.required);
  option->type_name(parameter.IsOption() ? TypeName(parameter) : "");
  if (!parameter.many) {
    option->expected(1)->allow_extra_args(false);
    if (parameter.IsOption()) option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  }
  if (parameter.kind == Kind::kChoice) option->check(CLI::IsMember(parameter.choices));
  if (parameter.kind == Kind::kNumber) option->check(CLI::Validator(CheckNumber, ""));
}

void AddGlobals(CLI::App& app, Parsed& parsed) {
  app.add_option("--server", parsed.server, "The server: unix:PATH, or HOST:PORT with TLS")
      ->envname("VIRMO_SERVER")
      ->type_name("ADDRESS")
      ->capture_default_str();
  app.add_option("--tls-cert", parsed.tls_cert, "Our certificate, PEM")->type_name("FILE");
  app.add_option("--tls-key", parsed.tls_key, "Its key, PEM")->type_name("FILE");
  app.add_option("--tls-ca", parsed.tls_ca, "Who may have signed the server's certificate, PEM")
      ->type_name("FILE");
  app.add_option("--tls-peer", parsed.tls_peer,
                 "The name in the server's certificate, if it is not HOST")
      ->type_name("NAME");
  app.add_option("-o,--output", parsed.output, "table, or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->type_name("FORMAT")
      ->capture_default_str();
  app.add_option("--timeout", parsed.timeout,
                 "How long to wait, as 90 or 5m. Default: 30 s for an answer, no end for what a "
                 "device does")
      ->type_name("TIME")
      ->check(CLI::Validator(CheckTimeout, ""));
  app.add_flag("-q,--quiet", parsed.quiet, "Only ids in lists; no progress, no timeline");
}

void AddCommand(CLI::App& app, const Command& command, Parsed& parsed) {
  const size_t space = command.path.find(' ');
  const std::string group = command.path.substr(0, space);
  CLI::App* parent = &app;
  std::string name = group;
  if (space != std::string::npos) {
    CLI::App*& known = parsed.groups[group];
    if (known == nullptr) known = app.add_subcommand(group, GroupSummary(group));
    parent = known;
    parent->require_subcommand(1)->fallthrough();
    name = command.path.substr(space + 1);
  }
  CLI::App* subcommand = parent->add_subcommand(name, command.summary);
  subcommand->fallthrough();
  for (const Parameter& parameter : command.parameters) {
    if (!parameter.of_group) {
      AddParameter(*subcommand, parameter, parsed.values[&command]);
    } else if (parsed.group_values[group].count(KeyOf(parameter)) == 0) {
      AddParameter(*parent, parameter, parsed.group_values[group]);
    }
  }
  subcommand->final_callback([&parsed, &command] { parsed.command = &command; });
}

absl::StatusOr<Settings> SettingsOf(const Parsed& parsed) {
  Settings settings;
  settings.json = parsed.output == "json";
  settings.quiet = parsed.quiet;
  settings.server.set_address(parsed.server);
  absl::Duration timeout;
  if (ParseTimeout(parsed.timeout, &timeout)) settings.timeout = timeout;
  const int given = !parsed.tls_cert.empty() + !parsed.tls_key.empty() + !parsed.tls_ca.empty();
  if (given == 0) return settings;
  if (given < 3) return UsageError("TLS needs all of --tls-cert, --tls-key and --tls-ca");
  config::v1::Tls& tls = *settings.server.mutable_tls();
  tls.set_certificate_file(parsed.tls_cert);
  tls.set_key_file(parsed.tls_key);
  tls.set_ca_file(parsed.tls_ca);
  tls.add_allowed_peers(parsed.tls_peer.empty() ? HostOf(parsed.server) : parsed.tls_peer);
  return settings;
}

// What is wrong with a command line that CLI11 refused.
absl::Status Complaint(const CLI::ParseError& error, const std::vector<std::string>& words,
                       const std::vector<Command>& commands) {
  std::vector<std::string> all = words;
  all.emplace_back();
  const CompletionPoint point = FindCompletionPoint(all, commands);
  if (point.command != nullptr || point.group.empty()) return UsageError(error.what());
  std::vector<std::string> next;
  for (const Command& command : commands) {
    if (absl::StartsWith(command.path, point.group + " ")) {
      next.push_back(command.path.substr(point.group.size() + 1));
    }
  }
  if (next.empty()) return UsageError(absl::StrCat("there is no command `", point.group, "`"));
  return UsageError(absl::StrCat("`", point.group, "` needs one of: ", absl::StrJoin(next, ", ")));
}

bool WantsJson(const std::vector<std::string>& words) {
  for (size_t i = 0; i < words.size(); ++i) {
    const bool named = words[i] == "-o" || words[i] == "--output";
    if (named && i + 1 < words.size() && words[i + 1] == "json") return true;
    if (words[i] == "-ojson" || words[i] == "--output=json") return true;
  }
  return false;
}

Farewell Refuse(const absl::Status& error, const std::vector<std::string>& words) {
  return {.exit_code = static_cast<int>(ExitCodeOf(error)),
          .out = "",
          .err = WantsJson(words) ? ErrorJson(error) : ErrorText(error)};
}

}  // namespace

std::string HostOf(absl::string_view address) {
  const size_t colon = address.rfind(':');
  absl::string_view host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  return std::string(host);
}

std::variant<Invocation, Farewell> ParseCommandLine(const std::vector<std::string>& words,
                                                    const std::vector<Command>& commands,
                                                    const std::string& version) {
  CLI::App app("Manages virtual machines on a fleet of devices.", "virmo");
  Parsed parsed;
  app.require_subcommand(1);
  app.set_help_flag("-h,--help", "Print this help");
  app.set_version_flag("--version", "virmo " + version);
  app.footer(ExitCodeHelp());
  AddGlobals(app, parsed);
  for (const Command& command : commands) AddCommand(app, command, parsed);
  if (words.empty()) return Farewell{.exit_code = 2, .out = "", .err = app.help()};
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) return Refuse(Complaint(error, words, commands), words);
    std::ostringstream out;
    std::ostringstream err;
    app.exit(error, out, err);
    return Farewell{.exit_code = 0, .out = out.str(), .err = ""};
  }
  absl::StatusOr<Settings> settings = SettingsOf(parsed);
  if (!settings.ok()) return Refuse(settings.status(), words);
  Values values = std::move(parsed.values[parsed.command]);
  const std::string& path = parsed.command->path;
  values.merge(parsed.group_values[path.substr(0, path.find(' '))]);
  for (auto it = values.begin(); it != values.end();) {
    it = it->second.empty() ? values.erase(it) : std::next(it);
  }
  return Invocation{parsed.command, Arguments(std::move(values)), *std::move(settings)};
}

}  // namespace virmo::cli
