// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <utility>

#include "policy-engine/user_unlocking.h"
#include "services/runtime/process.h"
#include "virmo/v1/user_unlock_service.grpc.pb.h"

namespace virmo::policy_engine {

// UserUnlockService, for the local user, over the use cases. Thread-safe.
class UserUnlockService : public v1::UserUnlockService::Service {
 public:
  using CallerOf = std::function<Caller(const grpc::ServerContext&)>;

  // `unlocking` must outlive it; `caller_of` tells who calls, in a handler.
  UserUnlockService(UserUnlocking& unlocking, CallerOf caller_of)
      : unlocking_(unlocking), caller_of_(std::move(caller_of)) {}

  grpc::Status GetLock(grpc::ServerContext* context, const v1::GetLockRequest* request,
                       v1::GetLockResponse* response) override;
  grpc::Status UnlockByUser(grpc::ServerContext* context, const v1::UnlockByUserRequest* request,
                            v1::UnlockByUserResponse* response) override;

 private:
  UserUnlocking& unlocking_;
  const CallerOf caller_of_;
};

}  // namespace virmo::policy_engine
