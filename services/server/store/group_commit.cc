// SPDX-License-Identifier: Apache-2.0
#include "services/server/store/group_commit.h"

namespace virmo::server {

absl::Status GroupCommit::Transact(const std::function<absl::Status()>& body) {
  Request request{.body = &body};
  std::vector<Request*> group;
  {
    MutexLock lock(mutex_);
    waiting_.push_back(&request);
    lock.Wait(changed_, [&] { return request.done || !busy_; });
    if (request.done) return request.outcome;
    busy_ = true;
    group.swap(waiting_);
  }
  Carry(group);
  MutexLock lock(mutex_);
  busy_ = false;
  for (Request* member : group) member->done = true;
  changed_.notify_all();
  return request.outcome;
}

void GroupCommit::Carry(std::vector<Request*>& group) {
  const absl::Status committed = database_.Transact([&]() -> absl::Status {
    for (Request* member : group) member->outcome = database_.Transact(*member->body);
    return absl::OkStatus();
  });
  if (committed.ok()) return;
  for (Request* member : group) {
    if (member->outcome.ok()) member->outcome = committed;
  }
}

}  // namespace virmo::server
