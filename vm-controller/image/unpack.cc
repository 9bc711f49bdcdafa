// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/image/unpack.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "services/ovf/package.h"
#include "services/runtime/error.h"
#include "services/runtime/fault_point.h"
#include "services/runtime/files.h"
#include "services/runtime/status_macros.h"
#include "vm-controller/image/limited_process.h"
#include "vm-controller/image/qemu_img.h"
#include "vm-controller/image/stream_copy.h"

namespace virmo::vm_controller {
namespace {

using v1::ErrorInfo;

constexpr int64_t kMib = 1 << 20;
constexpr char kDescriptorName[] = "/descriptor.ovf";

absl::Status Invalid(const std::string& cause) {
  return Error(ErrorInfo::REASON_PACKAGE_INVALID, absl::StrCat("the package ", cause),
               {{"cause", cause}});
}

absl::Status StorageError(const std::string& what) {
  return Error(ErrorInfo::REASON_STORAGE_FAILED, what);
}

void RemoveAll(const std::string& path) {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

std::string Numbered(const ovf::Descriptor& descriptor, const std::string& id,
                     absl::string_view before, absl::string_view after) {
  for (size_t i = 0; i < descriptor.files.size(); ++i) {
    if (descriptor.files[i].id == id) return absl::StrCat(before, i, after);
  }
  return "";
}

// A comma in an option of qemu-img ends it, unless doubled.
std::string Option(const std::string& path) { return absl::StrReplaceAll(path, {{",", ",,"}}); }

// qemu-img writes large images with holes: what it may write, with its own tables.
int64_t LargestOutput(int64_t virtual_bytes) {
  return virtual_bytes + virtual_bytes / 8 + 64 * kMib;
}

class Unpacking {
 public:
  explicit Unpacking(const UnpackJob& job)
      : job_(job), temporary_(job.folder + ".tmp"), work_(temporary_ + "/work") {}
  ~Unpacking() { RemoveAll(temporary_); }
  Unpacking(const Unpacking&) = delete;
  Unpacking& operator=(const Unpacking&) = delete;

  absl::StatusOr<int64_t> Run();

 private:
  absl::Status Check();
  absl::Status MakeFolders();
  absl::Status Take(const ovf::FileReference& file);
  absl::Status Convert(const ovf::FileReference& file, const ovf::Disk& disk,
                       const ovf::DiskHeader& header, const std::string& source);
  absl::StatusOr<std::string> SourceOption(const ovf::FileReference& file,
                                           const ovf::ByteSource& source, int64_t largest);
  absl::Status Finish();
  const ovf::Disk* DiskOf(const ovf::FileReference& file) const;

  const UnpackJob& job_;
  const std::string temporary_;
  const std::string work_;  // Nobody's own: qemu-img writes there.
  std::unique_ptr<ovf::Package> package_;
  ovf::Descriptor descriptor_;
  int64_t virtual_bytes_ = 0;
};

absl::Status Unpacking::Check() {
  ovf::Findings findings;
  package_ = ovf::Package::Open(job_.source, findings);
  RETURN_IF_ERROR(findings.ToStatus());
  ovf::ReadOptions options;
  options.file_name = package_->descriptor_name();
  options.load = [&](const std::string& href) { return package_->Load(href); };
  descriptor_ = ovf::ReadDescriptor(package_->descriptor(), options, findings);
  RETURN_IF_ERROR(findings.ToStatus());
  ovf::CheckPackage(
      *package_, descriptor_,
      {.anchors = job_.anchors, .whole = true, .demand_manifest = job_.demand_manifest}, findings);
  return findings.ToStatus();
}

absl::Status Unpacking::MakeFolders() {
  RemoveAll(temporary_);
  RETURN_IF_ERROR(MakeDirectory(temporary_, 0711));
  RETURN_IF_ERROR(MakeDirectory(work_, 0700));
  const struct passwd* nobody = getpwnam("nobody");
  if (geteuid() == 0 && nobody != nullptr &&
      chown(work_.c_str(), nobody->pw_uid, nobody->pw_gid) != 0) {
    return StorageError(absl::StrCat("cannot give away ", work_));
  }
  return absl::OkStatus();
}

const ovf::Disk* Unpacking::DiskOf(const ovf::FileReference& file) const {
  for (const ovf::Disk& disk : descriptor_.disks) {
    if (disk.file_id == file.id) return &disk;
  }
  return nullptr;
}

// What qemu-img is to read: a place of the archive, or a file. What is packed or in pieces is put
// together first, within bounds.
absl::StatusOr<std::string> Unpacking::SourceOption(const ovf::FileReference& file,
                                                    const ovf::ByteSource& source,
                                                    int64_t largest) {
  if (package_->is_archive() && !file.gzip && file.chunk_size == 0) {
    return absl::StrCat("file.driver=raw,file.offset=", package_->OffsetOf(file.href),
                        ",file.size=", source.size(),
                        ",file.file.driver=file,file.file.filename=", Option(job_.source));
  }
  const std::string path = absl::StrCat(temporary_, "/plain");
  unlink(path.c_str());
  RETURN_IF_ERROR(StreamCopy(
      source, path, {.gzip = file.gzip, .max_bytes = largest, .is_cancelled = job_.is_cancelled}));
  chmod(path.c_str(), 0644);
  return absl::StrCat("file.driver=file,file.filename=", Option(path));
}

absl::Status Unpacking::Convert(const ovf::FileReference& file, const ovf::Disk& disk,
                                const ovf::DiskHeader& header, const std::string& source) {
  const std::string made = absl::StrCat(work_, "/made.qcow2");
  const std::string kept = KeptDisk(temporary_, descriptor_, file.id);
  ProcessLimits limits;
  limits.timeout = absl::Hours(2);
  limits.cpu_seconds = 7200;
  limits.file_bytes = LargestOutput(disk.capacity_bytes);
  limits.is_cancelled = job_.is_cancelled;
  const absl::Status converted =
      RunLimited({"qemu-img", "convert", "-q", "--image-opts",
                  absl::StrCat("driver=", ovf::DiskFormatName(header.format), ",", source), "-O",
                  "qcow2", made},
                 limits)
          .status();
  if (ReasonOf(converted) == ErrorInfo::REASON_INTERNAL) {
    return Invalid(
        absl::StrCat("has a disk that cannot be read, ", file.href, ": ", converted.message()));
  }
  RETURN_IF_ERROR(converted);
  ASSIGN_OR_RETURN(const int64_t bytes, CheckImage(made, ImageFormat::kQcow2));
  if (bytes > disk.capacity_bytes) {
    return Invalid(absl::StrCat("has a disk larger than its capacity, ", file.href));
  }
  if (std::rename(made.c_str(), kept.c_str()) != 0 ||
      (geteuid() == 0 && chown(kept.c_str(), 0, 0) != 0) || chmod(kept.c_str(), 0644) != 0) {
    return StorageError(absl::StrCat("cannot finish ", kept));
  }
  virtual_bytes_ += disk.capacity_bytes;
  return absl::OkStatus();
}

absl::Status Unpacking::Take(const ovf::FileReference& file) {
  const ovf::ByteSource* source = package_->Find(file);
  if (source == nullptr) return Invalid(absl::StrCat("lacks ", file.href));
  const ovf::Disk* disk = DiskOf(file);
  ovf::DiskHeader header;
  if (disk != nullptr) {
    ASSIGN_OR_RETURN(const std::string head, ovf::ReadHead(*source, file.gzip, 64 << 10));
    ASSIGN_OR_RETURN(header, ovf::ReadDiskHeader(head, source->size()));
  }
  if (disk == nullptr || header.format == ovf::DiskFormat::kIso) {
    const std::string kept = KeptFile(temporary_, descriptor_, file.id);
    RETURN_IF_ERROR(job_.check_room(source->size()));
    RETURN_IF_ERROR(StreamCopy(
        *source, kept,
        {.gzip = file.gzip, .max_bytes = int64_t{64} << 30, .is_cancelled = job_.is_cancelled}));
    return chmod(kept.c_str(), 0644) == 0 ? absl::OkStatus() : StorageError("cannot chmod");
  }
  RETURN_IF_ERROR(job_.check_room(
      std::min(disk->capacity_bytes, std::max(disk->populated_bytes, source->size()))));
  ASSIGN_OR_RETURN(const std::string option,
                   SourceOption(file, *source, LargestOutput(disk->capacity_bytes)));
  FaultPoint("provision.convert");
  RETURN_IF_ERROR(Convert(file, *disk, header, option));
  unlink(absl::StrCat(temporary_, "/plain").c_str());
  return absl::OkStatus();
}

absl::Status Unpacking::Finish() {
  RETURN_IF_ERROR(WriteFileAtomically(temporary_ + kDescriptorName, package_->descriptor(), 0600));
  RemoveAll(work_);
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(temporary_, error)) {
    const int fd = open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
    const bool synced = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) close(fd);
    if (!synced) return StorageError(absl::StrCat("cannot fsync ", entry.path().string()));
  }
  RETURN_IF_ERROR(SyncDirectory(temporary_));
  RemoveAll(job_.folder);
  if (error || std::rename(temporary_.c_str(), job_.folder.c_str()) != 0) {
    return StorageError(absl::StrCat("cannot rename ", temporary_));
  }
  return SyncDirectory(job_.folder.substr(0, job_.folder.rfind('/')));
}

absl::StatusOr<int64_t> Unpacking::Run() {
  RETURN_IF_ERROR(Check());
  RETURN_IF_ERROR(MakeFolders());
  for (const ovf::FileReference& file : descriptor_.files) RETURN_IF_ERROR(Take(file));
  RETURN_IF_ERROR(Finish());
  return virtual_bytes_;
}

}  // namespace

absl::StatusOr<int64_t> UnpackPackage(const UnpackJob& job) { return Unpacking(job).Run(); }

absl::StatusOr<ovf::Descriptor> ReadKeptDescriptor(
    const std::string& folder, const std::string& deployment_option,
    const std::map<std::string, std::string>& properties) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(folder + kDescriptorName));
  ovf::Findings findings;
  ovf::ReadOptions options;
  options.file_name = "descriptor";
  options.deployment_option = deployment_option;
  options.properties = properties;
  ovf::Descriptor descriptor = ovf::ReadDescriptor(text, options, findings);
  RETURN_IF_ERROR(findings.ToStatus());
  return descriptor;
}

std::string KeptDisk(const std::string& folder, const ovf::Descriptor& descriptor,
                     const std::string& id) {
  return Numbered(descriptor, id, absl::StrCat(folder, "/disk-"), ".qcow2");
}

std::string KeptFile(const std::string& folder, const ovf::Descriptor& descriptor,
                     const std::string& id) {
  return Numbered(descriptor, id, absl::StrCat(folder, "/file-"), "");
}

}  // namespace virmo::vm_controller
