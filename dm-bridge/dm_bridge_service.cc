// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/dm_bridge_service.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "dm-bridge/objects/bootstrap.h"
#include "dm-bridge/tree/ddf.h"
#include "dm-bridge/tree/dm_error.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/codec.h"

namespace virmo::dm_bridge {
namespace {

constexpr absl::Duration kSignOfLife = absl::Seconds(10);

// Hands what `watcher` sees to a stream, until either ends.
template <typename Watcher, typename Event>
grpc::Status Stream(Watcher& watcher, grpc::ServerContext& context,
                    grpc::ServerWriter<Event>& writer) {
  writer.SendInitialMetadata();
  Event event;
  absl::Time said = absl::Now();
  while (!context.IsCancelled()) {
    // Short, to see soon that nobody listens any more.
    if (!watcher.Next(absl::Seconds(1), &event)) return grpc::Status::OK;
    const bool sign_of_life = event.ByteSizeLong() == 0;
    if (sign_of_life && absl::Now() - said < kSignOfLife) continue;
    said = absl::Now();
    if (!writer.Write(event)) break;
  }
  return grpc::Status::OK;
}

}  // namespace

grpc::Status DmBridgeService::WatchPrompts(grpc::ServerContext* context,
                                           const v1::WatchPromptsRequest* /*request*/,
                                           grpc::ServerWriter<v1::WatchPromptsResponse>* writer) {
  PromptBoard::Watcher watcher(prompts_);
  return Stream(watcher, *context, *writer);
}

grpc::Status DmBridgeService::AnswerPrompt(grpc::ServerContext* /*context*/,
                                           const v1::AnswerPromptRequest* request,
                                           v1::AnswerPromptResponse* /*response*/) {
  return ToGrpc(prompts_.Answer(*request));
}

grpc::Status DmBridgeService::WatchTrace(grpc::ServerContext* context,
                                         const v1::WatchTraceRequest* /*request*/,
                                         grpc::ServerWriter<v1::WatchTraceResponse>* writer) {
  TraceFeed::Watcher watcher(trace_);
  return Stream(watcher, *context, *writer);
}

grpc::Status DmBridgeService::RunSession(grpc::ServerContext* /*context*/,
                                         const v1::RunSessionRequest* request,
                                         v1::Session* response) {
  absl::StatusOr<v1::Session> session = clients_.RunSession(request->server_id());
  if (!session.ok()) return ToGrpc(session.status());
  *response = *std::move(session);
  return grpc::Status::OK;
}

grpc::Status DmBridgeService::ListAccounts(grpc::ServerContext* /*context*/,
                                           const v1::ListAccountsRequest* /*request*/,
                                           v1::ListAccountsResponse* response) {
  for (v1::Account& account : clients_.Describe()) {
    *response->add_accounts() = std::move(account);
  }
  return grpc::Status::OK;
}

grpc::Status DmBridgeService::Bootstrap(grpc::ServerContext* /*context*/,
                                        const v1::BootstrapRequest* request,
                                        v1::BootstrapResponse* response) {
  const absl::StatusOr<std::vector<std::string>> servers =
      TakeBootstrap(*request, tree_, accounts_);
  if (!servers.ok()) return ToGrpc(servers.status());
  for (const std::string& server : *servers) {
    v1::Account& account = *response->add_accounts();
    account.set_server_id(server);
    // Its client may not be there yet: it follows.
    const absl::StatusOr<config::v1::DmAccount> stored = accounts_.AccountOfServer(server);
    if (!stored.ok()) continue;
    account.set_address(stored->address());
    account.set_client_name(stored->client_name());
    account.set_protocol_version(stored->protocol_version());
  }
  return grpc::Status::OK;
}

grpc::Status DmBridgeService::GetDeviceDescription(
    grpc::ServerContext* /*context*/, const v1::GetDeviceDescriptionRequest* /*request*/,
    v1::GetDeviceDescriptionResponse* response) {
  response->set_ddf(syncml::WriteDdf(DescribeTree(tree_, config_.manufacturer(), config_.model())));
  return grpc::Status::OK;
}

grpc::Status DmBridgeService::GetNode(grpc::ServerContext* /*context*/,
                                      const v1::GetNodeRequest* request, v1::Node* response) {
  view_.OnCommands();
  return ToGrpc(
      ReadNode(request->uri(), request->recursive() ? Tree::kLimits.max_depth : 1, *response));
}

// Reads a node and `depth` levels below it. What cannot be told below the first is noted there.
absl::Status DmBridgeService::ReadNode(const std::string& uri, int depth, v1::Node& node) {
  node.set_uri(uri);
  absl::StatusOr<std::vector<NodeValue>> values = tree_.Get({.uri = uri});
  if (!values.ok()) {
    // An Exec node is there all the same.
    if (DmStatusOf(values.status()) != syncml::StatusCode::kCommandNotAllowed) {
      return values.status();
    }
    node.set_error("cannot be read");
    return absl::OkStatus();
  }
  const NodeValue& value = values->front();
  node.set_format(std::string(Name(value.format)));
  node.set_type(value.type);
  if (value.format != Format::kNode) {
    const bool text = syncml::IsXmlText(*value.value);
    node.set_value(text ? *value.value : absl::Base64Escape(*value.value));
    return absl::OkStatus();
  }
  if (depth == 0) return absl::OkStatus();
  for (const absl::string_view name : absl::StrSplit(*value.value, '/', absl::SkipEmpty())) {
    v1::Node& child = *node.add_children();
    const absl::Status read = ReadNode(absl::StrCat(uri, "/", name), depth - 1, child);
    if (!read.ok()) child.set_error(std::string(read.message()));
  }
  return absl::OkStatus();
}

}  // namespace virmo::dm_bridge
