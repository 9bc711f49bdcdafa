// SPDX-License-Identifier: Apache-2.0
// virmo local status, virmo local log-level; how the device's processes are reached.
#include <sys/stat.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "nlohmann/json.hpp"

#include "services/cli/exit_code.h"
#include "services/cli/format.h"
#include "services/cli/health.h"
#include "services/cli/local.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "virmo/v1/process_service.grpc.pb.h"

namespace virmo::cli {
namespace {

bool IsFolder(const std::string& path) {
  struct stat info = {};
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

// How one process does.
struct Answer {
  std::string process;
  std::string address;
  absl::StatusOr<v1::Process> state;
  absl::StatusOr<bool> serving;  // What the health service says.
};

std::string HealthWord(const Answer& answer) {
  if (!answer.state.ok() || !answer.serving.ok()) return "not reachable";
  return *answer.serving && answer.state->degradations().empty() ? "serving" : "degraded";
}

std::string Detail(const Answer& answer) {
  if (!answer.state.ok()) return std::string(answer.state.status().message());
  if (!answer.serving.ok()) return std::string(answer.serving.status().message());
  return absl::StrJoin(answer.state->degradations(), "; ");
}

std::string StatusJson(const std::vector<Answer>& answers) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Answer& answer : answers) {
    nlohmann::ordered_json entry;
    entry["process"] = answer.process;
    entry["address"] = answer.address;
    entry["health"] = HealthWord(answer);
    if (answer.state.ok()) {
      entry["version"] = answer.state->version();
      entry["start_time"] = Rfc3339(answer.state->start_time());
      entry["log_level"] = answer.state->log_level();
      entry["degradations"] = std::vector<std::string>(answer.state->degradations().begin(),
                                                       answer.state->degradations().end());
    } else {
      entry["error"] = Detail(answer);
    }
    list.push_back(std::move(entry));
  }
  return list.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string StatusTable(const std::vector<Answer>& answers, absl::Time now) {
  Table table({"PROCESS", "HEALTH", "VERSION", "STARTED", "LOG", "DETAIL"});
  for (const Answer& answer : answers) {
    const v1::Process state = answer.state.ok() ? *answer.state : v1::Process();
    table.Add({answer.process, HealthWord(answer), state.version(),
               Relative(state.start_time(), now), state.log_level(), Detail(answer)});
  }
  return table.Text();
}

}  // namespace

Parameter SocketOption() {
  return {.name = "--socket",
          .kind = Kind::kFile,
          .help = "The process' socket, or the folder of all. Default /run/virmo",
          .of_group = true};
}

std::string AddressOf(const Arguments& arguments, const std::string& process) {
  std::string given = arguments.Text("--socket");
  if (given.empty()) given = "/run/virmo";
  if (absl::StartsWith(given, "unix:")) given = given.substr(5);
  if (IsFolder(given) || given == "/run/virmo") {
    return absl::StrCat("unix:", given, "/", process, ".sock");
  }
  const bool host_and_port = !absl::StrContains(given, '/') && absl::StrContains(given, ':');
  return host_and_port ? given : absl::StrCat("unix:", given);
}

absl::StatusOr<Peer> LocalPeer(const Context& context, const Arguments& arguments,
                               const std::string& process) {
  config::v1::Endpoint endpoint;
  endpoint.set_address(AddressOf(arguments, process));
  if (!absl::StartsWith(endpoint.address(), "unix:") && context.settings().server.has_tls()) {
    *endpoint.mutable_tls() = context.settings().server.tls();
    // Certificates inside a device bear the process' name.
    endpoint.mutable_tls()->clear_allowed_peers();
    endpoint.mutable_tls()->add_allowed_peers(process);
  }
  return context.Connect(endpoint, "--socket");
}

const std::vector<std::string>& LocalProcesses() {
  static const std::vector<std::string> names = {"dm-bridge", "vm-controller", "policy-engine",
                                                 "alert-emitter"};
  return names;
}

absl::Status LocalStatus(Context& context, const Arguments& arguments) {
  std::vector<Answer> answers;
  std::vector<std::string> silent;
  for (const std::string& process : LocalProcesses()) {
    absl::StatusOr<Peer> peer = LocalPeer(context, arguments, process);
    if (!peer.ok()) return peer.status();
    answers.push_back(
        {process, peer->address(),
         peer->Call(&v1::ProcessService::Stub::GetProcess, v1::GetProcessRequest(), ""),
         IsServing(*peer)});
    if (HealthWord(answers.back()) == "not reachable") silent.push_back(process);
  }
  if (context.json()) {
    context.Print(StatusJson(answers));
  } else if (context.quiet()) {
    for (const Answer& answer : answers) context.Print(HealthWord(answer) + "\n");
  } else {
    context.Print(StatusTable(answers, context.now()));
  }
  if (silent.empty()) return absl::OkStatus();
  // So that a script can wait until all are there.
  return WithHint(Error(v1::ErrorInfo::REASON_SERVICE_UNAVAILABLE,
                        absl::StrCat("not reachable: ", absl::StrJoin(silent, ", "))),
                  "start them; another folder of sockets is given with --socket");
}

absl::Status LocalLogLevel(Context& context, const Arguments& arguments) {
  const std::string process = arguments.Text("PROCESS");
  v1::SetLogLevelRequest request;
  request.set_level(arguments.Text("LEVEL"));
  ASSIGN_OR_RETURN(const Peer peer, LocalPeer(context, arguments, process));
  ASSIGN_OR_RETURN(const v1::Process state,
                   peer.Call(&v1::ProcessService::Stub::SetLogLevel, request,
                             absl::StrCat("set the log level of ", process)));
  context.Show(state, state.log_level(),
               absl::StrCat(process, " logs ", state.log_level(), " until it ends\n"));
  return absl::OkStatus();
}

}  // namespace virmo::cli
