// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dm-bridge/client/client_set.h"
#include "dm-bridge/client/prompt_board.h"
#include "dm-bridge/client/trace_feed.h"
#include "dm-bridge/objects/device_view.h"
#include "dm-bridge/tree/tree.h"
#include "virmo/v1/dm_bridge_service.grpc.pb.h"

namespace virmo::dm_bridge {

// DmBridgeService over the clients and the tree.
class DmBridgeService : public v1::DmBridgeService::Service {
 public:
  DmBridgeService(ClientSet& clients, Tree& tree, DeviceView& view, PromptBoard& prompts,
                  TraceFeed& trace)
      : clients_(clients), tree_(tree), view_(view), prompts_(prompts), trace_(trace) {}

  grpc::Status RunSession(grpc::ServerContext* context, const v1::RunSessionRequest* request,
                          v1::Session* response) override;
  grpc::Status ListAccounts(grpc::ServerContext* context, const v1::ListAccountsRequest* request,
                            v1::ListAccountsResponse* response) override;
  grpc::Status GetNode(grpc::ServerContext* context, const v1::GetNodeRequest* request,
                       v1::Node* response) override;
  grpc::Status WatchPrompts(grpc::ServerContext* context, const v1::WatchPromptsRequest* request,
                            grpc::ServerWriter<v1::WatchPromptsResponse>* writer) override;
  grpc::Status AnswerPrompt(grpc::ServerContext* context, const v1::AnswerPromptRequest* request,
                            v1::AnswerPromptResponse* response) override;
  grpc::Status WatchTrace(grpc::ServerContext* context, const v1::WatchTraceRequest* request,
                          grpc::ServerWriter<v1::WatchTraceResponse>* writer) override;

 private:
  absl::Status ReadNode(const std::string& uri, int depth, v1::Node& node);

  ClientSet& clients_;
  Tree& tree_;
  DeviceView& view_;
  PromptBoard& prompts_;
  TraceFeed& trace_;
};

}  // namespace virmo::dm_bridge
