// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/client/client_set.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {

void ClientSet::Add(std::unique_ptr<DmClient> client) {
  MutexLock lock(mutex_);
  clients_.push_back(std::move(client));
}

void ClientSet::Clear() {
  std::vector<std::shared_ptr<DmClient>> clients;
  {
    MutexLock lock(mutex_);
    clients.swap(clients_);
  }
  // A call of RunSession() may hold one for as long as it waits.
  for (const auto& client : clients) client->Stop();
  // They end outside the lock, for their threads may still ask Has().
}

bool ClientSet::SetAccount(const config::v1::DmAccount& account) {
  const absl::StatusOr<std::shared_ptr<DmClient>> client = Find(account.server_id());
  if (!client.ok()) return false;
  (*client)->SetAccount(account);
  return true;
}

void ClientSet::Retire(const std::string& server_id) {
  std::shared_ptr<DmClient> retired;
  {
    MutexLock lock(mutex_);
    const auto at = std::find_if(clients_.begin(), clients_.end(), [&](const auto& client) {
      return client->server_id() == server_id;
    });
    if (at == clients_.end()) return;
    retired = std::move(*at);
    clients_.erase(at);
  }
  retired->Retire();
  // Waits, outside the lock, for its session to end.
}

bool ClientSet::Has(const std::string& server_id) const {
  MutexLock lock(mutex_);
  for (const auto& client : clients_) {
    if (client->server_id() == server_id) return true;
  }
  return false;
}

std::string ClientSet::First() const {
  MutexLock lock(mutex_);
  return clients_.empty() ? "" : clients_.front()->server_id();
}

void ClientSet::OnAlertsPending(const std::string& server_id) {
  MutexLock lock(mutex_);
  for (const auto& client : clients_) {
    if (server_id.empty() || client->server_id() == server_id) client->OnAlertsPending();
  }
}

void ClientSet::OnNotified(const std::string& server_id, SessionRequest request) {
  const absl::StatusOr<std::shared_ptr<DmClient>> client = Find(server_id);
  if (client.ok()) (*client)->OnNotified(std::move(request));
}

absl::StatusOr<std::shared_ptr<DmClient>> ClientSet::Find(const std::string& server_id) const {
  MutexLock lock(mutex_);
  if (server_id.empty()) {
    if (clients_.size() == 1) return clients_.front();
    if (clients_.empty()) return Error(v1::ErrorInfo::REASON_NOT_FOUND, "there is no account");
    return InvalidField("server_id", "there are several accounts: say which");
  }
  for (const auto& client : clients_) {
    if (client->server_id() == server_id) return client;
  }
  return Error(v1::ErrorInfo::REASON_NOT_FOUND, absl::StrCat("no account of server ", server_id),
               {{"server_id", server_id}});
}

absl::StatusOr<v1::Session> ClientSet::RunSession(const std::string& server_id) {
  ASSIGN_OR_RETURN(const std::shared_ptr<DmClient> client, Find(server_id));
  return client->RunSession();
}

std::vector<v1::Account> ClientSet::Describe() const {
  MutexLock lock(mutex_);
  std::vector<v1::Account> accounts;
  for (const auto& client : clients_) accounts.push_back(client->Describe());
  return accounts;
}

}  // namespace virmo::dm_bridge
