// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/image/image_store.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/ovf/signature.h"
#include "services/runtime/error.h"
#include "services/runtime/fault_point.h"
#include "services/runtime/files.h"
#include "services/runtime/status_macros.h"
#include "vm-controller/image/digest.h"
#include "vm-controller/image/unpack.h"

namespace virmo::vm_controller {
namespace {

using v1::ErrorInfo;

constexpr int64_t kMib = 1 << 20;

bool IsSha256(const std::string& text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return std::isdigit(static_cast<unsigned char>(c)) || (c >= 'a' && c <= 'f');
         });
}

// The space that a file, or all files of a folder, take.
int64_t SpaceOf(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return 0;
  if (!S_ISDIR(info.st_mode)) return static_cast<int64_t>(info.st_blocks) * 512;
  int64_t bytes = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
    if (stat(entry.path().c_str(), &info) == 0) bytes += static_cast<int64_t>(info.st_blocks) * 512;
  }
  return bytes;
}

absl::Status WrongDigest(const std::string& expected, const std::string& actual) {
  return Error(ErrorInfo::REASON_PACKAGE_INVALID,
               absl::StrCat("the package has SHA-256 ", actual, ", not ", expected),
               {{"sha256", actual}, {"expected_sha256", expected}});
}

}  // namespace

// One at a time works on an image; others wait for it.
class ImageStore::Claim {
 public:
  Claim(ImageStore& store, std::string sha256) : store_(store), sha256_(std::move(sha256)) {}
  ~Claim() {
    if (!held_) return;
    MutexLock lock(store_.mutex_);
    store_.claimed_.erase(sha256_);
    store_.changed_.notify_all();
  }
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;

  bool Try(absl::Duration timeout) {
    MutexLock lock(store_.mutex_);
    held_ =
        lock.WaitFor(store_.changed_, timeout, [&] { return store_.claimed_.count(sha256_) == 0; });
    if (held_) store_.claimed_.insert(sha256_);
    return held_;
  }

 private:
  ImageStore& store_;
  const std::string sha256_;
  bool held_ = false;
};

Schema ImageStore::GetSchema() {
  return {"images",
          {"CREATE TABLE images (sha256 TEXT PRIMARY KEY, durable INTEGER NOT NULL DEFAULT 0,"
           " complete INTEGER NOT NULL DEFAULT 0, pinned INTEGER NOT NULL DEFAULT 0,"
           " format INTEGER NOT NULL DEFAULT 0, virtual_bytes INTEGER NOT NULL DEFAULT 0);",
           // Microseconds since 1970.
           "ALTER TABLE images ADD COLUMN used INTEGER NOT NULL DEFAULT 0;"}};
}

std::string ImageStore::PartPath(const std::string& sha256) const {
  return absl::StrCat(options_.directory, "/sha256-", sha256, ".part");
}

std::string ImageStore::ImagePath(const std::string& sha256) const {
  return absl::StrCat(options_.directory, "/sha256-", sha256);
}

absl::Status ImageStore::CheckPackage(const v1::Package& package) const {
  RETURN_IF_ERROR(FormatOf(package.media_type()).status());
  if (!IsSha256(package.sha256())) {
    return InvalidField("package.sha256", "not 64 lower-case hex digits");
  }
  if (package.size_bytes() < 0) return InvalidField("package.size_bytes", "is negative");
  if (package.size_bytes() > options_.max_package_mib * kMib) {
    return Error(ErrorInfo::REASON_PACKAGE_INVALID,
                 absl::StrCat("the package has ", package.size_bytes(), " bytes; at most ",
                              options_.max_package_mib, " MiB are allowed"));
  }
  if (!options_.anchors.empty() && package.media_type() != "application/x-ova" &&
      package.media_type() != "application/ovf+xml" && package.signature().empty()) {
    return Error(ErrorInfo::REASON_PACKAGE_INVALID,
                 "the package is not signed, and this device takes signed packages only");
  }
  return fetcher_.CheckUri(package.uri(), "package.uri");
}

absl::StatusOr<std::optional<ImageStore::Row>> ImageStore::Read(const std::string& sha256) {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                   database_.Query("SELECT durable, complete, pinned, format, virtual_bytes"
                                   " FROM images WHERE sha256 = ?1",
                                   {sha256}));
  if (rows.empty()) return std::optional<Row>();
  Row row;
  row.durable = rows[0].Int(0);
  row.complete = rows[0].Int(1) != 0;
  row.pinned = rows[0].Int(2) != 0;
  row.image = {ImagePath(sha256), static_cast<ImageFormat>(rows[0].Int(3)), rows[0].Int(4)};
  return std::optional<Row>(row);
}

absl::StatusOr<std::optional<ImageStore::Image>> ImageStore::Find(const std::string& sha256) {
  ASSIGN_OR_RETURN(const std::optional<Row> row, Read(sha256));
  if (!row || !row->complete || access(row->image.path.c_str(), R_OK) != 0) {
    return std::optional<Image>();
  }
  return std::optional<Image>(row->image);
}

absl::StatusOr<ImageStore::Image> ImageStore::Provide(
    const v1::Package& package, const std::function<void(int64_t, int64_t)>& on_progress,
    const std::function<bool()>& is_cancelled) {
  Claim claim(*this, package.sha256());
  while (!claim.Try(absl::Milliseconds(200))) {
    if (is_cancelled()) {
      return Error(ErrorInfo::REASON_CANCELLED, "cancelled while another fetches the package");
    }
  }
  ASSIGN_OR_RETURN(const std::optional<Image> image, Find(package.sha256()));
  if (!image) return FetchAndCheck(package, on_progress, is_cancelled);
  ASSIGN_OR_RETURN(const ImageFormat format, FormatOf(package.media_type()));
  if (image->format == format) {
    RETURN_IF_ERROR(database_.Execute("UPDATE images SET used = ?2 WHERE sha256 = ?1",
                                      {package.sha256(), absl::ToUnixMicros(absl::Now())}));
    // A crash right after it was made left what it was made of.
    if (IsOvf(format)) RETURN_IF_ERROR(RemoveParts(package.sha256()));
    return *image;
  }
  return Error(ErrorInfo::REASON_PACKAGE_INVALID,
               absl::StrCat("the package is not what it says, ", FormatName(format)));
}

absl::Status ImageStore::CheckRoom(int64_t bytes) const {
  struct statvfs info;
  if (statvfs(options_.directory.c_str(), &info) != 0) return absl::OkStatus();
  const int64_t free_bytes =
      static_cast<int64_t>(info.f_bavail) * static_cast<int64_t>(info.f_frsize);
  const int64_t needed = bytes + options_.storage_reserve_mib * kMib;
  if (free_bytes >= needed) return absl::OkStatus();
  return Error(ErrorInfo::REASON_DOWNLOAD_STORAGE_FULL,
               absl::StrCat("no room for the package: ", free_bytes / kMib, " MiB are free, ",
                            needed / kMib, " MiB are needed"),
               {{"resource", "storage"},
                {"free_mib", absl::StrCat(free_bytes / kMib)},
                {"needed_mib", absl::StrCat(needed / kMib)}});
}

absl::Status ImageStore::FetchPart(const v1::Package& package, int64_t offset,
                                   const std::function<void(int64_t, int64_t)>& on_progress,
                                   const std::function<bool()>& is_cancelled) {
  int64_t known_total = package.size_bytes();
  RETURN_IF_ERROR(CheckRoom(std::max<int64_t>(0, known_total - offset)));
  Fetcher::Job job;
  job.uri = package.uri();
  job.path = PartPath(package.sha256());
  job.offset = offset;
  job.expected_size = package.size_bytes();
  job.max_size = options_.max_package_mib * kMib;
  job.is_cancelled = is_cancelled;
  job.on_progress = [&](int64_t durable, int64_t total) -> absl::Status {
    if (total != known_total) {
      known_total = total;
      RETURN_IF_ERROR(CheckRoom(total - durable));
    }
    RETURN_IF_ERROR(
        database_.Execute("INSERT INTO images (sha256, durable) VALUES (?1, ?2)"
                          " ON CONFLICT (sha256) DO UPDATE SET durable = ?2, complete = 0",
                          {package.sha256(), durable}));
    FaultPoint("provision.chunk");
    on_progress(durable, total);
    return absl::OkStatus();
  };
  return fetcher_.Fetch(job);
}

// Where to go on: what is durable of a file that is being fetched.
absl::StatusOr<int64_t> ImageStore::Offset(const std::string& key) {
  ASSIGN_OR_RETURN(const std::optional<Row> row, Read(key));
  struct stat info;
  const bool there = row && !row->complete && stat(PartPath(key).c_str(), &info) == 0 &&
                     info.st_size >= row->durable;
  return there ? row->durable : 0;
}

absl::Status ImageStore::FetchVerified(const v1::Package& package,
                                       const std::function<void(int64_t, int64_t)>& on_progress,
                                       const std::function<bool()>& is_cancelled) {
  ASSIGN_OR_RETURN(int64_t offset, Offset(package.sha256()));
  while (true) {
    RETURN_IF_ERROR(FetchPart(package, offset, on_progress, is_cancelled));
    ASSIGN_OR_RETURN(const std::string digest, FileSha256(PartPath(package.sha256())));
    if (digest == package.sha256()) return absl::OkStatus();
    // What was fetched before may be of another package that the URL meant then: once more, whole.
    if (offset == 0) return WrongDigest(package.sha256(), digest);
    offset = 0;
  }
}

absl::Status ImageStore::CheckSigned(const v1::Package& package) const {
  if (options_.anchors.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::unique_ptr<ovf::ByteSource> data,
                   ovf::OpenFile(PartPath(package.sha256())));
  ovf::Signature signature;
  signature.octets = package.signature();
  signature.certificates = package.signer_certificate();
  return ovf::CheckSignature(*data, signature, options_.anchors);
}

absl::StatusOr<ImageStore::Image> ImageStore::Unpack(const v1::Package& package,
                                                     const std::string& source,
                                                     const std::function<bool()>& is_cancelled) {
  UnpackJob job;
  job.source = source;
  job.folder = ImagePath(package.sha256());
  job.anchors = options_.anchors;
  job.demand_manifest = source != PartPath(package.sha256());
  job.check_room = [this](int64_t bytes) { return CheckRoom(bytes); };
  job.is_cancelled = is_cancelled;
  ASSIGN_OR_RETURN(const int64_t virtual_bytes, UnpackPackage(job));
  ASSIGN_OR_RETURN(const Image image, Keep(package, virtual_bytes));
  RETURN_IF_ERROR(RemoveParts(package.sha256()));
  return image;
}

absl::StatusOr<ImageStore::Image> ImageStore::FetchAndCheck(
    const v1::Package& package, const std::function<void(int64_t, int64_t)>& on_progress,
    const std::function<bool()>& is_cancelled) {
  const std::string part = PartPath(package.sha256());
  ASSIGN_OR_RETURN(const ImageFormat format, FormatOf(package.media_type()));
  RETURN_IF_ERROR(FetchVerified(package, on_progress, is_cancelled));
  // Readable by the unprivileged reader, and later by QEMU's user.
  chmod(part.c_str(), 0644);
  if (format == ImageFormat::kOva) return Unpack(package, part, is_cancelled);
  if (format == ImageFormat::kOvf) {
    ASSIGN_OR_RETURN(const std::string descriptor, FetchBeside(package, on_progress, is_cancelled));
    return Unpack(package, descriptor, is_cancelled);
  }
  RETURN_IF_ERROR(CheckSigned(package));
  ASSIGN_OR_RETURN(const int64_t virtual_bytes, CheckImage(part, format));
  if (std::rename(part.c_str(), ImagePath(package.sha256()).c_str()) != 0) {
    return Error(ErrorInfo::REASON_STORAGE_FAILED, absl::StrCat("cannot rename ", part));
  }
  RETURN_IF_ERROR(SyncDirectory(options_.directory));
  return Keep(package, virtual_bytes);
}

absl::StatusOr<ImageStore::Image> ImageStore::Keep(const v1::Package& package,
                                                   int64_t virtual_bytes) {
  const std::string& sha256 = package.sha256();
  ASSIGN_OR_RETURN(const ImageFormat format, FormatOf(package.media_type()));
  RETURN_IF_ERROR(database_.Execute(
      "INSERT INTO images (sha256, complete, format, virtual_bytes, used) VALUES (?1, 1, ?2, ?3, "
      "?4)"
      " ON CONFLICT (sha256) DO UPDATE SET complete = 1, format = ?2, virtual_bytes = ?3, used = "
      "?4",
      {sha256, static_cast<int64_t>(format), virtual_bytes, absl::ToUnixMicros(absl::Now())}));
  return Image{ImagePath(sha256), format, virtual_bytes};
}

absl::Status ImageStore::Pin(const std::string& sha256, bool pinned) {
  return database_.Execute("UPDATE images SET pinned = ?2 WHERE sha256 = ?1",
                           {sha256, int64_t{pinned}});
}

// All that was made on the way to an image.
absl::Status ImageStore::RemoveParts(const std::string& sha256) {
  std::error_code error;
  const std::string stem = absl::StrCat("sha256-", sha256);
  for (const auto& entry : std::filesystem::directory_iterator(options_.directory, error)) {
    const std::string name = entry.path().filename();
    if (!absl::StartsWith(name, stem) || name == stem) continue;
    std::filesystem::remove_all(entry.path(), error);
    if (error) return Error(ErrorInfo::REASON_STORAGE_FAILED, absl::StrCat("cannot remove ", name));
  }
  return database_.Execute("DELETE FROM images WHERE complete = 0 AND substr(sha256, 1, 64) = ?1",
                           {sha256});
}

absl::Status ImageStore::Discard(const std::string& sha256) {
  Claim claim(*this, sha256);
  if (!claim.Try(absl::ZeroDuration())) return absl::OkStatus();  // Another works on it.
  return RemoveParts(sha256);
}

absl::StatusOr<std::vector<ImageStore::Stored>> ImageStore::List() {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                   database_.Query("SELECT sha256, used, pinned FROM images WHERE complete = 1"
                                   " ORDER BY sha256"));
  std::vector<Stored> images;
  for (const SqlRow& row : rows) {
    images.push_back({row.Text(0), SpaceOf(ImagePath(row.Text(0))),
                      absl::FromUnixMicros(row.Int(1)), row.Int(2) != 0});
  }
  return images;
}

absl::Status ImageStore::Remove(const std::string& sha256) {
  Claim claim(*this, sha256);
  if (!claim.Try(absl::ZeroDuration())) {
    return Error(ErrorInfo::REASON_BUSY, "an operation works on the package");
  }
  ASSIGN_OR_RETURN(const std::optional<Row> row, Read(sha256));
  if (!row || !row->complete) {
    return Error(ErrorInfo::REASON_NOT_FOUND, absl::StrCat("there is no package ", sha256));
  }
  std::error_code error;
  std::filesystem::remove_all(ImagePath(sha256), error);
  if (error) {
    return Error(ErrorInfo::REASON_STORAGE_FAILED,
                 absl::StrCat("cannot remove ", ImagePath(sha256), ": ", error.message()));
  }
  return database_.Execute("DELETE FROM images WHERE sha256 = ?1", {sha256});
}

absl::Status ImageStore::Collect(const std::set<std::string>& used) {
  ASSIGN_OR_RETURN(std::vector<Stored> images, List());
  images.erase(std::remove_if(images.begin(), images.end(),
                              [&](const Stored& image) {
                                return image.pinned || used.count(image.sha256) > 0;
                              }),
               images.end());
  std::sort(images.begin(), images.end(),
            [](const Stored& a, const Stored& b) { return a.used < b.used; });
  int64_t total = 0;
  for (const Stored& image : images) total += image.size_bytes;
  for (const Stored& image : images) {
    const bool fits = total <= options_.cache_mib * kMib;
    if (fits && CheckRoom(0).ok()) break;
    const absl::Status status = Remove(image.sha256);
    if (ReasonOf(status) == ErrorInfo::REASON_BUSY) continue;
    RETURN_IF_ERROR(status);
    total -= image.size_bytes;
  }
  return absl::OkStatus();
}

}  // namespace virmo::vm_controller
