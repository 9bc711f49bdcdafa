// SPDX-License-Identifier: Apache-2.0
// VirtualSystem, VirtualSystemCollection, and the sections that they have.
#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/ovf/reader.h"
#include "services/ovf/units.h"

namespace virmo::ovf {
namespace {

constexpr size_t kMaxSystems = 256;

// The hardware to take of several: one that is for QEMU if there is one, else the first.
const Element* ChooseHardware(const Element& system) {
  const Element* chosen = nullptr;
  for (const Element& section : system.children) {
    if (section.name != "VirtualHardwareSection") continue;
    if (chosen == nullptr) chosen = &section;
    const Element* head = section.Child("System");
    const std::string type =
        head == nullptr ? "" : absl::AsciiStrToLower(head->ChildText("VirtualSystemType"));
    for (const char* ours : {"kvm", "qemu"}) {
      if (type.find(ours) != std::string::npos) return &section;
    }
  }
  return chosen;
}

void ReadOperatingSystem(const ReaderContext& context, const Element& section,
                         VirtualSystem& system) {
  system.os_id =
      static_cast<int>(std::min<int64_t>(context.Number(section, section.Get("id"), 0), 65535));
  system.os_type = section.Get("osType");
  system.os_description = context.ChildText(section, "Description");
  if (system.os_type.empty()) system.os_type = section.ChildText("OSType");
}

void ReadInstall(const ReaderContext& context, const Element& section, VirtualSystem& system) {
  system.install_boot_stop_delay = static_cast<int>(
      std::min<int64_t>(context.Number(section, section.Get("initialBootStopDelay"), 0), 86400));
  context.Warn(section, "the first start installs the guest, which may then power itself off");
}

void ReadBootDevices(const ReaderContext& context, const Element& section, VirtualSystem& system) {
  for (const Element& config : section.children) {
    for (const Element& source : config.children) {
      const std::string id = absl::AsciiStrToLower(
          absl::StrCat(source.ChildText("StructuredBootString"), source.ChildText("BootString")));
      for (const auto& [word, device] : std::map<std::string, std::string>{{"cd", "cdrom"},
                                                                           {"hard", "disk"},
                                                                           {"disk", "disk"},
                                                                           {"network", "network"},
                                                                           {"pxe", "network"}}) {
        if (id.find(word) != std::string::npos) {
          if (std::find(system.boot_order.begin(), system.boot_order.end(), device) ==
              system.boot_order.end()) {
            system.boot_order.push_back(device);
          }
          break;
        }
      }
    }
  }
  if (system.boot_order.empty()) context.Warn(section, "names no device that is known here");
}

// vmw:BootOrderSection: `type` of each of its devices.
void ReadVmwareBootOrder(const Element& section, VirtualSystem& system) {
  for (const Element& device : section.children) {
    const std::string type = absl::AsciiStrToLower(device.Get("type"));
    const std::string word = type == "net" || type == "ethernet" ? "network"
                             : type == "cdrom"                   ? "cdrom"
                             : type == "disk"                    ? "disk"
                                                                 : "";
    if (!word.empty()) system.boot_order.push_back(word);
  }
}

void ReadEnvironmentFiles(const ReaderContext& context, const Element& section,
                          const Descriptor& descriptor, VirtualSystem& system) {
  for (const Element& file : section.children) {
    if (file.name != "File") continue;
    const EnvironmentFile entry = {context.Require(file, "fileRef"), context.Require(file, "path")};
    if (descriptor.FindFile(entry.file_id) == nullptr) {
      context.Fault(file, absl::StrCat("its file '", entry.file_id, "' is not in References"));
    }
    bool safe = !entry.path.empty() && entry.path.front() != '/';
    for (const absl::string_view part : absl::StrSplit(entry.path, '/')) {
      safe = safe && part != ".." && part != "." && !part.empty();
    }
    if (!safe) context.Fault(file, absl::StrCat("the path '", entry.path, "' cannot be used"));
    system.environment_files.push_back(entry);
  }
}

// What a virtual system and a collection have in common. Whether the section was one of these.
bool ReadCommonSection(const ReaderContext& context, const Element& section,
                       const std::string& owner, std::vector<Product>& products,
                       Descriptor& descriptor) {
  if (!IsOvf(section)) return false;
  if (section.name == "ProductSection") {
    products.push_back(ReadProduct(context, section));
  } else if (section.name == "EulaSection") {
    ReadEula(context, section, owner, descriptor);
  } else if (section.name == "EncryptionSection") {
    context.Fault(section, "it is encrypted; decrypt it first", FaultKind::kUnsupported);
  } else {
    return section.name == "Info" || section.name == "Name";
  }
  return true;
}

void ReadSystemSection(const ReaderContext& context, const Element& section,
                       const Element* hardware, Descriptor& descriptor, VirtualSystem& system) {
  if (ReadCommonSection(context, section, system.id, system.products, descriptor)) return;
  const bool ovf = IsOvf(section);
  if (ovf && section.name == "VirtualHardwareSection") {
    if (&section != hardware) context.Warn(section, "another hardware section suits better");
  } else if (ovf && section.name == "OperatingSystemSection") {
    ReadOperatingSystem(context, section, system);
  } else if (ovf && section.name == "AnnotationSection") {
    system.annotation = context.ChildText(section, "Annotation");
  } else if (ovf && section.name == "InstallSection") {
    ReadInstall(context, section, system);
  } else if (ovf && section.name == "BootDeviceSection") {
    ReadBootDevices(context, section, system);
  } else if (ovf && section.name == "EnvironmentFilesSection") {
    ReadEnvironmentFiles(context, section, descriptor, system);
  } else if (context.Skip(section, ovf ? "cannot be obeyed here" : "is not understood")) {
    if (section.ns == kVmware && section.name == "BootOrderSection") {
      ReadVmwareBootOrder(section, system);
    }
    if (section.ns == "http://www.virtualbox.org/ovf/machine") {
      const Element* settings = section.Child("Hardware");
      const Element* firmware = settings == nullptr ? nullptr : settings->Child("Firmware");
      if (firmware != nullptr &&
          absl::AsciiStrToUpper(firmware->Get("type")).rfind("EFI", 0) == 0) {
        system.efi = true;
      }
      return;  // It describes VirtualBox's own machine: no use to anybody else.
    }
    system.kept.push_back(section);
  }
}

void ReadSystem(const ReaderContext& context, const Element& element, Descriptor& descriptor) {
  if (descriptor.systems.size() >= kMaxSystems) {
    return context.Fault(element, absl::StrCat("more than ", kMaxSystems, " virtual systems"));
  }
  VirtualSystem system;
  system.line = element.line;
  system.id = context.Require(element, "id");
  system.name = context.ChildText(element, "Name");
  if (system.name.empty()) system.name = system.id;
  for (const VirtualSystem& other : descriptor.systems) {
    if (other.id == system.id) context.Fault(element, "its id occurs twice");
  }
  const Element* hardware = ChooseHardware(element);
  if (hardware == nullptr) {
    context.Fault(element, "has no VirtualHardwareSection");
  } else {
    ReadHardware(context, *hardware, descriptor, system);
  }
  for (const Element& section : element.children) {
    ReadSystemSection(context, section, hardware, descriptor, system);
  }
  if (system.secure_boot) system.efi = true;
  descriptor.systems.push_back(std::move(system));
}

Startup ReadStartupItem(const ReaderContext& context, const Element& item) {
  const auto number = [&](absl::string_view name) {
    return static_cast<int>(std::min<int64_t>(context.Number(item, item.Get(name), 0), 86400));
  };
  Startup startup;
  startup.order = number("order");
  startup.start_delay_seconds = number("startDelay");
  startup.stop_delay_seconds = number("stopDelay");
  startup.waits_for_guest = IsTrue(item.Get("waitingForGuest"));
  if (item.Find("startAction") != nullptr) startup.start_action = item.Get("startAction");
  if (item.Find("stopAction") != nullptr) startup.stop_action = item.Get("stopAction");
  if (startup.start_action != "powerOn" && startup.start_action != "none") {
    context.Fault(item, absl::StrCat("unknown startAction '", startup.start_action, "'"));
  }
  if (startup.stop_action != "powerOff" && startup.stop_action != "guestShutdown" &&
      startup.stop_action != "none") {
    context.Fault(item, absl::StrCat("unknown stopAction '", startup.stop_action, "'"));
  }
  return startup;
}

// ResourceAllocationSection: the sum for all members.
void ReadResourceAllocation(const ReaderContext& context, const Element& section,
                            Descriptor& descriptor) {
  for (const Element& item : section.children) {
    if (item.name == "Info") continue;
    if (item.name != "Item") {
      context.Skip(item);
      continue;
    }
    if (!context.IsChosen(item)) continue;
    const int64_t type = context.Number(item, item.ChildText("ResourceType"), 0);
    if (type != kTypeProcessor && type != kTypeMemory) {
      context.Skip(item, "allocates what cannot be allotted here");
      continue;
    }
    const std::string unit = item.ChildText("AllocationUnits");
    double factor = 1;
    if (type == kTypeMemory) {
      factor = static_cast<double>(BytesOfUnit(unit).value_or(1 << 20)) / (1 << 20);
    } else {
      factor = MegahertzOfUnit(unit).value_or(1);
    }
    Allocation& allocation =
        type == kTypeMemory ? descriptor.collection_memory : descriptor.collection_cpu;
    const auto amount = [&](absl::string_view name) {
      return static_cast<int64_t>(
          static_cast<double>(context.Number(item, item.ChildText(name), 0)) * factor);
    };
    allocation = {amount("Reservation"), amount("Limit"),
                  context.Number(item, item.ChildText("Weight"), 0)};
  }
}

void ReadCollection(const ReaderContext& context, const Element& element, int depth,
                    Descriptor& descriptor);

void ReadMembers(const ReaderContext& context, const Element& element, int depth,
                 Descriptor& descriptor) {
  std::map<std::string, Startup> startups;
  const Element* section = element.Child("StartupSection");
  for (const Element& item : section == nullptr ? std::vector<Element>() : section->children) {
    if (item.name == "Item") startups[context.Require(item, "id")] = ReadStartupItem(context, item);
  }
  struct Member {
    size_t first, last;  // Of descriptor.systems.
    Startup startup;
  };
  std::vector<Member> members;
  for (const Element& child : element.children) {
    if (!IsOvf(child)) continue;
    const size_t first = descriptor.systems.size();
    if (child.name == "VirtualSystem") ReadSystem(context, child, descriptor);
    if (child.name == "VirtualSystemCollection") {
      ReadCollection(context, child, depth + 1, descriptor);
    }
    if (descriptor.systems.size() == first) continue;
    const auto found = startups.find(child.Get("id"));
    members.push_back(
        {first, descriptor.systems.size(), found == startups.end() ? Startup() : found->second});
    if (found != startups.end()) startups.erase(found);
  }
  for (const auto& [id, startup] : startups) {
    context.Fault(*section, absl::StrCat("starts '", id, "', which is not a member"));
  }
  // Members of equal order start together; of a nested collection, its own orders follow within.
  std::stable_sort(members.begin(), members.end(), [](const Member& a, const Member& b) {
    return a.startup.order < b.startup.order;
  });
  int next = 0;
  for (size_t i = 0; i < members.size();) {
    int widest = 0;
    size_t j = i;
    for (; j < members.size() && members[j].startup.order == members[i].startup.order; ++j) {
      const bool nested = members[j].last - members[j].first > 1;
      for (size_t at = members[j].first; at < members[j].last; ++at) {
        Startup& startup = descriptor.systems[at].startup;
        const int within = nested ? startup.order : 0;
        if (!nested) startup = members[j].startup;
        startup.order = next + within;
        widest = std::max(widest, within);
      }
    }
    next += widest + 1;
    i = j;
  }
}

void ReadCollection(const ReaderContext& context, const Element& element, int depth,
                    Descriptor& descriptor) {
  if (depth == 0) {
    descriptor.is_collection = true;
    descriptor.collection_id = context.Require(element, "id");
    descriptor.collection_name = context.ChildText(element, "Name");
    if (descriptor.collection_name.empty()) descriptor.collection_name = descriptor.collection_id;
  }
  const size_t before = descriptor.systems.size();
  ReadMembers(context, element, depth, descriptor);
  if (descriptor.systems.size() == before) context.Fault(element, "has no virtual system");
  static const std::set<std::string> known = {"VirtualSystem", "VirtualSystemCollection",
                                              "StartupSection", "AnnotationSection"};
  for (const Element& section : element.children) {
    if (ReadCommonSection(context, section, "", descriptor.collection_products, descriptor)) {
      continue;
    }
    if (IsOvf(section) && known.count(section.name) > 0) continue;
    if (IsOvf(section) && section.name == "ResourceAllocationSection") {
      ReadResourceAllocation(context, section, descriptor);
    } else if (context.Skip(section,
                            IsOvf(section) ? "cannot be obeyed here" : "is not understood")) {
      descriptor.kept.push_back(section);
    }
  }
}

}  // namespace

void ReadContent(const ReaderContext& context, const Element& content, Descriptor& descriptor) {
  if (content.name == "VirtualSystemCollection") {
    ReadCollection(context, content, 0, descriptor);
  } else {
    ReadSystem(context, content, descriptor);
  }
}

}  // namespace virmo::ovf
