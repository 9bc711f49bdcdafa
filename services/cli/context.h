// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "google/protobuf/message.h"

#include "services/cli/json.h"
#include "services/cli/peer.h"
#include "services/cli/progress.h"
#include "services/cli/table.h"
#include "virmo/config/v1/common.pb.h"

namespace virmo::cli {

// What the global options say.
struct Settings {
  config::v1::Endpoint server;
  bool json = false;
  bool quiet = false;
  std::optional<absl::Duration> timeout;
};

// Where output goes, and whether people watch it there.
struct Streams {
  std::ostream& out;
  std::ostream& err;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
};

// What every command works with: settings, the server, and the ways to show something.
class Context {
 public:
  Context(Settings settings, Streams streams);

  const Settings& settings() const { return settings_; }
  bool json() const { return settings_.json; }
  bool quiet() const { return settings_.quiet; }
  absl::Time now() const { return absl::Now(); }

  // The server. It need not be there: the first call will tell.
  absl::StatusOr<Peer> Server() const;
  // Another process; `option` is what its address was, or could be, given with.
  absl::StatusOr<Peer> Connect(const config::v1::Endpoint& endpoint,
                               absl::string_view option) const;

  // When to stop waiting for something that may take any time; infinite without --timeout.
  absl::Time WaitDeadline() const;

  // To standard output, at once.
  void Print(absl::string_view text);
  // To standard error: what is no result. Not with -q.
  void Note(absl::string_view text);
  // For people only: not with -q or -o json.
  void Tell(absl::string_view text);

  Progress::Style ProgressStyle() const;
  std::ostream& err() { return streams_.err; }

  // Shows one thing: JSON, with -q its id alone, else `text`.
  void Show(const google::protobuf::Message& message, const std::string& id,
            const std::string& text);

  // Shows a list: a JSON array, with -q the ids alone, else a table of `row` of each.
  template <typename Item>
  void ShowList(const std::vector<Item>& items, std::vector<std::string> header,
                const std::function<std::vector<std::string>(const Item&)>& row,
                const std::function<std::string(const Item&)>& id) {
    if (json()) {
      std::vector<const google::protobuf::Message*> messages;
      for (const Item& item : items) messages.push_back(&item);
      return Print(ToJson(messages));
    }
    if (quiet()) {
      for (const Item& item : items) Print(id(item) + "\n");
      return;
    }
    Table table(std::move(header));
    for (const Item& item : items) table.Add(row(item));
    Print(table.Text());
  }

 private:
  const Settings settings_;
  Streams streams_;
};

}  // namespace virmo::cli
