// SPDX-License-Identifier: Apache-2.0
// The envelope: what belongs to the whole package.
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/ovf/reader.h"
#include "services/ovf/units.h"

namespace virmo::ovf {
namespace {

bool CheckRoot(const ReaderContext& context, const Element& root) {
  if (root.name != "Envelope") {
    context.Fault(root, "this is not an OVF descriptor: its root is not Envelope");
    return false;
  }
  if (IsOvf(root)) return true;
  if (root.ns == absl::StrCat(kOvf1, "/")) {
    context.Fault(root, "oVirt's own dialect of OVF (its namespace ends in a slash) is not read",
                  FaultKind::kUnsupported);
  } else if (absl::StartsWith(root.ns, "http://www.vmware.com/schema/ovf")) {
    context.Fault(root, "OVF 0.9 is not read; OVF 1.0, 1.1 and 2 are", FaultKind::kUnsupported);
  } else {
    context.Fault(root, absl::StrCat("the namespace '", root.ns, "' is not one of OVF 1 or 2"),
                  FaultKind::kUnsupported);
  }
  return false;
}

std::optional<std::string> PercentDecode(absl::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    if (i + 2 >= text.size() || !absl::ascii_isxdigit(text[i + 1]) ||
        !absl::ascii_isxdigit(text[i + 2])) {
      // Many tools write names as they are, a percent sign included.
      decoded += text[i];
      continue;
    }
    decoded += absl::HexStringToBytes(text.substr(i + 1, 2));
    i += 2;
  }
  for (const char c : decoded) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return std::nullopt;
  }
  return decoded;
}

// The path of a reference within the package; a fault if it leads out of it.
std::string SafePath(const ReaderContext& context, const Element& file, absl::string_view href) {
  const size_t colon = href.find(':');
  if (colon != absl::string_view::npos && colon < href.find('/') && colon > 1) {
    const absl::string_view scheme = href.substr(0, colon);
    if (scheme == "http" || scheme == "https" || scheme == "file" || scheme == "ftp") {
      context.Fault(file, absl::StrCat("'", std::string(href), "' lies outside of the package"),
                    FaultKind::kUnsupported);
      return "";
    }
  }
  std::optional<std::string> path = PercentDecode(href);
  while (path && absl::StartsWith(*path, "./")) path->erase(0, 2);
  bool safe = path && !path->empty() && path->front() != '/' && !absl::StrContains(*path, '\\');
  if (safe) {
    for (const absl::string_view part : absl::StrSplit(*path, '/')) {
      safe = safe && !part.empty() && part != "." && part != "..";
    }
  }
  if (safe) return *path;
  context.Fault(file, absl::StrCat("'", std::string(href), "' is not a path within the package"));
  return "";
}

const std::set<std::string>& EnvelopeParts() {
  static const std::set<std::string> parts = {"References",
                                              "DiskSection",
                                              "SharedDiskSection",
                                              "NetworkSection",
                                              "DeploymentOptionSection",
                                              "Strings",
                                              "VirtualSystem",
                                              "VirtualSystemCollection",
                                              "EulaSection",
                                              "AnnotationSection",
                                              "ProductSection"};
  return parts;
}

void ReadEnvelopePart(const ReaderContext& context, const Element& part, Descriptor& descriptor) {
  if (IsOvf(part) && part.name == "NetworkSection") {
    ReadNetworks(context, part, descriptor);
  } else if (IsOvf(part) && part.name == "EulaSection") {
    ReadEula(context, part, "", descriptor);
  } else if (IsOvf(part) && part.name == "EncryptionSection") {
    context.Fault(part, "the package is encrypted; decrypt it first", FaultKind::kUnsupported);
  } else if (part.name == "Signature" || part.name == "EncryptedData") {
    context.Fault(part, "an encrypted or signed envelope is not read", FaultKind::kUnsupported);
  } else if (!IsOvf(part) || EnvelopeParts().count(part.name) == 0) {
    if (context.Skip(part)) descriptor.kept.push_back(part);
  }
}

}  // namespace

void ReadReferences(const ReaderContext& context, const Element& references,
                    Descriptor& descriptor) {
  std::set<std::string> ids, paths;
  for (const Element& file : references.children) {
    if (file.name != "File") {
      context.Skip(file);
      continue;
    }
    FileReference reference;
    reference.line = file.line;
    reference.id = context.Require(file, "id");
    const std::string href = context.Require(file, "href");
    if (!href.empty()) reference.href = SafePath(context, file, href);
    reference.size = context.Number(file, file.Get("size"), -1);
    reference.chunk_size = context.Number(file, file.Get("chunkSize"), 0);
    const std::string compression = absl::AsciiStrToLower(file.Get("compression"));
    reference.gzip = compression == "gzip";
    if (!compression.empty() && compression != "gzip" && compression != "identity") {
      context.Fault(file, absl::StrCat("the compression '", compression, "' is not known here"),
                    FaultKind::kUnsupported);
    }
    if (!ids.insert(reference.id).second) context.Fault(file, "its id occurs twice");
    if (!reference.href.empty() && !paths.insert(reference.href).second) {
      context.Warn(file, "another reference is to the same file");
    }
    descriptor.files.push_back(reference);
  }
}

namespace {

// A capacity, a number or `${property}`.
std::string CapacityText(const ReaderContext& context, const Element& disk,
                         const Descriptor& descriptor, const Element& envelope_disk) {
  const std::string text = envelope_disk.Get("capacity");
  if (!absl::StartsWith(text, "${") || !absl::EndsWith(text, "}")) return text;
  const std::string key = text.substr(2, text.size() - 3);
  const auto given = context.options().properties.find(key);
  if (given != context.options().properties.end()) return given->second;
  const auto find = [&](const std::vector<Product>& products) -> const Property* {
    for (const Product& product : products) {
      for (const Property& property : product.properties) {
        if (property.key == key) return &property;
      }
    }
    return nullptr;
  };
  const Property* property = find(descriptor.collection_products);
  for (const VirtualSystem& system : descriptor.systems) {
    if (property == nullptr) property = find(system.products);
  }
  if (property != nullptr && !property->value.empty()) return property->value;
  context.Fault(disk, absl::StrCat("its capacity is the property '", key, "', which has no value"));
  return "0";
}

void ReadCapacity(const ReaderContext& context, const Element& element,
                  const Descriptor& descriptor, Disk& disk) {
  const std::string text = CapacityText(context, element, descriptor, element);
  const std::optional<int64_t> capacity = ParseQuantity(text);
  const std::string unit = element.Get("capacityAllocationUnits");
  const std::optional<int64_t> bytes = unit.empty() ? 1 : BytesOfUnit(unit);
  if (text.empty()) return context.Fault(element, "has no capacity");
  if (!capacity)
    return context.Fault(element, absl::StrCat("its capacity '", text, "' is no number"));
  if (!bytes) {
    return context.Fault(element, absl::StrCat("'", unit, "' is not a unit of bytes"));
  }
  const std::optional<int64_t> product = Multiply(*capacity, *bytes);
  if (!product) return context.Fault(element, "its capacity is too large");
  disk.capacity_bytes = *product;
}

}  // namespace

void ReadDisks(const ReaderContext& context, const Element& section, Descriptor& descriptor) {
  const bool shared = section.name == "SharedDiskSection";
  for (const Element& element : section.children) {
    if (element.name == "Info") continue;
    if (element.name != "Disk" && element.name != "SharedDisk") {
      context.Skip(element);
      continue;
    }
    Disk disk;
    disk.line = element.line;
    disk.id = context.Require(element, "diskId");
    disk.file_id = element.Get("fileRef");
    disk.format = element.Get("format");
    disk.shared = shared;
    disk.read_only = shared && IsTrue(element.Get("readOnly"));
    ReadCapacity(context, element, descriptor, disk);
    disk.populated_bytes = context.Number(element, element.Get("populatedSize"), 0);
    if (element.Find("parentRef") != nullptr) {
      context.Fault(element,
                    "a disk that builds on another (parentRef) is not read; export it whole",
                    FaultKind::kUnsupported);
    }
    if (!disk.file_id.empty() && descriptor.FindFile(disk.file_id) == nullptr) {
      context.Fault(element, absl::StrCat("its file '", disk.file_id, "' is not in References"));
    }
    if (descriptor.FindDisk(disk.id) != nullptr) context.Fault(element, "its id occurs twice");
    descriptor.disks.push_back(disk);
  }
}

void ReadNetworks(const ReaderContext& context, const Element& section, Descriptor& descriptor) {
  for (const Element& element : section.children) {
    if (element.name == "Info") continue;
    if (element.name != "Network") {
      context.Skip(element);
      continue;
    }
    Network network;
    network.name = context.Require(element, "name");
    network.description = context.ChildText(element, "Description");
    for (const Element& child : element.children) {
      if (absl::StartsWith(child.name, "NetworkPortProfile")) {
        network.port_profiles.push_back(child);
      } else if (child.name != "Description") {
        context.Skip(child);
      }
    }
    for (const Network& other : descriptor.networks) {
      if (other.name == network.name) context.Fault(element, "its name occurs twice");
    }
    descriptor.networks.push_back(std::move(network));
  }
}

void ReadDeploymentOptions(ReaderContext& context, const Element& envelope,
                           Descriptor& descriptor) {
  const Element* section = envelope.Child("DeploymentOptionSection");
  std::vector<std::string> ids;
  for (const Element& element : section == nullptr ? std::vector<Element>() : section->children) {
    if (element.name != "Configuration") continue;
    DeploymentOption option;
    option.id = context.Require(element, "id");
    option.label = context.ChildText(element, "Label");
    option.description = context.ChildText(element, "Description");
    option.is_default = IsTrue(element.Get("default"));
    ids.push_back(option.id);
    descriptor.deployment_options.push_back(std::move(option));
  }
  std::string chosen = context.options().deployment_option;
  if (chosen.empty() && !ids.empty()) {
    chosen = ids.front();
    for (const DeploymentOption& option : descriptor.deployment_options) {
      if (option.is_default) {
        chosen = option.id;
        break;
      }
    }
    for (DeploymentOption& option : descriptor.deployment_options) {
      option.is_default = option.id == chosen;
    }
  } else if (!chosen.empty() && std::find(ids.begin(), ids.end(), chosen) == ids.end()) {
    context.Fault(section == nullptr ? envelope : *section,
                  ids.empty() ? absl::StrCat("there are no deployment options, so '", chosen,
                                             "' cannot be chosen")
                              : absl::StrCat("there is no deployment option '", chosen,
                                             "'; there are: ", absl::StrJoin(ids, ", ")));
  }
  context.set_deployment_option(chosen);
  descriptor.deployment_option = chosen;
}

const FileReference* Descriptor::FindFile(absl::string_view id) const {
  for (const FileReference& file : files) {
    if (file.id == id) return &file;
  }
  return nullptr;
}

const Disk* Descriptor::FindDisk(absl::string_view id) const {
  for (const Disk& disk : disks) {
    if (disk.id == id) return &disk;
  }
  return nullptr;
}

Descriptor ReadDescriptor(absl::string_view octets, const ReadOptions& options,
                          Findings& findings) {
  Descriptor descriptor;
  Element root;
  if (!ParseXml(octets, options.file_name, root, findings)) return descriptor;
  ReaderContext context(options, findings);
  if (!CheckRoot(context, root)) return descriptor;
  descriptor.major_version = root.ns == kOvf2 ? 2 : 1;
  context.ReadStrings(root);
  ReadDeploymentOptions(context, root, descriptor);
  std::vector<const Element*> contents;
  for (const Element& part : root.children) {
    if (!IsOvf(part)) continue;
    if (part.name == "References") ReadReferences(context, part, descriptor);
    if (part.name == "VirtualSystem" || part.name == "VirtualSystemCollection") {
      contents.push_back(&part);
    }
  }
  if (contents.empty()) {
    context.Fault(root, "has neither a VirtualSystem nor a VirtualSystemCollection");
  } else if (contents.size() > 1) {
    context.Fault(*contents[1], "an envelope has one VirtualSystem or VirtualSystemCollection");
  }
  for (const Element& part : root.children) ReadEnvelopePart(context, part, descriptor);
  // What is in it names disks, and disks' capacities may name its properties: the disks' ids
  // first, without findings of their own.
  Findings ignored;
  Descriptor outline = descriptor;
  const ReaderContext quiet(options, ignored);
  for (const Element& part : root.children) {
    if (part.name == "DiskSection" || part.name == "SharedDiskSection") {
      ReadDisks(quiet, part, outline);
    }
  }
  descriptor.disks = outline.disks;
  if (!contents.empty()) ReadContent(context, *contents[0], descriptor);
  descriptor.disks.clear();
  for (const Element& part : root.children) {
    if (part.name == "DiskSection" || part.name == "SharedDiskSection") {
      ReadDisks(context, part, descriptor);
    }
  }
  return descriptor;
}

}  // namespace virmo::ovf
