// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/image/qemu_img.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "vm-controller/image/limited_process.h"

namespace virmo::vm_controller {
namespace {

using v1::ErrorInfo;
using Json = nlohmann::json;

constexpr int64_t kMaxVirtualBytes = int64_t{8} << 40;
constexpr char kQcow2Magic[] = "QFI\xfb";

absl::Status Invalid(const std::string& cause) {
  return Error(ErrorInfo::REASON_PACKAGE_INVALID, absl::StrCat("the package ", cause),
               {{"cause", cause}});
}

// What a tool says of a disk of ours.
absl::Status Internal(const absl::Status& status) {
  return status.ok() ? status : Annotate(status, "cannot make a disk");
}

absl::StatusOr<Json> Info(const std::string& path, ImageFormat format, bool unprivileged) {
  ProcessLimits limits;
  limits.unprivileged = unprivileged;
  // -U: a disk of ours may be open in QEMU.
  ASSIGN_OR_RETURN(const std::string text, RunLimited({"qemu-img", "info", "-U", "--output=json",
                                                       "-f", FormatName(format), path},
                                                      limits));
  Json info = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!info.is_object() || !info["virtual-size"].is_number_integer()) {
    return Error(ErrorInfo::REASON_INTERNAL, "qemu-img answered what is not JSON of an image");
  }
  return info;
}

absl::Status CheckReferences(const Json& info) {
  if (info.contains("backing-filename")) return Invalid("has a backing file");
  if (info.value("encrypted", false)) return Invalid("is encrypted");
  const Json data = info.value("format-specific", Json::object()).value("data", Json::object());
  if (data.contains("data-file")) return Invalid("keeps its data in another file");
  if (data.value("corrupt", false)) return Invalid("is marked as corrupt");
  return absl::OkStatus();
}

bool HasQcow2Magic(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  char magic[4] = {};
  return file.read(magic, 4) && std::string(magic, 4) == kQcow2Magic;
}

}  // namespace

absl::StatusOr<ImageFormat> FormatOf(const std::string& media_type) {
  if (media_type == "application/x-qcow2") return ImageFormat::kQcow2;
  if (media_type == "application/x-raw-disk-image") return ImageFormat::kRaw;
  if (media_type == "application/x-ova" || media_type == "application/ovf") {
    return ImageFormat::kOva;
  }
  if (media_type == "application/ovf+xml") return ImageFormat::kOvf;
  return Error(ErrorInfo::REASON_UNSUPPORTED_ENVIRONMENT,
               absl::StrCat("packages of type '", media_type, "' cannot be used here; ",
                            "application/x-qcow2, application/x-raw-disk-image, ",
                            "application/x-ova and application/ovf+xml can"),
               {{"media_type", media_type}});
}

bool IsOvf(ImageFormat format) {
  return format == ImageFormat::kOva || format == ImageFormat::kOvf;
}

std::string FormatName(ImageFormat format) {
  switch (format) {
    case ImageFormat::kQcow2:
      return "qcow2";
    case ImageFormat::kRaw:
      return "raw";
    case ImageFormat::kOva:
      return "ova";
    case ImageFormat::kOvf:
      return "ovf";
  }
  return "";
}

absl::StatusOr<int64_t> CheckImage(const std::string& path, ImageFormat format) {
  if (HasQcow2Magic(path) != (format == ImageFormat::kQcow2)) {
    return Invalid(absl::StrCat("is not what it says: ", FormatName(format)));
  }
  const absl::StatusOr<Json> info = Info(path, format, /*unprivileged=*/true);
  if (!info.ok()) return Invalid(absl::StrCat("cannot be read: ", info.status().message()));
  RETURN_IF_ERROR(CheckReferences(*info));
  const int64_t size = info->at("virtual-size").get<int64_t>();
  if (size <= 0 || size > kMaxVirtualBytes) {
    return Invalid(absl::StrCat("is a disk of ", size, " bytes"));
  }
  return size;
}

absl::Status MakeOverlay(const std::string& image, ImageFormat format, int64_t size_bytes,
                         const std::string& path) {
  // -u: do not open the image; its format and size are known.
  return Internal(RunLimited({"qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F",
                              FormatName(format), "-b", image, path, absl::StrCat(size_bytes)},
                             {.unprivileged = false})
                      .status());
}

absl::Status MakeEmptyDisk(int64_t size_bytes, const std::string& path) {
  return Internal(
      RunLimited({"qemu-img", "create", "-q", "-f", "qcow2", path, absl::StrCat(size_bytes)},
                 {.unprivileged = false})
          .status());
}

absl::Status CopyDisk(const std::string& from, const std::string& to,
                      const std::function<bool()>& is_cancelled) {
  ProcessLimits limits;
  limits.unprivileged = false;  // Disks are root's alone.
  limits.timeout = absl::Hours(2);
  limits.cpu_seconds = 7200;
  limits.is_cancelled = is_cancelled;
  return Internal(
      RunLimited({"qemu-img", "convert", "-q", "-f", "qcow2", "-O", "qcow2", from, to}, limits)
          .status());
}

absl::Status ExportDisk(const std::string& from, const std::string& to,
                        const std::function<bool()>& is_cancelled) {
  ProcessLimits limits;
  limits.unprivileged = false;  // Disks are root's alone.
  limits.timeout = absl::Hours(2);
  limits.cpu_seconds = 7200;
  limits.is_cancelled = is_cancelled;
  return Internal(RunLimited({"qemu-img", "convert", "-q", "-f", "qcow2", "-O", "vmdk", "-o",
                              "subformat=streamOptimized", from, to},
                             limits)
                      .status());
}

absl::StatusOr<int64_t> DiskSize(const std::string& path) {
  ASSIGN_OR_RETURN(const Json info, Info(path, ImageFormat::kQcow2, /*unprivileged=*/false));
  return info.at("virtual-size").get<int64_t>();
}

}  // namespace virmo::vm_controller
