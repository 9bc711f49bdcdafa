// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/client/account_follower.h"

#include <utility>

namespace virmo::dm_bridge {

AccountFollower::AccountFollower(ClientSet& clients, Callbacks callbacks)
    : clients_(clients), callbacks_(std::move(callbacks)), thread_([this] { Run(); }) {}

AccountFollower::~AccountFollower() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void AccountFollower::OnAccount(const std::string& server_id,
                                const std::optional<config::v1::DmAccount>& account) {
  MutexLock lock(mutex_);
  changes_[server_id] = account;
  changed_.notify_all();
}

void AccountFollower::Run() {
  while (true) {
    {
      MutexLock lock(mutex_);
      lock.Wait(changed_, [&] { return stop_ || !changes_.empty(); });
      if (stop_) return;
    }
    callbacks_.settle();
    Changes changes;
    {
      MutexLock lock(mutex_);
      changes = std::exchange(changes_, {});
    }
    Follow(changes);
  }
}

void AccountFollower::Follow(const Changes& changes) {
  for (const auto& [server_id, account] : changes) {
    if (!account) {
      callbacks_.on_gone(server_id);
      clients_.Retire(server_id);
    } else if (!clients_.SetAccount(*account)) {
      clients_.Add(callbacks_.make_client(*account));
    }
  }
}

}  // namespace virmo::dm_bridge
