// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "services/ovf/element.h"
#include "services/ovf/findings.h"

namespace virmo::ovf {

// An OVF descriptor (DSP0243) as it is for one deployment option and one language: plain values.

// References/File.
struct FileReference {
  std::string id;
  std::string href;   // Relative, percent-decoded, checked: no absolute path, no `..`.
  int64_t size = -1;  // Of the file in the package, in bytes; -1: not told.
  bool gzip = false;
  int64_t chunk_size = 0;  // Of a file in pieces `href.000000000`, …; 0: in one.
  int line = 0;
};

// DiskSection/Disk, and SharedDiskSection/SharedDisk.
struct Disk {
  std::string id;
  std::string file_id;  // Empty: a blank disk.
  std::string format;   // The URI, as written.
  int64_t capacity_bytes = 0;
  int64_t populated_bytes = 0;
  bool shared = false;
  bool read_only = false;
  int line = 0;
};

// NetworkSection/Network.
struct Network {
  std::string name;
  std::string description;
  std::vector<Element> port_profiles;  // NetworkPortProfile and …URI as written (2.x), kept.
};

// ProductSection/Property.
struct Property {
  std::string key;  // `[class.]key[.instance]`.
  std::string type;
  std::string label;
  std::string description;
  std::string category;
  std::string qualifiers;
  std::string value;  // The default; empty if none.
  bool user_configurable = false;
  bool password = false;  // Never shown.
  int line = 0;
};

// ProductSection.
struct Product {
  std::string class_name;
  std::string instance;
  std::string name;
  std::string vendor;
  std::string version;
  std::string full_version;
  std::vector<Property> properties;
};

enum class DriveKind { kDisk, kCdrom, kFloppy };

// A drive of a virtual machine: RASD 14 to 17 and 31.
struct Drive {
  DriveKind kind = DriveKind::kDisk;
  std::string name;
  std::string disk_id;          // Of a disk, or of a CD that is written as one.
  std::string file_id;          // Of a CD or floppy with a file of its own.
  std::string bus;              // `ide`, `scsi`, `sata`, `nvme`, `virtio`; empty: unknown.
  std::string controller_type;  // `lsilogic`, `AHCI`: as written.
  int controller = 0;           // The how-manieth of its bus.
  int address = -1;             // AddressOnParent; -1: not told.
  int instance = 0;             // Orders what has no address.
};

// RASD 10.
struct Nic {
  std::string name;
  std::string network;
  std::string mac_address;  // `52:54:00:12:34:56`; empty: not told.
  std::string model;        // As written: `E1000`, `VmxNet3`.
};

// Reservation, limit and weight of a resource: in MiB for memory, in MHz for processors.
struct Allocation {
  int64_t reservation = 0;
  int64_t limit = 0;
  int64_t weight = 0;
};

// What StartupSection says of a member (DSP0243 §9.7).
struct Startup {
  int order = 0;
  int start_delay_seconds = 0;
  int stop_delay_seconds = 0;
  bool waits_for_guest = false;
  std::string start_action = "powerOn";  // `powerOn`, `none`.
  std::string stop_action = "powerOff";  // `powerOff`, `guestShutdown`, `none`.
};

struct Eula {
  std::string virtual_system;  // Its id; empty: of the whole package.
  std::string text;
};

struct DeploymentOption {
  std::string id;
  std::string label;
  std::string description;
  bool is_default = false;
};

struct EnvironmentFile {
  std::string file_id;
  std::string path;
};

// VirtualSystem.
struct VirtualSystem {
  std::string id;
  std::string name;  // Name, else the id.
  std::string annotation;
  int os_id = 0;  // CIM OsType; 0: not told.
  std::string os_type;
  std::string os_description;
  std::string system_type;  // `vmx-13`.
  int cpus = 0;
  int cores_per_socket = 0;
  int64_t memory_mib = 0;
  int64_t memory_min_mib = 0, memory_max_mib = 0;  // ovf:bound; 0: not told.
  int cpus_min = 0, cpus_max = 0;
  Allocation cpu_allocation;
  Allocation memory_allocation;
  bool efi = false;
  bool secure_boot = false;
  bool tpm = false;
  std::vector<Drive> drives;  // Disks in the order in which the guest sees them, then others.
  std::vector<Nic> nics;
  std::vector<std::string> boot_order;  // `disk`, `cdrom`, `network`; empty: not told.
  std::vector<Product> products;
  std::vector<std::string> transports;  // `iso`.
  std::vector<EnvironmentFile> environment_files;
  Startup startup;
  std::optional<int> install_boot_stop_delay;  // InstallSection.
  std::vector<Element> kept;           // Optional parts that we do not know, for the export,
  std::vector<Element> kept_hardware;  // and those within its VirtualHardwareSection.
  int line = 0;
};

// A whole descriptor.
struct Descriptor {
  int major_version = 1;  // 1 (1.0, 1.1) or 2, by the namespace.
  std::vector<FileReference> files;
  std::vector<Disk> disks;
  std::vector<Network> networks;
  std::vector<DeploymentOption> deployment_options;
  std::string deployment_option;  // The one that this is for; empty: there is none.
  bool is_collection = false;
  std::string collection_id;
  std::string collection_name;
  Allocation collection_cpu, collection_memory;  // ResourceAllocationSection.
  std::vector<Product> collection_products;      // Properties for every member.
  std::vector<VirtualSystem> systems;            // Nested collections are laid flat.
  std::vector<Eula> eulas;
  std::vector<Element> kept;

  const FileReference* FindFile(absl::string_view id) const;
  const Disk* FindDisk(absl::string_view id) const;
};

struct ReadOptions {
  std::string file_name;                          // Of the descriptor, for findings.
  std::string deployment_option;                  // Empty: the default.
  std::string locale;                             // `de-DE`; empty: as the descriptor is written.
  std::map<std::string, std::string> properties;  // For `${…}` in capacities.
  // Reads a message bundle or a licence beside the descriptor; unset: there is none.
  std::function<std::optional<std::string>(const std::string& href)> load;
};

// Reads a descriptor, without I/O of its own. What is wrong goes to `findings`; the result is good
// only if there are no faults. Nothing a descriptor holds can make this crash, hang, or take more
// than a small multiple of its size.
Descriptor ReadDescriptor(absl::string_view octets, const ReadOptions& options, Findings& findings);

// Checks values for the user-configurable properties against their types and qualifiers, and
// returns what every property of the system is then, by full key. INVALID_ARGUMENT for an unknown
// key or a bad value; PACKAGE_INVALID for a property without a value that needs one.
absl::StatusOr<std::map<std::string, std::string>> ResolveProperties(
    const Descriptor& descriptor, const VirtualSystem& system,
    const std::map<std::string, std::string>& values);

// Keys in `values` that no property of the whole package has.
std::vector<std::string> UnknownProperties(const Descriptor& descriptor,
                                           const std::map<std::string, std::string>& values);

}  // namespace virmo::ovf
