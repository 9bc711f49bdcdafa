// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/fake_hypervisor.h"

#include <filesystem>
#include <optional>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"

namespace virmo::vm_controller {
namespace {

absl::Status Unreachable() {
  return Error(v1::ErrorInfo::REASON_HYPERVISOR_UNAVAILABLE, "the fake hypervisor is away");
}

absl::Status NotFound(const std::string& id) {
  return Error(v1::ErrorInfo::REASON_VM_NOT_FOUND, absl::StrCat("no domain ", id), {{"id", id}});
}

absl::Status Refused(const std::string& what) {
  return Error(v1::ErrorInfo::REASON_HYPERVISOR_FAILED, what);
}

bool IsStarted(const Domain& domain) {
  return domain.state == DomainState::kRunning || domain.state == DomainState::kPaused;
}

}  // namespace

void FakeHypervisor::FailNext(const std::string& method, const absl::Status& status, When when) {
  MutexLock lock(mutex_);
  failures_[method] = {status, when};
}

void FakeHypervisor::OnCall(const std::string& method, std::function<void()> hook) {
  MutexLock lock(mutex_);
  hooks_[method] = std::move(hook);
}

void FakeHypervisor::SetReachable(bool reachable) {
  HypervisorObserver* observer = nullptr;
  {
    MutexLock lock(mutex_);
    reachable_ = reachable;
    observer = observer_;
  }
  if (observer != nullptr) observer->OnReachable(reachable, reachable ? "" : "away");
}

void FakeHypervisor::SetObserver(HypervisorObserver* observer) {
  MutexLock lock(mutex_);
  observer_ = observer;
}

void FakeHypervisor::SetGuestsObey(bool obey) {
  MutexLock lock(mutex_);
  obey_ = obey;
}

void FakeHypervisor::Change(const std::string& id, DomainState state) {
  HypervisorObserver* observer = nullptr;
  {
    MutexLock lock(mutex_);
    domains_[id].state = state;
    if (state == DomainState::kCrashed) domains_[id].detail = "the guest crashed";
    observer = observer_;
  }
  if (observer != nullptr) observer->OnDomainChanged(id);
}

void FakeHypervisor::PowerOffByGuest(const std::string& id) { Change(id, DomainState::kOff); }
void FakeHypervisor::Crash(const std::string& id) { Change(id, DomainState::kCrashed); }
void FakeHypervisor::StartBehindOurBack(const std::string& id) {
  Change(id, DomainState::kRunning);
}

Access FakeHypervisor::AccessOf(const std::string& id) {
  MutexLock lock(mutex_);
  const auto found = access_.find(id);
  return found == access_.end() ? Access::kOpen : found->second;
}

std::vector<std::string> FakeHypervisor::Calls() {
  MutexLock lock(mutex_);
  return calls_;
}

absl::Status FakeHypervisor::Act(const std::string& method, const std::string& id,
                                 const std::function<absl::Status(Domain*)>& act) {
  std::function<void()> hook;
  {
    MutexLock lock(mutex_);
    const auto found = hooks_.find(method);
    if (found != hooks_.end()) hook = found->second;
  }
  if (hook) hook();
  MutexLock lock(mutex_);
  calls_.push_back(absl::StrCat(method, " ", id));
  if (!reachable_) return Unreachable();
  std::optional<Failure> failure;
  const auto found = failures_.find(method);
  if (found != failures_.end()) {
    failure = found->second;
    failures_.erase(found);
  }
  if (failure && failure->when == When::kBeforeActing) return failure->status;
  const auto domain = domains_.find(id);
  RETURN_IF_ERROR(act(domain == domains_.end() ? nullptr : &domain->second));
  return failure ? failure->status : absl::OkStatus();
}

absl::StatusOr<std::vector<Domain>> FakeHypervisor::List() {
  MutexLock lock(mutex_);
  if (!reachable_) return Unreachable();
  std::vector<Domain> all;
  for (const auto& [id, domain] : domains_) all.push_back(domain);
  return all;
}

absl::StatusOr<Domain> FakeHypervisor::Get(const std::string& id) {
  MutexLock lock(mutex_);
  if (!reachable_) return Unreachable();
  const auto found = domains_.find(id);
  if (found == domains_.end()) return NotFound(id);
  Domain domain = found->second;
  const bool open = !access_.count(id) || access_.at(id) == Access::kOpen;
  for (NetworkInterface& interface : domain.spec.interfaces) interface.link_up = open;
  if (IsStarted(domain)) domain.memory_mib = domain.spec.memory_mib;
  if (!IsStarted(domain)) domain.host_pid = 0;
  return domain;
}

absl::Status FakeHypervisor::Define(const DomainSpec& spec) {
  return Act("Define", spec.id, [&](Domain* domain) {
    if (domain == nullptr) {
      Domain made;
      made.ours = true;
      domain = &(domains_[spec.id] = made);
    }
    domain->spec = spec;
    return absl::OkStatus();
  });
}

absl::Status FakeHypervisor::Undefine(const std::string& id) {
  return Act("Undefine", id, [&](Domain* domain) {
    if (domain == nullptr) return absl::OkStatus();
    if (IsStarted(*domain)) return Refused("the domain runs");
    domains_.erase(id);
    std::erase_if(snapshots_, [&](const auto& entry) { return entry.first.first == id; });
    return absl::OkStatus();
  });
}

absl::Status FakeHypervisor::StartPaused(const std::string& id, StartFrom from) {
  return Act("StartPaused", id, [&](Domain* domain) {
    if (domain == nullptr) return NotFound(id);
    if (IsStarted(*domain)) return absl::OkStatus();
    if (from == StartFrom::kSavedState && domain->state != DomainState::kSaved) {
      return Refused("there is no saved state");
    }
    domain->state = DomainState::kPaused;
    domain->host_pid = next_pid_++;
    access_.erase(id);
    return absl::OkStatus();
  });
}

absl::Status FakeHypervisor::Run(const std::string& id) {
  return Act("Run", id, [&](Domain* domain) {
    if (domain == nullptr) return NotFound(id);
    if (!IsStarted(*domain)) return Refused("the domain does not run");
    domain->state = DomainState::kRunning;
    return absl::OkStatus();
  });
}

absl::Status FakeHypervisor::Pause(const std::string& id) {
  return Act("Pause", id, [&](Domain* domain) {
    if (domain == nullptr) return NotFound(id);
    if (!IsStarted(*domain)) return Refused("the domain does not run");
    domain->state = DomainState::kPaused;
    return absl::OkStatus();
  });
}

absl::Status FakeHypervisor::RequestShutdown(const std::string& id) {
  return Act("RequestShutdown", id, [&](Domain* domain) {
    if (domain == nullptr) return NotFound(id);
    if (obey_ && domain->state == DomainState::kRunning) domain->state = DomainState::kOff;
    return absl::OkStatus();
  });
}

absl::Status FakeHypervisor::Destroy(const std::string& id) {
  return Act("Destroy", id, [&](Domain* domain) {
    if (domain != nullptr) domain->state = DomainState::kOff;
    return absl::OkStatus();
  });
}

absl::Status FakeHypervisor::Save(const std::string& id, const ActWatch& watch) {
  return Act("Save", id, [&](Domain* domain) {
    if (domain == nullptr) return NotFound(id);
    watch.on_progress(domain->spec.memory_mib << 19, domain->spec.memory_mib << 20);
    if (domain->state == DomainState::kSaved) return absl::OkStatus();
    if (!IsStarted(*domain)) return Refused("the domain does not run");
    domain->state = DomainState::kSaved;
    return absl::OkStatus();
  });
}

AccessReport FakeHypervisor::SetAccess(const std::string& id, Access access) {
  const absl::Status status = Act("SetAccess", id, [&](Domain* domain) {
    if (domain == nullptr) return NotFound(id);
    if (!IsStarted(*domain)) return Refused("the domain does not run");
    access_[id] = access;
    return absl::OkStatus();
  });
  return {status, status};
}

absl::Status FakeHypervisor::TakeSnapshot(const std::string& id, const std::string& name) {
  return Act("TakeSnapshot", id, [&](Domain* domain) {
    if (domain == nullptr) return NotFound(id);
    snapshots_.try_emplace({id, name},
                           IsStarted(*domain) ? DomainState::kPaused : DomainState::kOff);
    return absl::OkStatus();
  });
}

absl::Status FakeHypervisor::RevertToSnapshot(const std::string& id, const std::string& name) {
  return Act("RevertToSnapshot", id, [&](Domain* domain) {
    const auto found = snapshots_.find({id, name});
    if (domain == nullptr || found == snapshots_.end()) return NotFound(id);
    domain->state = found->second;
    if (IsStarted(*domain)) domain->host_pid = next_pid_++;
    return absl::OkStatus();
  });
}

absl::Status FakeHypervisor::DeleteSnapshot(const std::string& id, const std::string& name) {
  return Act("DeleteSnapshot", id, [&](Domain*) {
    snapshots_.erase({id, name});
    return absl::OkStatus();
  });
}

absl::Status FakeHypervisor::CopyLiveDisk(const std::string& id, const std::string& path,
                                          const ActWatch&) {
  return Act("CopyLiveDisk", id, [&](Domain* domain) {
    if (domain == nullptr || !IsStarted(*domain)) return Refused("the domain does not run");
    std::error_code error;
    std::filesystem::copy_file(domain->spec.disk_path, path,
                               std::filesystem::copy_options::overwrite_existing, error);
    return error ? Refused(error.message()) : absl::OkStatus();
  });
}

absl::Status FakeHypervisor::SetGuestClock(const std::string& id) {
  return Act("SetGuestClock", id, [&](Domain*) { return absl::OkStatus(); });
}

absl::StatusOr<v1::Host> FakeHypervisor::GetHost() {
  MutexLock lock(mutex_);
  if (!reachable_) return Unreachable();
  v1::Host host;
  host.set_hypervisor_type(v1::Host::HYPERVISOR_TYPE_TYPE_2);
  host.set_hypervisor_name("fake");
  host.set_accelerator("test");
  host.set_memory_total_mib(8192);
  host.set_processor_total(400);
  return host;
}

}  // namespace virmo::vm_controller
