// SPDX-License-Identifier: Apache-2.0
// The part of LibvirtHypervisor that takes domains back in time, and copies disks in use.
#include <pugixml.hpp>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "vm-controller/libvirt/domain_xml.h"
#include "vm-controller/libvirt/handles.h"
#include "vm-controller/libvirt/libvirt_error.h"
#include "vm-controller/libvirt/libvirt_hypervisor.h"
#include "vm-controller/libvirt/parking.h"

namespace virmo::vm_controller {
namespace {

constexpr absl::Duration kLookEvery = absl::Milliseconds(100);
constexpr absl::Duration kAgentPatience = absl::Seconds(5);
constexpr int kAgentTimeoutSeconds = 5;

std::string Print(const pugi::xml_document& document) {
  std::ostringstream text;
  document.print(text, "", pugi::format_raw);
  return text.str();
}

// Every qcow2 disk is part of it, and the memory of a domain that is started.
std::string SnapshotXml(const std::string& domain_xml, const std::string& name) {
  pugi::xml_document domain;
  domain.load_buffer(domain_xml.data(), domain_xml.size());
  pugi::xml_document document;
  pugi::xml_node snapshot = document.append_child("domainsnapshot");
  snapshot.append_child("name").text().set(name.c_str());
  pugi::xml_node disks = snapshot.append_child("disks");
  for (const pugi::xml_node& disk : domain.child("domain").child("devices").children("disk")) {
    const bool qcow2 = std::string(disk.child("driver").attribute("type").value()) == "qcow2";
    pugi::xml_node added = disks.append_child("disk");
    added.append_attribute("name").set_value(disk.child("target").attribute("dev").value());
    added.append_attribute("snapshot").set_value(qcow2 ? "internal" : "no");
  }
  return Print(document);
}

std::string BackupXml(const std::string& path) {
  pugi::xml_document document;
  pugi::xml_node backup = document.append_child("domainbackup");
  backup.append_attribute("mode").set_value("push");
  pugi::xml_node disk = backup.append_child("disks").append_child("disk");
  disk.append_attribute("name").set_value("vda");
  disk.append_attribute("type").set_value("file");
  disk.append_attribute("backupmode").set_value("full");
  disk.append_child("target").append_attribute("file").set_value(path.c_str());
  disk.append_child("driver").append_attribute("type").set_value("qcow2");
  return Print(document);
}

bool HoldsMemory(virDomainSnapshotPtr snapshot) {
  const std::string xml = TakeText(virDomainSnapshotGetXMLDesc(snapshot, 0));
  pugi::xml_document document;
  document.load_buffer(xml.data(), xml.size());
  const std::string state = document.child("domainsnapshot").child_value("state");
  return state == "running" || state == "paused";
}

struct JobStats {
  int type = VIR_DOMAIN_JOB_NONE;
  int64_t done = 0;
  int64_t total = 0;
  bool success = true;
  std::string error;
};

absl::StatusOr<JobStats> ReadJob(virDomainPtr domain, unsigned flags) {
  JobStats stats;
  virTypedParameterPtr parameters = nullptr;
  int count = 0;
  if (virDomainGetJobStats(domain, &stats.type, &parameters, &count, flags) != 0) {
    return LibvirtError("ask how far a copy is");
  }
  unsigned long long number = 0;
  int success = 1;
  const char* text = nullptr;
  if (virTypedParamsGetULLong(parameters, count, VIR_DOMAIN_JOB_DISK_PROCESSED, &number) == 1) {
    stats.done = static_cast<int64_t>(number);
  }
  if (virTypedParamsGetULLong(parameters, count, VIR_DOMAIN_JOB_DISK_TOTAL, &number) == 1) {
    stats.total = static_cast<int64_t>(number);
  }
  if (virTypedParamsGetBoolean(parameters, count, VIR_DOMAIN_JOB_SUCCESS, &success) == 1) {
    stats.success = success != 0;
  }
  if (virTypedParamsGetString(parameters, count, VIR_DOMAIN_JOB_ERRMSG, &text) == 1) {
    stats.error = text;
  }
  virTypedParamsFree(parameters, count);
  return stats;
}

bool IsUnderWay(const JobStats& stats) {
  return stats.type == VIR_DOMAIN_JOB_BOUNDED || stats.type == VIR_DOMAIN_JOB_UNBOUNDED;
}

// A copy that a killed process of ours began: its file is not wanted any more.
void EndOldJob(virDomainPtr domain) {
  absl::StatusOr<JobStats> stats = ReadJob(domain, 0);
  if (!stats.ok() || !IsUnderWay(*stats)) return;
  virDomainAbortJob(domain);
  while ((stats = ReadJob(domain, 0)).ok() && IsUnderWay(*stats)) absl::SleepFor(kLookEvery);
}

absl::Status AwaitCopy(virDomainPtr domain, const ActWatch& watch) {
  bool cancelled = false;
  while (true) {
    ASSIGN_OR_RETURN(const JobStats stats, ReadJob(domain, 0));
    if (!IsUnderWay(stats)) break;
    watch.on_progress(stats.done, stats.total);
    if (!cancelled && watch.is_cancelled()) cancelled = virDomainAbortJob(domain) == 0;
    absl::SleepFor(kLookEvery);
  }
  if (cancelled) return Error(v1::ErrorInfo::REASON_CANCELLED, "cancelled while it was copied");
  ASSIGN_OR_RETURN(const JobStats stats, ReadJob(domain, VIR_DOMAIN_JOB_STATS_COMPLETED));
  if (stats.type == VIR_DOMAIN_JOB_COMPLETED && stats.success) return absl::OkStatus();
  return Error(v1::ErrorInfo::REASON_HYPERVISOR_FAILED,
               absl::StrCat("the disk could not be copied: ",
                            stats.error.empty() ? "the copy broke off" : stats.error));
}

}  // namespace

absl::Status LibvirtHypervisor::WithDomain(const std::string& what, const std::string& id,
                                           const std::function<absl::Status(virDomainPtr)>& act) {
  ASSIGN_OR_RETURN(const ConnectPtr connect, connection_.Get());
  const DomainPtr domain(virDomainLookupByUUIDString(connect.get(), id.c_str()));
  if (domain == nullptr) {
    return Failed(connect.get(), absl::StrCat(what, " domain ", DomainName(id)));
  }
  return act(domain.get());
}

absl::Status LibvirtHypervisor::TakeSnapshot(const std::string& id, const std::string& name) {
  return WithDomain("take a snapshot of", id, [&](virDomainPtr domain) {
    if (SnapshotPtr(virDomainSnapshotLookupByName(domain, name.c_str(), 0)) != nullptr) {
      return absl::OkStatus();
    }
    const std::string xml = SnapshotXml(TakeText(virDomainGetXMLDesc(domain, 0)), name);
    if (SnapshotPtr(virDomainSnapshotCreateXML(domain, xml.c_str(), 0)) != nullptr) {
      return absl::OkStatus();
    }
    return Failed(virDomainGetConnect(domain), absl::StrCat("take snapshot ", name));
  });
}

absl::Status LibvirtHypervisor::RevertToSnapshot(const std::string& id, const std::string& name) {
  return WithDomain("revert", id, [&](virDomainPtr domain) {
    const SnapshotPtr snapshot(virDomainSnapshotLookupByName(domain, name.c_str(), 0));
    const std::string action = absl::StrCat("revert to snapshot ", name);
    if (snapshot == nullptr || DropSavedState(domain) != 0) {
      return Failed(virDomainGetConnect(domain), action);
    }
    unsigned flags = 0;
    if (!IsTestDriver(domain)) flags |= VIR_DOMAIN_SNAPSHOT_REVERT_FORCE;
    if (HoldsMemory(snapshot.get())) flags |= VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED;
    if (virDomainRevertToSnapshot(snapshot.get(), flags) == 0) return absl::OkStatus();
    return Failed(virDomainGetConnect(domain), action);
  });
}

absl::Status LibvirtHypervisor::DeleteSnapshot(const std::string& id, const std::string& name) {
  return WithDomain("delete a snapshot of", id, [&](virDomainPtr domain) {
    const SnapshotPtr snapshot(virDomainSnapshotLookupByName(domain, name.c_str(), 0));
    if (snapshot == nullptr || virDomainSnapshotDelete(snapshot.get(), 0) == 0) {
      return absl::OkStatus();
    }
    return Failed(virDomainGetConnect(domain), absl::StrCat("delete snapshot ", name));
  });
}

absl::Status LibvirtHypervisor::CopyLiveDisk(const std::string& id, const std::string& path,
                                             const ActWatch& watch) {
  return WithDomain("copy the disk of", id, [&](virDomainPtr domain) {
    if (IsTestDriver(domain)) return Hypervisor::CopyLiveDisk(id, path, watch);
    EndOldJob(domain);
    if (virDomainBackupBegin(domain, BackupXml(path).c_str(), nullptr,
                             VIR_DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL) != 0) {
      return Failed(virDomainGetConnect(domain), "copy the disk of a running domain");
    }
    return AwaitCopy(domain, watch);
  });
}

absl::Status LibvirtHypervisor::SetGuestClock(const std::string& id) {
  return WithDomain("set the clock of", id, [&](virDomainPtr domain) {
    if (IsTestDriver(domain)) return Hypervisor::SetGuestClock(id);
    virDomainAgentSetResponseTimeout(domain, kAgentTimeoutSeconds, 0);
    for (const absl::Time end = absl::Now() + kAgentPatience; absl::Now() < end;) {
      const absl::Duration now = absl::Now() - absl::UnixEpoch();
      if (virDomainSetTime(domain, absl::ToInt64Seconds(now),
                           static_cast<unsigned>(absl::ToInt64Nanoseconds(now) % 1000000000),
                           0) == 0) {
        return absl::OkStatus();
      }
      if (virDomainIsActive(domain) != 1) break;
      absl::SleepFor(kLookEvery);
    }
    return Failed(virDomainGetConnect(domain), "set the clock of the guest");
  });
}

}  // namespace virmo::vm_controller
