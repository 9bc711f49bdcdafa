// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "services/cli/exit_code.h"
#include "virmo/config/v1/common.pb.h"

namespace virmo::cli {

constexpr char kCutOffHint[] =
    "the connection broke at the first attempt, which may have been carried out: look before you "
    "try again";

// A process that is asked: the server, or one of the device's own.
class Peer {
 public:
  // `timeout`: for every call; unset: 30 s. `option`: how the user names another address.
  static absl::StatusOr<Peer> Connect(const config::v1::Endpoint& endpoint,
                                      std::optional<absl::Duration> timeout,
                                      absl::string_view option);

  // Makes a unary call. Errors say `cannot GOAL: …` (if there is a goal), and name the address if
  // nobody answers there.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                             Response*),
                                const Request& request, absl::string_view goal) const {
    Stub stub(channel_);
    Response response;
    grpc::Status status;
    // A call that was cut off may or may not have been carried out. Repeating it does no harm,
    // since it asks for the same again; but its answer may be of the repeat alone.
    int cut_off = 0;
    while (true) {
      grpc::ClientContext context;
      SetTimeout(context);
      status = (stub.*method)(&context, request, &response);
      if (status.ok()) return response;
      if (status.error_code() != grpc::StatusCode::UNAVAILABLE || cut_off > 0) break;
      if (!IsBackSoon()) break;
      ++cut_off;
    }
    const absl::Status error = Explain(status, goal);
    return cut_off == 0 ? error : WithHint(error, kCutOffHint);
  }

  // Calls a List method until its last page. `items` takes the page's items out of a response:
  // `[](Response& page) { return page.mutable_devices(); }`. Stops after `limit` items, if not 0.
  template <typename Stub, typename Request, typename Response, typename Items>
  auto List(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
            Request request, Items items, absl::string_view goal, size_t limit = 0) const
      -> absl::StatusOr<std::vector<
          typename std::decay_t<decltype(*items(std::declval<Response&>()))>::value_type>>;

  // Turns a failed call's status into an error for people.
  absl::Status Explain(const grpc::Status& status, absl::string_view goal) const;

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  const std::string& address() const { return address_; }

 private:
  Peer(std::shared_ptr<grpc::Channel> channel, std::string address, absl::Duration timeout,
       absl::string_view option)
      : channel_(std::move(channel)),
        address_(std::move(address)),
        timeout_(timeout),
        option_(option) {}

  void SetTimeout(grpc::ClientContext& context) const;

  // Whether the connection was there and comes back within two seconds. False at once if there
  // was none: the process is not running.
  bool IsBackSoon() const;

  std::shared_ptr<grpc::Channel> channel_;
  std::string address_;
  absl::Duration timeout_;
  std::string option_;
};

template <typename Stub, typename Request, typename Response, typename Items>
auto Peer::List(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                Request request, Items items, absl::string_view goal, size_t limit) const
    -> absl::StatusOr<std::vector<
        typename std::decay_t<decltype(*items(std::declval<Response&>()))>::value_type>> {
  std::vector<typename std::decay_t<decltype(*items(std::declval<Response&>()))>::value_type> all;
  request.set_page_size(limit == 0 ? 1000 : static_cast<int>(std::min<size_t>(limit, 1000)));
  do {
    absl::StatusOr<Response> page = Call(method, request, goal);
    if (!page.ok()) return page.status();
    for (auto& item : *items(*page)) all.push_back(std::move(item));
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty() && (limit == 0 || all.size() < limit));
  if (limit != 0 && all.size() > limit) all.resize(limit);
  return all;
}

}  // namespace virmo::cli
