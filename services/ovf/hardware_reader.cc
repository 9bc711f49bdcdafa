// SPDX-License-Identifier: Apache-2.0
// VirtualHardwareSection: RASD items to a machine (DSP0243 §8).
#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/ovf/reader.h"
#include "services/ovf/units.h"

namespace virmo::ovf {
namespace {

constexpr int64_t kMib = 1 << 20;
constexpr int kDefaultCpus = 1;
constexpr int64_t kDefaultMemoryMib = 1024;
constexpr int64_t kMaxCpus = 4096;

// The spelling of later versions, or that of tools that wrote before it was fixed.
std::string InstanceOf(const Element& item) {
  const std::string id = item.ChildText("InstanceID");
  return id.empty() ? item.ChildText("InstanceId") : id;
}

std::string NameOf(const Element& item) {
  const std::string name = item.ChildText("ElementName");
  return name.empty() ? item.ChildText("Caption") : name;
}

bool IsItem(const Element& element) {
  return IsOvf(element) && (element.name == "Item" || element.name == "StorageItem" ||
                            element.name == "EthernetPortItem");
}

class Hardware {
 public:
  Hardware(const ReaderContext& context, const Descriptor& descriptor, VirtualSystem& system)
      : context_(context), descriptor_(descriptor), system_(system) {}

  void Read(const Element& section);

 private:
  std::vector<Element> ChosenItems(const Element& section) const;
  void ReadSettings(const Element& section);
  bool ReadConfig(const Element& config);
  void ReadItem(const Element& item);
  void ReadProcessor(const Element& item);
  void ReadMemory(const Element& item);
  void ReadController(const Element& item, int64_t type);
  void ReadDrive(const Element& item, DriveKind kind);
  void ReadNic(const Element& item);
  void ReadOther(const Element& item, int64_t type);
  void CheckForeign(const Element& item);
  void Resolve(const Element& item, const std::string& resource, Drive& drive);
  std::optional<int64_t> Quantity(const Element& item, const char* what);
  Allocation ReadAllocation(const Element& item, double factor);
  void OrderDrives();

  struct Controller {
    std::string bus;
    std::string type;
    int number = 0;
  };

  const ReaderContext& context_;
  const Descriptor& descriptor_;
  VirtualSystem& system_;
  std::map<std::string, Controller> controllers_;
  std::map<std::string, int> controller_count_;
  std::set<std::string> ambiguous_;
};

// The items of the chosen deployment option. One that is tied to it takes the place of the one
// with its InstanceID that is not (DSP0243 §9.8).
std::vector<Element> Hardware::ChosenItems(const Element& section) const {
  std::set<std::string> tied;
  for (const Element& item : section.children) {
    if (IsItem(item) && item.Find("configuration") != nullptr && context_.IsChosen(item)) {
      tied.insert(absl::StrCat(InstanceOf(item), "/", item.Get("bound")));
      tied.insert(absl::StrCat(InstanceOf(item), "/"));
    }
  }
  std::vector<Element> items;
  for (const Element& item : section.children) {
    if (!IsItem(item) || !context_.IsChosen(item)) continue;
    const bool is_tied = item.Find("configuration") != nullptr;
    if (!is_tied && !InstanceOf(item).empty() &&
        tied.count(absl::StrCat(InstanceOf(item), "/", item.Get("bound"))) > 0) {
      continue;
    }
    items.push_back(item);
    if (!is_tied || !item.ChildText("ResourceType").empty()) continue;
    // It says only what differs.
    for (const Element& base : section.children) {
      if (!IsItem(base) || base.Find("configuration") != nullptr) continue;
      if (InstanceOf(base) != InstanceOf(item)) continue;
      for (const Element& child : base.children) {
        if (item.Child(child.name) == nullptr) items.back().children.push_back(child);
      }
    }
  }
  return items;
}

std::optional<int64_t> Hardware::Quantity(const Element& item, const char* what) {
  const std::string text = item.ChildText("VirtualQuantity");
  const std::optional<int64_t> quantity = ParseQuantity(text);
  if (quantity && *quantity > 0) return quantity;
  context_.Fault(item, text.empty() ? absl::StrCat("the ", what, " has no VirtualQuantity")
                                    : absl::StrCat("'", text, "' is no quantity of ", what));
  return std::nullopt;
}

Allocation Hardware::ReadAllocation(const Element& item, double factor) {
  const auto amount = [&](absl::string_view name) {
    const std::string text = item.ChildText(name);
    // VMware writes -1 for `no limit`.
    if (absl::StartsWith(text, "-")) return int64_t{0};
    return static_cast<int64_t>(static_cast<double>(context_.Number(item, text, 0)) * factor);
  };
  return {amount("Reservation"), amount("Limit"),
          context_.Number(item, item.ChildText("Weight"), 0)};
}

void Hardware::ReadProcessor(const Element& item) {
  const std::optional<int64_t> quantity = Quantity(item, "processors");
  if (!quantity) return;
  if (*quantity > kMaxCpus) {
    return context_.Fault(item, absl::StrCat(*quantity, " processors are too many"));
  }
  const int cpus = static_cast<int>(*quantity);
  const std::string bound = item.Get("bound");
  if (bound == "min") {
    system_.cpus_min = cpus;
  } else if (bound == "max") {
    system_.cpus_max = cpus;
  } else {
    system_.cpus += cpus;
    system_.cpu_allocation =
        ReadAllocation(item, MegahertzOfUnit(item.ChildText("AllocationUnits")).value_or(1));
    system_.cores_per_socket = static_cast<int>(
        std::min(kMaxCpus, ParseQuantity(item.ChildText("CoresPerSocket")).value_or(0)));
  }
}

void Hardware::ReadMemory(const Element& item) {
  const std::optional<int64_t> quantity = Quantity(item, "memory");
  if (!quantity) return;
  std::string unit = item.ChildText("VirtualQuantityUnits");
  if (unit.empty()) unit = item.ChildText("AllocationUnits");
  if (unit.empty()) context_.Warn(item, "the memory has no AllocationUnits; MiB are meant");
  const std::optional<int64_t> bytes = unit.empty() ? kMib : BytesOfUnit(unit);
  if (!bytes) return context_.Fault(item, absl::StrCat("'", unit, "' is not a unit of bytes"));
  const std::optional<int64_t> product = Multiply(*quantity, *bytes);
  if (!product) return context_.Fault(item, "the memory is too large");
  if (*product < kMib) return context_.Fault(item, "the memory is less than 1 MiB");
  const int64_t mib = (*product + kMib - 1) / kMib;
  const std::string bound = item.Get("bound");
  if (bound == "min") {
    system_.memory_min_mib = mib;
  } else if (bound == "max") {
    system_.memory_max_mib = mib;
  } else {
    system_.memory_mib += mib;
    system_.memory_allocation =
        ReadAllocation(item, static_cast<double>(*bytes) / static_cast<double>(kMib));
  }
}

void Hardware::ReadController(const Element& item, int64_t type) {
  std::string subtype = absl::AsciiStrToLower(item.ChildText("ResourceSubType"));
  Controller controller;
  controller.type = item.ChildText("ResourceSubType");
  if (type == kTypeIdeController) {
    controller.bus = "ide";
  } else if (type == kTypeScsiController) {
    controller.bus = absl::StrContains(subtype, "virtio") && !absl::StrContains(subtype, "scsi")
                         ? "virtio"
                         : "scsi";
  } else if (absl::StrContains(subtype, "nvme")) {
    controller.bus = "nvme";
  } else if (absl::StrContains(subtype, "virtio")) {
    controller.bus = "virtio";
  } else if (subtype.empty() || absl::StrContains(subtype, "sata") ||
             absl::StrContains(subtype, "ahci")) {
    controller.bus = "sata";
  } else {
    return ReadOther(item, type);
  }
  controller.number = controller_count_[controller.bus]++;
  controllers_[InstanceOf(item)] = controller;
}

// What a HostResource names: `ovf:/disk/id`, `/disk/id`, `ovf:/file/id`.
void Hardware::Resolve(const Element& item, const std::string& resource, Drive& drive) {
  absl::string_view rest = resource;
  absl::ConsumePrefix(&rest, "ovf:");
  while (absl::ConsumePrefix(&rest, "/")) {
  }
  if (absl::ConsumePrefix(&rest, "disk/")) {
    drive.disk_id = std::string(rest);
    if (descriptor_.FindDisk(drive.disk_id) == nullptr) {
      context_.Fault(item, absl::StrCat("its disk '", drive.disk_id, "' is not in a DiskSection"));
    }
  } else if (absl::ConsumePrefix(&rest, "file/")) {
    drive.file_id = std::string(rest);
    if (descriptor_.FindFile(drive.file_id) == nullptr) {
      context_.Fault(item, absl::StrCat("its file '", drive.file_id, "' is not in References"));
    }
  } else if (drive.kind == DriveKind::kDisk) {
    context_.Fault(item, absl::StrCat("its HostResource '", resource,
                                      "' names neither a disk nor a file of the package"));
  }
}

void Hardware::ReadDrive(const Element& item, DriveKind kind) {
  Drive drive;
  drive.kind = kind;
  drive.name = NameOf(item);
  drive.instance =
      static_cast<int>(std::min<int64_t>(ParseQuantity(InstanceOf(item)).value_or(0), 1 << 30));
  const std::string resource = item.ChildText("HostResource");
  if (!resource.empty()) Resolve(item, resource, drive);
  if (kind == DriveKind::kDisk && resource.empty()) {
    context_.Skip(item, "a disk without HostResource has no content");
    return;
  }
  const Disk* disk = descriptor_.FindDisk(drive.disk_id);
  if (disk != nullptr && absl::StrContains(absl::AsciiStrToLower(disk->format), "ecma")) {
    drive.kind = DriveKind::kCdrom;
  }
  const std::string parent = item.ChildText("Parent");
  const auto controller = controllers_.find(parent);
  if (controller != controllers_.end()) {
    drive.bus = controller->second.bus;
    drive.controller_type = controller->second.type;
    drive.controller = controller->second.number;
    if (ambiguous_.count(parent) > 0) {
      context_.Fault(item, absl::StrCat("its Parent ", parent, " is the InstanceID of two items"));
    }
  } else if (!parent.empty()) {
    context_.Warn(item, absl::StrCat("its Parent ", parent, " is no controller that is known"));
  }
  drive.address = static_cast<int>(
      std::min<int64_t>(ParseQuantity(item.ChildText("AddressOnParent")).value_or(-1), 1 << 20));
  if (kind == DriveKind::kFloppy && resource.empty()) {
    return context_.Warn(item, "an empty floppy drive; left out");
  }
  system_.drives.push_back(std::move(drive));
}

void Hardware::ReadNic(const Element& item) {
  Nic nic;
  nic.name = NameOf(item);
  nic.network = item.ChildText("Connection");
  const std::vector<std::string> models =
      absl::StrSplit(item.ChildText("ResourceSubType"), absl::ByAnyChar(" ,"), absl::SkipEmpty());
  if (!models.empty()) nic.model = models.front();
  std::string address = absl::AsciiStrToLower(item.ChildText("Address"));
  std::replace(address.begin(), address.end(), '-', ':');
  const std::vector<std::string> octets = absl::StrSplit(address, ':');
  const bool is_mac =
      octets.size() == 6 && std::all_of(octets.begin(), octets.end(), [](auto& o) {
        return o.size() == 2 && absl::ascii_isxdigit(o[0]) && absl::ascii_isxdigit(o[1]);
      });
  if (is_mac) {
    nic.mac_address = address;
  } else if (address.size() == 12 &&
             address.find_first_not_of("0123456789abcdef") == std::string::npos) {
    for (size_t i = 0; i < 12; i += 2) {
      absl::StrAppend(&nic.mac_address, i == 0 ? "" : ":", address.substr(i, 2));
    }
  } else if (!address.empty()) {
    context_.Warn(item, absl::StrCat("'", address, "' is no MAC address; a new one is made"));
  }
  const bool known = std::any_of(descriptor_.networks.begin(), descriptor_.networks.end(),
                                 [&](const Network& net) { return net.name == nic.network; });
  if (!nic.network.empty() && !known) {
    context_.Fault(item,
                   absl::StrCat("its network '", nic.network, "' is not in a NetworkSection"));
  }
  system_.nics.push_back(std::move(nic));
}

void Hardware::ReadOther(const Element& item, int64_t type) {
  const std::string subtype = absl::AsciiStrToLower(item.ChildText("ResourceSubType"));
  const std::string what =
      absl::StrCat("a device of type ", type,
                   subtype.empty() ? "" : absl::StrCat(" (", subtype, ")"), " cannot be given");
  // What each of our machines has in its own way, what nobody misses, and oVirt's own numbers.
  const bool harmless =
      type == 0 || type == kTypeSerial || type == kTypeParallel || type == kTypeUsb ||
      type == kTypeGraphics || type == 26 || type == kTypeSound || type == 13 ||
      type >= kTypeVendor ||
      (type == kTypeOther && (subtype.empty() || absl::StartsWith(subtype, "vmware.") ||
                              absl::StrContains(subtype, "sound"))) ||
      type == kTypeOtherStorage;
  if (subtype == "vmware.vtpm") {
    system_.tpm = true;
  } else if (harmless) {
    const std::string* required = item.Find("required");
    if (required == nullptr || !IsTrue(*required) || type == kTypeUsb || type == kTypeGraphics ||
        type == kTypeSerial || type == kTypeParallel) {
      context_.Warn(item, absl::StrCat(what, " as such; left out"));
    } else {
      context_.Skip(item, what);
    }
  } else {
    context_.Skip(item, what);
  }
}

void Hardware::CheckForeign(const Element& item) {
  for (const Element& child : item.children) {
    if (IsOvf(child) || absl::StrContains(child.ns, "/CIM_") || child.ns.empty()) continue;
    context_.Skip(child);
  }
}

void Hardware::ReadItem(const Element& item) {
  const std::string type_text = item.ChildText("ResourceType");
  const std::optional<int64_t> type = ParseQuantity(type_text);
  if (!type) {
    return context_.Fault(item, type_text.empty()
                                    ? "has no ResourceType"
                                    : absl::StrCat("'", type_text, "' is no ResourceType"));
  }
  CheckForeign(item);
  switch (*type) {
    case kTypeProcessor:
      return ReadProcessor(item);
    case kTypeMemory:
      return ReadMemory(item);
    case kTypeIdeController:
    case kTypeScsiController:
    case kTypeOtherStorage:
      return;  // Read before, since drives name them.
    case kTypeEthernet:
      return ReadNic(item);
    case kTypeFloppy:
      return ReadDrive(item, DriveKind::kFloppy);
    case kTypeCd:
    case kTypeDvd:
      return ReadDrive(item, DriveKind::kCdrom);
    case kTypeDisk:
    case kTypeStorageExtent:
      return ReadDrive(item, DriveKind::kDisk);
    default:
      return ReadOther(item, *type);
  }
}

// Whether the setting is one that we know.
bool Hardware::ReadConfig(const Element& config) {
  const std::string key = config.Get("key");
  const std::string value = absl::AsciiStrToLower(config.Get("value"));
  if (key == "firmware") {
    system_.efi = value == "efi" || value == "uefi";
    if (!system_.efi && value != "bios") {
      context_.Fault(config, absl::StrCat("the firmware '", value, "' is neither bios nor efi"),
                     FaultKind::kUnsupported);
    }
    return true;
  }
  if (absl::EndsWith(key, "efiSecureBootEnabled") || key == "uefi.secureBoot.enabled") {
    if (IsTrue(value)) system_.secure_boot = true;
    return true;
  }
  return false;
}

void Hardware::ReadSettings(const Element& section) {
  for (const absl::string_view transport :
       absl::StrSplit(section.Get("transport"), absl::ByAnyChar(" \t\r\n"), absl::SkipEmpty())) {
    system_.transports.emplace_back(transport);
  }
  const Element* head = section.Child("System");
  if (head != nullptr) {
    system_.system_type = head->ChildText("VirtualSystemType");
    CheckForeign(*head);
  }
  for (const Element& child : section.children) {
    const bool setting =
        child.ns == kVmware && (child.name == "Config" || child.name == "ExtraConfig");
    if (IsOvf(child) || (setting && ReadConfig(child))) continue;
    if (context_.Skip(child)) system_.kept_hardware.push_back(child);
  }
}

// The disks in the order of their controllers and addresses, which is that of the guest's names.
void Hardware::OrderDrives() {
  const auto rank = [](const Drive& drive) {
    return std::make_tuple(drive.kind != DriveKind::kDisk, drive.bus, drive.controller,
                           drive.address < 0 ? 1 << 20 : drive.address);
  };
  const bool all_told =
      std::all_of(system_.drives.begin(), system_.drives.end(), [](const Drive& drive) {
        return drive.kind != DriveKind::kDisk || (!drive.bus.empty() && drive.address >= 0);
      });
  std::stable_sort(system_.drives.begin(), system_.drives.end(),
                   [&](const Drive& a, const Drive& b) {
                     if (all_told) return rank(a) < rank(b);
                     return (a.kind != DriveKind::kDisk) < (b.kind != DriveKind::kDisk);
                   });
}

void Hardware::Read(const Element& section) {
  ReadSettings(section);
  const std::vector<Element> items = ChosenItems(section);
  std::map<std::string, std::string> seen;
  for (const Element& item : items) {
    const std::string instance = InstanceOf(item);
    if (instance.empty()) {
      context_.Warn(item, "has no InstanceID");
    } else {
      const std::string key = absl::StrCat(instance, "/", item.Get("bound"));
      if (!seen.emplace(key, item.ChildText("ResourceType")).second) {
        ambiguous_.insert(instance);
        context_.Warn(item, absl::StrCat("its InstanceID ", instance, " occurs twice"));
      }
    }
    const int64_t type = ParseQuantity(item.ChildText("ResourceType")).value_or(0);
    if (type == kTypeIdeController || type == kTypeScsiController || type == kTypeOtherStorage) {
      ReadController(item, type);
    }
  }
  for (const Element& item : items) ReadItem(item);
  OrderDrives();
  if (system_.cpus == 0) {
    system_.cpus = std::max(system_.cpus_min, kDefaultCpus);
    context_.Warn(section, absl::StrCat("says nothing of processors; ", system_.cpus, " is taken"));
  }
  if (system_.memory_mib == 0) {
    system_.memory_mib = system_.memory_min_mib > 0 ? system_.memory_min_mib : kDefaultMemoryMib;
    context_.Warn(section,
                  absl::StrCat("says nothing of memory; ", system_.memory_mib, " MiB are taken"));
  }
}

}  // namespace

void ReadHardware(const ReaderContext& context, const Element& section,
                  const Descriptor& descriptor, VirtualSystem& system) {
  Hardware(context, descriptor, system).Read(section);
}

}  // namespace virmo::ovf
