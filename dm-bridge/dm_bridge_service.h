// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dm-bridge/client/client_set.h"
#include "dm-bridge/client/prompt_board.h"
#include "dm-bridge/client/trace_feed.h"
#include "dm-bridge/objects/account_object.h"
#include "dm-bridge/objects/device_view.h"
#include "dm-bridge/tree/tree.h"
#include "virmo/config/v1/dm_bridge_config.pb.h"
#include "virmo/v1/dm_bridge_service.grpc.pb.h"

namespace virmo::dm_bridge {

// DmBridgeService over the clients and the tree.
class DmBridgeService : public v1::DmBridgeService::Service {
 public:
  // All must outlive it.
  struct Parts {
    ClientSet& clients;
    Tree& tree;
    DeviceView& view;
    AccountObject& accounts;
    PromptBoard& prompts;
    TraceFeed& trace;
    const config::v1::DmBridgeConfig& config;
  };

  explicit DmBridgeService(const Parts& parts)
      : clients_(parts.clients),
        tree_(parts.tree),
        view_(parts.view),
        accounts_(parts.accounts),
        prompts_(parts.prompts),
        trace_(parts.trace),
        config_(parts.config) {}

  grpc::Status RunSession(grpc::ServerContext* context, const v1::RunSessionRequest* request,
                          v1::Session* response) override;
  grpc::Status ListAccounts(grpc::ServerContext* context, const v1::ListAccountsRequest* request,
                            v1::ListAccountsResponse* response) override;
  grpc::Status Bootstrap(grpc::ServerContext* context, const v1::BootstrapRequest* request,
                         v1::BootstrapResponse* response) override;
  grpc::Status GetDeviceDescription(grpc::ServerContext* context,
                                    const v1::GetDeviceDescriptionRequest* request,
                                    v1::GetDeviceDescriptionResponse* response) override;
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
  AccountObject& accounts_;
  PromptBoard& prompts_;
  TraceFeed& trace_;
  const config::v1::DmBridgeConfig& config_;
};

}  // namespace virmo::dm_bridge
