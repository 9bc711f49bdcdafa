// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "services/runtime/mutex.h"
#include "vm-controller/hypervisor.h"

namespace virmo::vm_controller {

// A hypervisor in memory, for tests. Can be told to fail: before acting, or after acting, as one
// does whose answer is lost.
class FakeHypervisor : public Hypervisor {
 public:
  enum class When { kBeforeActing, kAfterActing };

  // The next call of `method` ("Save") fails.
  void FailNext(const std::string& method, const absl::Status& status,
                When when = When::kBeforeActing);

  // Calls `hook` at the beginning of each call of `method`, without the mutex.
  void OnCall(const std::string& method, std::function<void()> hook);

  // Whether it answers at all.
  void SetReachable(bool reachable);
  void SetObserver(HypervisorObserver* observer);

  // What guests do: obey a request to shut down (default), or not.
  void SetGuestsObey(bool obey);
  void PowerOffByGuest(const std::string& id);
  void Crash(const std::string& id);
  void StartBehindOurBack(const std::string& id);

  Access AccessOf(const std::string& id);
  // Calls so far, `Save 1111…`.
  std::vector<std::string> Calls();

  absl::StatusOr<std::vector<Domain>> List() override;
  absl::StatusOr<Domain> Get(const std::string& id) override;
  absl::Status Define(const DomainSpec& spec) override;
  absl::Status Undefine(const std::string& id) override;
  absl::Status StartPaused(const std::string& id, StartFrom from) override;
  absl::Status Run(const std::string& id) override;
  absl::Status Pause(const std::string& id) override;
  absl::Status RequestShutdown(const std::string& id) override;
  absl::Status Destroy(const std::string& id) override;
  using Hypervisor::Save;
  absl::Status Save(const std::string& id, const ActWatch& watch) override;
  AccessReport SetAccess(const std::string& id, Access access) override;
  absl::Status TakeSnapshot(const std::string& id, const std::string& name) override;
  absl::Status RevertToSnapshot(const std::string& id, const std::string& name) override;
  absl::Status DeleteSnapshot(const std::string& id, const std::string& name) override;
  absl::Status CopyLiveDisk(const std::string& id, const std::string& path,
                            const ActWatch& watch) override;
  absl::Status SetGuestClock(const std::string& id) override;
  absl::StatusOr<v1::Host> GetHost() override;

 private:
  struct Failure {
    absl::Status status;
    When when;
  };

  absl::Status Act(const std::string& method, const std::string& id,
                   const std::function<absl::Status(Domain*)>& act);
  void Change(const std::string& id, DomainState state);

  Mutex mutex_;
  std::map<std::string, Domain> domains_ ABSL_GUARDED_BY(mutex_);
  // By domain and name: the state that each would go back to.
  std::map<std::pair<std::string, std::string>, DomainState> snapshots_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Access> access_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Failure> failures_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::function<void()>> hooks_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> calls_ ABSL_GUARDED_BY(mutex_);
  bool reachable_ ABSL_GUARDED_BY(mutex_) = true;
  bool obey_ ABSL_GUARDED_BY(mutex_) = true;
  int64_t next_pid_ ABSL_GUARDED_BY(mutex_) = 1000;
  HypervisorObserver* observer_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace virmo::vm_controller
