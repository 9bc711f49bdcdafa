// SPDX-License-Identifier: Apache-2.0
#include "services/ovf/writer.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/ovf/vocabulary.h"

namespace virmo::ovf {
namespace {

constexpr char kStreamFormat[] =
    "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized";

Element Make(const std::string& name, const std::string& text = "", const char* ns = kOvf1) {
  Element element;
  element.ns = ns;
  element.name = name;
  element.text = text;
  return element;
}

void Set(Element& element, const std::string& name, const std::string& value) {
  element.attributes.push_back({kOvf1, name, value});
}

Element& Add(Element& parent, Element child) {
  parent.children.push_back(std::move(child));
  return parent.children.back();
}

Element Section(const std::string& name, const std::string& info) {
  Element section = Make(name);
  Add(section, Make("Info", info));
  return section;
}

// A RASD item; the schema wants its parts in the order of their names, which a map has.
Element Item(const std::map<std::string, std::string>& parts) {
  Element item = Make("Item");
  for (const auto& [name, value] : parts) Add(item, Make(name, value, kRasd));
  return item;
}

Element References(const Descriptor& descriptor) {
  Element references = Make("References");
  for (const FileReference& file : descriptor.files) {
    Element& element = Add(references, Make("File"));
    Set(element, "id", file.id);
    Set(element, "href", file.href);
    Set(element, "size", absl::StrCat(file.size));
  }
  return references;
}

Element Disks(const Descriptor& descriptor) {
  Element section = Section("DiskSection", "The virtual disks");
  for (const Disk& disk : descriptor.disks) {
    Element& element = Add(section, Make("Disk"));
    Set(element, "diskId", disk.id);
    if (!disk.file_id.empty()) Set(element, "fileRef", disk.file_id);
    Set(element, "capacity", absl::StrCat(disk.capacity_bytes));
    Set(element, "capacityAllocationUnits", "byte");
    Set(element, "format", disk.format.empty() ? kStreamFormat : disk.format);
  }
  return section;
}

Element Networks(const Descriptor& descriptor) {
  Element section = Section("NetworkSection", "The networks");
  for (const Network& network : descriptor.networks) {
    Element& element = Add(section, Make("Network"));
    Set(element, "name", network.name);
    Add(element, Make("Description", network.description));
  }
  return section;
}

Element PropertyOf(const Property& property, const std::string& key) {
  Element element = Make("Property");
  Set(element, "key", key);
  Set(element, "type", property.type);
  if (!property.qualifiers.empty()) Set(element, "qualifiers", property.qualifiers);
  if (property.user_configurable) Set(element, "userConfigurable", "true");
  // A password stays on the device.
  if (!property.value.empty() && !property.password) Set(element, "value", property.value);
  if (property.password) Set(element, "password", "true");
  if (!property.label.empty()) Add(element, Make("Label", property.label));
  if (!property.description.empty()) Add(element, Make("Description", property.description));
  return element;
}

Element ProductOf(const Product& product) {
  Element section = Make("ProductSection");
  if (!product.class_name.empty()) Set(section, "class", product.class_name);
  if (!product.instance.empty()) Set(section, "instance", product.instance);
  Add(section, Make("Info", "The product"));
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, std::string>>{{"Product", product.name},
                                                        {"Vendor", product.vendor},
                                                        {"Version", product.version},
                                                        {"FullVersion", product.full_version}}) {
    if (!value.empty()) Add(section, Make(name, value));
  }
  std::string category;
  for (const Property& property : product.properties) {
    if (property.category != category) Add(section, Make("Category", property.category));
    category = property.category;
    // Back to the short key that FullKey() made the full one of.
    std::string key = property.key;
    if (!product.class_name.empty()) key.erase(0, product.class_name.size() + 1);
    if (!product.instance.empty()) key.resize(key.size() - product.instance.size() - 1);
    Add(section, PropertyOf(property, key));
  }
  return section;
}

Element System(const VirtualSystem& system) {
  Element head = Make("System");
  Add(head, Make("ElementName", "Virtual Hardware Family", kVssd));
  Add(head, Make("InstanceID", "0", kVssd));
  Add(head, Make("VirtualSystemIdentifier", system.name, kVssd));
  Add(head,
      Make("VirtualSystemType", system.system_type.empty() ? "vmx-13" : system.system_type, kVssd));
  return head;
}

void AddDrives(const Descriptor& descriptor, const VirtualSystem& system, Element& section,
               int& instance) {
  const std::string controller = absl::StrCat(instance++);
  Add(section, Item({{"Address", "0"},
                     {"Description", "SATA controller"},
                     {"ElementName", "SATA controller 0"},
                     {"InstanceID", controller},
                     {"ResourceSubType", "AHCI"},
                     {"ResourceType", absl::StrCat(kTypeOtherStorage)}}));
  int address = 0;
  for (const Drive& drive : system.drives) {
    if (drive.kind != DriveKind::kDisk || descriptor.FindDisk(drive.disk_id) == nullptr) continue;
    Add(section, Item({{"AddressOnParent", absl::StrCat(address)},
                       {"ElementName", absl::StrCat("Hard disk ", address + 1)},
                       {"HostResource", absl::StrCat("ovf:/disk/", drive.disk_id)},
                       {"InstanceID", absl::StrCat(instance++)},
                       {"Parent", controller},
                       {"ResourceType", absl::StrCat(kTypeDisk)}}));
    ++address;
  }
}

void AddNics(const VirtualSystem& system, Element& section, int& instance) {
  int number = 0;
  for (const Nic& nic : system.nics) {
    std::map<std::string, std::string> parts = {
        {"AutomaticAllocation", "true"},
        {"Connection", nic.network},
        {"ElementName", absl::StrCat("Ethernet ", ++number)},
        {"InstanceID", absl::StrCat(instance++)},
        {"ResourceType", absl::StrCat(kTypeEthernet)}};
    if (!nic.mac_address.empty()) parts["Address"] = nic.mac_address;
    if (!nic.model.empty()) parts["ResourceSubType"] = nic.model;
    Add(section, Item(parts));
  }
}

Element Config(const std::string& key, const std::string& value) {
  Element config = Make("Config", "", kVmware);
  Set(config, "required", "false");
  config.attributes.push_back({kVmware, "key", key});
  config.attributes.push_back({kVmware, "value", value});
  return config;
}

Element Hardware(const Descriptor& descriptor, const VirtualSystem& system) {
  Element section = Make("VirtualHardwareSection");
  if (!system.transports.empty()) Set(section, "transport", absl::StrJoin(system.transports, " "));
  Add(section, Make("Info", "Virtual hardware"));
  Add(section, System(system));
  int instance = 1;
  Add(section, Item({{"AllocationUnits", "hertz * 10^6"},
                     {"Description", "Number of virtual CPUs"},
                     {"ElementName", absl::StrCat(system.cpus, " virtual CPU(s)")},
                     {"InstanceID", absl::StrCat(instance++)},
                     {"ResourceType", absl::StrCat(kTypeProcessor)},
                     {"VirtualQuantity", absl::StrCat(system.cpus)}}));
  Add(section, Item({{"AllocationUnits", "byte * 2^20"},
                     {"Description", "Memory Size"},
                     {"ElementName", absl::StrCat(system.memory_mib, " MB of memory")},
                     {"InstanceID", absl::StrCat(instance++)},
                     {"ResourceType", absl::StrCat(kTypeMemory)},
                     {"VirtualQuantity", absl::StrCat(system.memory_mib)}}));
  AddDrives(descriptor, system, section, instance);
  AddNics(system, section, instance);
  Add(section, Config("firmware", system.efi ? "efi" : "bios"));
  if (system.secure_boot) Add(section, Config("bootOptions.efiSecureBootEnabled", "true"));
  for (const Element& kept : system.kept_hardware) Add(section, kept);
  return section;
}

Element SystemOf(const Descriptor& descriptor, const VirtualSystem& system) {
  Element element = Make("VirtualSystem");
  Set(element, "id", system.id);
  Add(element, Make("Info", "A virtual machine"));
  Add(element, Make("Name", system.name));
  Element os = Section("OperatingSystemSection", "The operating system");
  // 1: other.
  Set(os, "id", absl::StrCat(system.os_id == 0 ? 1 : system.os_id));
  if (!system.os_description.empty()) Add(os, Make("Description", system.os_description));
  Add(element, std::move(os));
  Add(element, Hardware(descriptor, system));
  for (const std::vector<Product>* products : {&descriptor.collection_products, &system.products}) {
    for (const Product& product : *products) Add(element, ProductOf(product));
  }
  for (const Eula& eula : descriptor.eulas) {
    Element section = Section("EulaSection", "The licence agreement");
    Add(section, Make("License", eula.text));
    Add(element, std::move(section));
  }
  if (!system.annotation.empty()) {
    Element section = Section("AnnotationSection", "A note");
    Add(section, Make("Annotation", system.annotation));
    Add(element, std::move(section));
  }
  for (const Element& kept : system.kept) Add(element, kept);
  return element;
}

}  // namespace

std::string WriteDescriptor(const Descriptor& descriptor) {
  Element root = Make("Envelope");
  Add(root, References(descriptor));
  Add(root, Disks(descriptor));
  Add(root, Networks(descriptor));
  for (const Element& kept : descriptor.kept) Add(root, kept);
  for (const VirtualSystem& system : descriptor.systems) Add(root, SystemOf(descriptor, system));
  return PrintXml(root, {{kOvf1, "ovf"}, {kRasd, "rasd"}, {kVssd, "vssd"}, {kVmware, "vmw"}});
}

std::string WriteManifest(const std::vector<FileDigest>& files) {
  std::string manifest;
  for (const FileDigest& file : files) {
    absl::StrAppend(&manifest, "SHA256(", file.name, ")= ", file.sha256, "\n");
  }
  return manifest;
}

}  // namespace virmo::ovf
