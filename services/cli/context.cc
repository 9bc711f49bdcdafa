// SPDX-License-Identifier: Apache-2.0
#include "services/cli/context.h"

#include <utility>

namespace virmo::cli {

Context::Context(Settings settings, Streams streams)
    : settings_(std::move(settings)), streams_(streams) {}

absl::StatusOr<Peer> Context::Server() const {
  return Connect(settings_.server, "--server or VIRMO_SERVER");
}

absl::StatusOr<Peer> Context::Connect(const config::v1::Endpoint& endpoint,
                                      absl::string_view option) const {
  return Peer::Connect(endpoint, settings_.timeout, option);
}

absl::Time Context::WaitDeadline() const {
  return settings_.timeout ? now() + *settings_.timeout : absl::InfiniteFuture();
}

void Context::Print(absl::string_view text) {
  streams_.out.write(text.data(), static_cast<std::streamsize>(text.size()));
  streams_.out.flush();
}

void Context::Note(absl::string_view text) {
  if (quiet()) return;
  streams_.err.write(text.data(), static_cast<std::streamsize>(text.size()));
  streams_.err.flush();
}

void Context::Tell(absl::string_view text) {
  if (!json() && !quiet()) Print(text);
}

Progress::Style Context::ProgressStyle() const {
  if (quiet()) return Progress::Style::kNone;
  if (streams_.err_is_terminal) return Progress::Style::kBar;
  // A program reads our JSON, and maybe an error's from standard error: nothing else goes there.
  return json() ? Progress::Style::kNone : Progress::Style::kLines;
}

void Context::Show(const google::protobuf::Message& message, const std::string& id,
                   const std::string& text) {
  Print(json() ? ToJson(message) : quiet() ? id + "\n" : text);
}

}  // namespace virmo::cli
