// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/libvirt/libvirt_resources.h"

#include <libvirt/virterror.h>

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "vm-controller/libvirt/device_xml.h"
#include "vm-controller/libvirt/domain_xml.h"
#include "vm-controller/libvirt/handles.h"
#include "vm-controller/libvirt/libvirt_error.h"

namespace virmo::vm_controller {
namespace {

constexpr int64_t kDefaultShares = 1024;  // Of a control group; our default weight is 100.
constexpr int64_t kDefaultWeight = 100;
constexpr int64_t kPeriodMicroseconds = 100'000;
constexpr char kThrottleGroup[] = "virmo";

struct Opened {
  ConnectPtr connect;
  DomainPtr domain;
};

absl::StatusOr<Opened> Open(Connection& connection, const std::string& id) {
  Opened opened;
  ASSIGN_OR_RETURN(opened.connect, connection.Get());
  opened.domain.reset(virDomainLookupByUUIDString(opened.connect.get(), id.c_str()));
  if (opened.domain == nullptr) return LibvirtError(absl::StrCat("find domain ", DomainName(id)));
  if (IsTestDriver(opened.domain.get())) {
    return Error(v1::ErrorInfo::REASON_NOT_SUPPORTED,
                 "this hypervisor cannot limit a running virtual machine");
  }
  return opened;
}

// libvirt's list of named values, owned.
class Parameters {
 public:
  ~Parameters() { virTypedParamsFree(values_, count_); }
  Parameters() = default;
  Parameters(const Parameters&) = delete;
  Parameters& operator=(const Parameters&) = delete;

  void AddUnsigned(const char* name, int64_t value) {
    virTypedParamsAddULLong(&values_, &count_, &room_, name, static_cast<uint64_t>(value));
  }
  void AddSigned(const char* name, int64_t value) {
    virTypedParamsAddLLong(&values_, &count_, &room_, name, value);
  }
  void AddText(const char* name, const char* value) {
    virTypedParamsAddString(&values_, &count_, &room_, name, value);
  }
  virTypedParameterPtr values() const { return values_; }
  int count() const { return count_; }

 private:
  virTypedParameterPtr values_ = nullptr;
  int count_ = 0;
  int room_ = 0;
};

// Reads named numbers: `call` fills the list, or only counts when the list is nullptr.
template <typename Call>
std::map<std::string, int64_t> ReadNumbers(int count, Call call) {
  std::map<std::string, int64_t> numbers;
  if (count <= 0) return numbers;
  std::vector<virTypedParameter> values(static_cast<size_t>(count));
  if (call(values.data(), &count) != 0) return numbers;
  for (int i = 0; i < count; ++i) {
    const virTypedParameter& value = values[static_cast<size_t>(i)];
    if (value.type == VIR_TYPED_PARAM_ULLONG) {
      numbers[value.field] = static_cast<int64_t>(value.value.ul);
    } else if (value.type == VIR_TYPED_PARAM_LLONG) {
      numbers[value.field] = value.value.l;
    }
  }
  virTypedParamsClear(values.data(), count);
  return numbers;
}

// The domain's own disks; what is plugged in is not its storage.
std::vector<std::string> OwnDisks(virDomainPtr domain) {
  std::vector<std::string> targets;
  for (const LiveDevice& device : ReadDevices(TakeText(virDomainGetXMLDesc(domain, 0)))) {
    if (device.element == "disk" && !device.source.empty() && !IsOurDevice(device.alias)) {
      targets.push_back(device.target);
    }
  }
  return targets;
}

void ReadMemory(virDomainPtr domain, LiveResources& resources) {
  virDomainMemoryStatStruct stats[VIR_DOMAIN_MEMORY_STAT_NR];
  const int count = virDomainMemoryStats(domain, stats, VIR_DOMAIN_MEMORY_STAT_NR, 0);
  for (int i = 0; i < count; ++i) {
    if (stats[i].tag == VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON) {
      resources.memory_mib = static_cast<int64_t>(stats[i].val / 1024);
    }
  }
  resources.memory_max_mib = static_cast<int64_t>(virDomainGetMaxMemory(domain) / 1024);
}

void ReadCpu(virDomainPtr domain, LiveResources& resources) {
  resources.cpu_count = std::max(0, virDomainGetVcpusFlags(domain, VIR_DOMAIN_AFFECT_LIVE));
  resources.cpu_max = std::max(0, virDomainGetMaxVcpus(domain));
  int count = 0;
  free(virDomainGetSchedulerType(domain, &count));
  const auto numbers = ReadNumbers(count, [&](virTypedParameterPtr values, int* size) {
    return virDomainGetSchedulerParametersFlags(domain, values, size, VIR_DOMAIN_AFFECT_LIVE);
  });
  const auto number = [&](const char* name) {
    const auto found = numbers.find(name);
    return found == numbers.end() ? int64_t{0} : found->second;
  };
  resources.cpu_weight = number("cpu_shares") * kDefaultWeight / kDefaultShares;
  const int64_t quota = number("global_quota"), period = number("global_period");
  if (quota > 0 && period > 0) resources.cpu_limit = quota * 100 / period;
}

void ReadBlock(virDomainPtr domain, LiveResources& resources) {
  const std::vector<std::string> disks = OwnDisks(domain);
  if (disks.empty()) return;
  int count = 0;
  if (virDomainGetBlockIoTune(domain, disks[0].c_str(), nullptr, &count, VIR_DOMAIN_AFFECT_LIVE) !=
      0) {
    return;
  }
  auto numbers = ReadNumbers(count, [&](virTypedParameterPtr values, int* size) {
    return virDomainGetBlockIoTune(domain, disks[0].c_str(), values, size, VIR_DOMAIN_AFFECT_LIVE);
  });
  resources.block.set_read_bytes_per_second(numbers["read_bytes_sec"]);
  resources.block.set_write_bytes_per_second(numbers["write_bytes_sec"]);
  resources.block.set_read_operations_per_second(numbers["read_iops_sec"]);
  resources.block.set_write_operations_per_second(numbers["write_iops_sec"]);
}

}  // namespace

absl::StatusOr<LiveResources> LibvirtResources::GetResources(const std::string& id) {
  ASSIGN_OR_RETURN(const Opened opened, Open(connection_, id));
  LiveResources resources;
  ReadMemory(opened.domain.get(), resources);
  ReadCpu(opened.domain.get(), resources);
  ReadBlock(opened.domain.get(), resources);
  return resources;
}

absl::Status LibvirtResources::SetMemory(const std::string& id, int64_t mib) {
  ASSIGN_OR_RETURN(const Opened opened, Open(connection_, id));
  const auto kib = static_cast<unsigned long>(mib * 1024);
  if (virDomainSetMemoryFlags(opened.domain.get(), kib, VIR_DOMAIN_AFFECT_LIVE) == 0) {
    return absl::OkStatus();
  }
  return LibvirtError("set the memory of a domain");
}

absl::Status LibvirtResources::SetCpuCount(const std::string& id, int count) {
  ASSIGN_OR_RETURN(const Opened opened, Open(connection_, id));
  if (virDomainSetVcpusFlags(opened.domain.get(), static_cast<unsigned>(count),
                             VIR_DOMAIN_AFFECT_LIVE) == 0) {
    return absl::OkStatus();
  }
  return LibvirtError("set the number of virtual CPUs of a domain");
}

absl::Status LibvirtResources::SetCpuShare(const std::string& id, int64_t weight, int64_t limit) {
  ASSIGN_OR_RETURN(const Opened opened, Open(connection_, id));
  Parameters parameters;
  parameters.AddUnsigned("cpu_shares",
                         std::max(int64_t{2}, weight * kDefaultShares / kDefaultWeight));
  parameters.AddUnsigned("global_period", kPeriodMicroseconds);
  parameters.AddSigned("global_quota", limit == 0 ? -1 : limit * kPeriodMicroseconds / 100);
  if (virDomainSetSchedulerParametersFlags(opened.domain.get(), parameters.values(),
                                           parameters.count(), VIR_DOMAIN_AFFECT_LIVE) == 0) {
    return absl::OkStatus();
  }
  // The domain was checked to run: what is not valid is the host, which has no control groups.
  const virError* error = virGetLastError();
  if (error != nullptr && error->code == VIR_ERR_OPERATION_INVALID) {
    return Error(v1::ErrorInfo::REASON_NOT_SUPPORTED,
                 absl::StrCat("this host cannot limit CPU: ", error->message));
  }
  return LibvirtError("set the CPU share of a domain");
}

absl::Status LibvirtResources::SetBlockRates(const std::string& id, const v1::BlockRates& rates) {
  ASSIGN_OR_RETURN(const Opened opened, Open(connection_, id));
  // One group: its disks have the rates together, not each.
  Parameters parameters;
  parameters.AddUnsigned("read_bytes_sec", rates.read_bytes_per_second());
  parameters.AddUnsigned("write_bytes_sec", rates.write_bytes_per_second());
  parameters.AddUnsigned("read_iops_sec", rates.read_operations_per_second());
  parameters.AddUnsigned("write_iops_sec", rates.write_operations_per_second());
  parameters.AddText("group_name", absl::StrCat(kThrottleGroup, "-", id).c_str());
  for (const std::string& disk : OwnDisks(opened.domain.get())) {
    if (virDomainSetBlockIoTune(opened.domain.get(), disk.c_str(), parameters.values(),
                                parameters.count(), VIR_DOMAIN_AFFECT_LIVE) != 0) {
      return LibvirtError(absl::StrCat("throttle disk ", disk));
    }
  }
  return absl::OkStatus();
}

}  // namespace virmo::vm_controller
