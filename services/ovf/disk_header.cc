// SPDX-License-Identifier: Apache-2.0
#include "services/ovf/disk_header.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/ovf/units.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"

namespace virmo::ovf {
namespace {

constexpr size_t kHead = 64 << 10;
constexpr int64_t kSector = 512;
constexpr int64_t kMaxVirtualBytes = int64_t{64} << 40;

absl::Status Refuse(const std::string& cause) {
  return Error(v1::ErrorInfo::REASON_PACKAGE_INVALID, cause, {{"cause", cause}});
}

template <typename Integer>
Integer Little(absl::string_view octets, size_t at) {
  Integer value = 0;
  for (size_t i = sizeof(Integer); i-- > 0;) {
    value = static_cast<Integer>(value << 8 | static_cast<unsigned char>(octets[at + i]));
  }
  return value;
}

uint64_t Big(absl::string_view octets, size_t at, size_t size) {
  uint64_t value = 0;
  for (size_t i = 0; i < size; ++i) value = value << 8 | static_cast<unsigned char>(octets[at + i]);
  return value;
}

// `RW 8192 SPARSE "disk.vmdk"`: one extent, in the file itself.
absl::Status CheckExtents(absl::string_view descriptor) {
  int extents = 0;
  for (const absl::string_view raw : absl::StrSplit(descriptor, '\n')) {
    const absl::string_view line = absl::StripAsciiWhitespace(raw);
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t\v\f"), absl::SkipEmpty());
    if (words.empty() || (words[0] != "RW" && words[0] != "RDONLY" && words[0] != "NOACCESS")) {
      continue;
    }
    ++extents;
    if (words.size() < 3 || words[2] != "SPARSE") {
      return Refuse("a VMDK whose data are in another file (a flat extent) is not read");
    }
    const size_t quote = line.find('"');
    const absl::string_view name = quote == absl::string_view::npos ? "" : line.substr(quote + 1);
    if (absl::StrContains(name, "/") || absl::StrContains(name, "\\") ||
        absl::StrContains(name, "..")) {
      return Refuse("a VMDK whose extent is a path is not read");
    }
  }
  if (extents != 1) return Refuse(absl::StrCat("a VMDK with ", extents, " extents is not read"));
  return absl::OkStatus();
}

// `parentCID=ffffffff` and the type of a VMDK's own descriptor.
absl::Status CheckVmdkDescriptor(absl::string_view descriptor, DiskHeader& header) {
  descriptor = descriptor.substr(0, descriptor.find('\0'));
  std::string type;
  for (const absl::string_view raw : absl::StrSplit(descriptor, '\n')) {
    absl::string_view line = absl::StripAsciiWhitespace(raw);
    if (absl::ConsumePrefix(&line, "createType=")) type = std::string(line);
    if (absl::ConsumePrefix(&line, "parentFileNameHint")) {
      return Refuse("a VMDK that builds on another is not read");
    }
    if (absl::ConsumePrefix(&line, "parentCID=") &&
        !absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(line), "ffffffff")) {
      return Refuse("a VMDK that builds on another is not read");
    }
  }
  type.erase(std::remove(type.begin(), type.end(), '"'), type.end());
  if (type == "streamOptimized") {
    header.format = DiskFormat::kVmdkStream;
  } else if (type == "monolithicSparse") {
    header.format = DiskFormat::kVmdkSparse;
  } else {
    return Refuse(absl::StrCat("a VMDK of the type '", type,
                               "' is not read; streamOptimized and monolithicSparse are"));
  }
  return CheckExtents(descriptor);
}

absl::StatusOr<DiskHeader> ReadVmdk(absl::string_view head) {
  if (head.size() < 512) return Refuse("the VMDK is cut short");
  const auto version = Little<uint32_t>(head, 4);
  const auto capacity = Little<uint64_t>(head, 12);
  const auto offset = Little<uint64_t>(head, 28);
  const auto size = Little<uint64_t>(head, 36);
  if (version < 1 || version > 3) return Refuse("the VMDK has an unknown version");
  if (capacity > static_cast<uint64_t>(kMaxVirtualBytes / kSector)) {
    return Refuse("the VMDK claims to be larger than 64 TiB");
  }
  // Of one without a capacity, qemu-img follows the extents in its text instead of its grains.
  if (capacity == 0) return Refuse("the VMDK has no capacity in its header");
  if (offset == 0 || size == 0) return Refuse("the VMDK has no descriptor of its own");
  if (offset > kHead / kSector || size > kHead / kSector || (offset + 1) * kSector > head.size()) {
    return Refuse("the VMDK's descriptor is not where it belongs");
  }
  DiskHeader header;
  header.virtual_bytes = static_cast<int64_t>(capacity) * kSector;
  RETURN_IF_ERROR(CheckVmdkDescriptor(head.substr(offset * kSector, size * kSector), header));
  return header;
}

absl::StatusOr<DiskHeader> ReadQcow2(absl::string_view head) {
  if (head.size() < 104) return Refuse("the qcow2 image is cut short");
  const uint64_t version = Big(head, 4, 4);
  if (version != 2 && version != 3) return Refuse("the qcow2 image has an unknown version");
  if (Big(head, 8, 8) != 0 || Big(head, 16, 4) != 0) {
    return Refuse("the qcow2 image has a backing file");
  }
  if (Big(head, 32, 4) != 0) return Refuse("the qcow2 image is encrypted");
  const uint64_t cluster_bits = Big(head, 20, 4);
  if (cluster_bits < 9 || cluster_bits > 21) return Refuse("the qcow2 image is damaged");
  const uint64_t features = version >= 3 ? Big(head, 72, 8) : 0;
  if ((features & 2) != 0) return Refuse("the qcow2 image is marked as corrupt");
  if ((features & 4) != 0) return Refuse("the qcow2 image keeps its data in another file");
  if ((features & ~uint64_t{0x1f}) != 0) return Refuse("the qcow2 image has unknown features");
  const uint64_t size = Big(head, 24, 8);
  if (size > static_cast<uint64_t>(kMaxVirtualBytes)) {
    return Refuse("the qcow2 image claims to be larger than 64 TiB");
  }
  return DiskHeader{DiskFormat::kQcow2, static_cast<int64_t>(size)};
}

}  // namespace

std::string DiskFormatName(DiskFormat format) {
  switch (format) {
    case DiskFormat::kVmdkStream:
    case DiskFormat::kVmdkSparse:
      return "vmdk";
    case DiskFormat::kQcow2:
      return "qcow2";
    default:
      return "raw";
  }
}

absl::StatusOr<DiskHeader> ReadDiskHeader(absl::string_view head, int64_t size) {
  if (absl::StartsWith(head, "KDMV")) return ReadVmdk(head);
  if (absl::StartsWith(head, "QFI\xfb")) return ReadQcow2(head);
  if (absl::StartsWith(head, "COWD")) return Refuse("a VMDK of ESX's own kind is not read");
  if (absl::StartsWith(absl::StripLeadingAsciiWhitespace(head.substr(0, 256)),
                       "# Disk DescriptorFile")) {
    return Refuse("a VMDK that is a text with extents in other files is not read");
  }
  if (absl::StartsWith(head, "vhdxfile")) {
    return Refuse("VHDX is not read; convert it to VMDK or qcow2");
  }
  if (absl::StartsWith(head, "conectix")) {
    return Refuse("VHD is not read; convert it to VMDK or qcow2");
  }
  if (head.size() >= 68 && Little<uint32_t>(head, 64) == 0xbeda107f) {
    return Refuse("VDI is not read; convert it to VMDK or qcow2");
  }
  if (head.size() > 32774 && head.substr(32769, 5) == "CD001") {
    return DiskHeader{DiskFormat::kIso, size};
  }
  return DiskHeader{DiskFormat::kRaw, size};
}

absl::StatusOr<DiskHeader> ReadDiskHeader(const ByteSource& disk) {
  ASSIGN_OR_RETURN(const std::string head, disk.Read(0, kHead));
  if (disk.size() >= kSector) {
    ASSIGN_OR_RETURN(const std::string tail, disk.Read(disk.size() - kSector, 8));
    // A fixed VHD has no header, only a footer.
    if (tail == "conectix") return Refuse("VHD is not read; convert it to VMDK or qcow2");
  }
  return ReadDiskHeader(head, disk.size());
}

}  // namespace virmo::ovf
