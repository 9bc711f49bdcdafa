// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/user_unlock_service.h"

#include "services/runtime/error.h"

namespace virmo::policy_engine {

grpc::Status UserUnlockService::GetLock(grpc::ServerContext* /*context*/,
                                        const v1::GetLockRequest* request,
                                        v1::GetLockResponse* response) {
  auto lock = unlocking_.GetLock(request->virtual_machine());
  if (!lock.ok()) return ToGrpc(lock.status());
  *response = *std::move(lock);
  return grpc::Status::OK;
}

grpc::Status UserUnlockService::UnlockByUser(grpc::ServerContext* context,
                                             const v1::UnlockByUserRequest* request,
                                             v1::UnlockByUserResponse* response) {
  auto unlocked = unlocking_.Unlock(*request, caller_of_(*context));
  if (!unlocked.ok()) return ToGrpc(unlocked.status());
  *response = *std::move(unlocked);
  return grpc::Status::OK;
}

}  // namespace virmo::policy_engine
