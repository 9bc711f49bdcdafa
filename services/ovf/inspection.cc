// SPDX-License-Identifier: Apache-2.0
#include "services/ovf/inspection.h"

#include <nlohmann/json.hpp>

#include "services/ovf/package.h"

namespace virmo::ovf {
namespace {

using Json = nlohmann::ordered_json;

Json DiskJson(const Descriptor& descriptor, const Drive& drive) {
  Json json = {{"id", drive.disk_id}, {"name", drive.name}};
  const Disk* disk = descriptor.FindDisk(drive.disk_id);
  if (disk != nullptr) {
    const FileReference* file = descriptor.FindFile(disk->file_id);
    json["capacity_bytes"] = disk->capacity_bytes;
    json["capacity_mib"] = (disk->capacity_bytes + (1 << 20) - 1) / (1 << 20);
    json["format"] = disk->format;
    json["file"] = file == nullptr ? "" : file->href;
    json["shared"] = disk->shared;
    json["read_only"] = disk->read_only;
  } else {
    const FileReference* file = descriptor.FindFile(drive.file_id);
    json["file"] = file == nullptr ? "" : file->href;
  }
  json["bus"] = drive.bus;
  json["address"] = drive.address;
  return json;
}

Json PropertyJson(const Property& property, const std::string& vm) {
  Json json = {{"key", property.key},           {"type", property.type},
               {"label", property.label},       {"description", property.description},
               {"category", property.category}, {"user_configurable", property.user_configurable},
               {"password", property.password}, {"qualifiers", property.qualifiers}};
  // Whoever reads this is not to learn a password that a package carries.
  json["value"] = property.password ? Json() : Json(property.value);
  if (!vm.empty()) json["vm"] = vm;
  return json;
}

Json SystemJson(const Descriptor& descriptor, const VirtualSystem& system) {
  Json disks = Json::array(), removable = Json::array(), nics = Json::array();
  for (const Drive& drive : system.drives) {
    Json json = DiskJson(descriptor, drive);
    if (drive.kind == DriveKind::kDisk) {
      disks.push_back(std::move(json));
    } else {
      json["kind"] = drive.kind == DriveKind::kCdrom ? "cdrom" : "floppy";
      removable.push_back(std::move(json));
    }
  }
  for (const Nic& nic : system.nics) {
    nics.push_back({{"name", nic.name},
                    {"network", nic.network},
                    {"mac", nic.mac_address},
                    {"model", nic.model}});
  }
  Json products = Json::array();
  for (const Product& product : system.products) {
    if (product.name.empty() && product.vendor.empty()) continue;
    products.push_back({{"name", product.name},
                        {"vendor", product.vendor},
                        {"version", product.version},
                        {"full_version", product.full_version}});
  }
  return {{"id", system.id},
          {"name", system.name},
          {"cpus", system.cpus},
          {"cores_per_socket", system.cores_per_socket},
          {"memory_mib", system.memory_mib},
          {"firmware", system.efi ? "efi" : "bios"},
          {"secure_boot", system.secure_boot},
          {"tpm", system.tpm},
          {"disks", disks},
          {"removable", removable},
          {"nics", nics},
          {"os_id", system.os_id},
          {"os_type", system.os_type},
          {"os", system.os_description},
          {"annotation", system.annotation},
          {"products", products},
          {"transports", system.transports},
          {"boot_order", system.boot_order},
          {"start_order", system.startup.order}};
}

Json AllProperties(const Descriptor& descriptor) {
  Json properties = Json::array();
  const auto add = [&](const std::vector<Product>& products, const std::string& vm) {
    for (const Product& product : products) {
      for (const Property& property : product.properties) {
        properties.push_back(PropertyJson(property, vm));
      }
    }
  };
  add(descriptor.collection_products, "");
  for (const VirtualSystem& system : descriptor.systems) {
    add(system.products, system.id);
  }
  return properties;
}

}  // namespace

std::optional<Descriptor> Inspect(const std::string& path, const InspectOptions& options,
                                  Findings& findings) {
  const std::unique_ptr<Package> package = Package::Open(path, findings);
  if (package == nullptr) return std::nullopt;
  ReadOptions read;
  read.file_name = package->descriptor_path();
  read.deployment_option = options.deployment_option;
  read.locale = options.locale;
  read.load = [&](const std::string& href) { return package->Load(href); };
  Descriptor descriptor = ReadDescriptor(package->descriptor(), read, findings);
  if (findings.ok()) CheckPackage(*package, descriptor, {}, findings);
  if (!findings.ok()) return std::nullopt;
  return descriptor;
}

std::string InspectionJson(const Descriptor& descriptor, const Findings& findings) {
  Json json;
  json["ovf_version"] = descriptor.major_version;
  json["vms"] = Json::array();
  for (const VirtualSystem& system : descriptor.systems) {
    json["vms"].push_back(SystemJson(descriptor, system));
  }
  json["networks"] = Json::array();
  for (const Network& network : descriptor.networks) {
    json["networks"].push_back({{"name", network.name}, {"description", network.description}});
  }
  json["properties"] = AllProperties(descriptor);
  json["eulas"] = Json::array();
  for (const Eula& eula : descriptor.eulas) {
    json["eulas"].push_back({{"vm", eula.virtual_system}, {"text", eula.text}});
  }
  json["deployment_options"] = Json::array();
  for (const DeploymentOption& option : descriptor.deployment_options) {
    json["deployment_options"].push_back({{"id", option.id},
                                          {"label", option.label},
                                          {"description", option.description},
                                          {"default", option.is_default}});
  }
  json["deployment_option"] = descriptor.deployment_option;
  json["collection"] = descriptor.is_collection ? Json(descriptor.collection_name) : Json();
  json["warnings"] = findings.warnings();
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace virmo::ovf
