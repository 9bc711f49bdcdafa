// SPDX-License-Identifier: Apache-2.0
// CheckPackage: what lies in a package against what it says of itself.
#include <zlib.h>

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/ovf/package.h"
#include "services/ovf/signature.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"

namespace virmo::ovf {
namespace {

constexpr size_t kHead = 64 << 10;

class Check {
 public:
  Check(Package& package, const Descriptor& descriptor, const CheckOptions& options,
        Findings& findings)
      : package_(package), descriptor_(descriptor), options_(options), findings_(findings) {}

  void Run();

 private:
  void CheckReferences();
  void CheckManifest();
  void CheckEntry(const ManifestEntry& entry, const std::string& manifest);
  void CheckListed(const std::vector<ManifestEntry>& entries, const std::string& manifest);
  void CheckCertificate(const std::string& manifest);
  void CheckDisk(const Disk& disk);
  void Fault(const std::string& file, int line, const std::string& element,
             absl::string_view what) {
    findings_.AddFault(FaultKind::kInvalid, {file, line, element}, what);
  }
  bool Demands() const { return options_.demand_manifest || !options_.anchors.empty(); }
  // `x.mf` and `x.cert` of `x.ovf`.
  std::string Beside(absl::string_view extension) const {
    const std::string& name = package_.descriptor_name();
    return absl::StrCat(name.substr(0, name.rfind('.')), extension);
  }

  Package& package_;
  const Descriptor& descriptor_;
  const CheckOptions& options_;
  Findings& findings_;
  bool complete_ = false;  // Not a descriptor alone.
};

void Check::CheckReferences() {
  for (const FileReference& file : descriptor_.files) {
    complete_ = complete_ || package_.Find(file) != nullptr;
  }
  complete_ = complete_ || package_.is_archive() || options_.whole;
  if (!complete_) return;
  for (const FileReference& file : descriptor_.files) {
    const std::string element = absl::StrCat("File '", file.id, "'");
    const ByteSource* source = package_.Find(file);
    if (source == nullptr) {
      Fault(package_.descriptor_path(), file.line, element,
            absl::StrCat("'", file.href, "' is not in the package"));
    } else if (file.size >= 0 && source->size() != file.size) {
      Fault(package_.descriptor_path(), file.line, element,
            absl::StrCat("'", file.href, "' has ", source->size(), " bytes, not ", file.size));
    }
  }
}

void Check::CheckEntry(const ManifestEntry& entry, const std::string& manifest) {
  std::unique_ptr<ByteSource> text;
  const ByteSource* source = package_.Find(entry.name);
  if (entry.name == package_.descriptor_name()) {
    // What was read is what counts, not what is there by now.
    text = SourceOf(package_.descriptor());
    source = text.get();
  }
  if (source == nullptr) {
    if (complete_) Fault(manifest, entry.line, entry.name, "is not in the package");
    return;
  }
  const absl::StatusOr<std::string> digest = DigestOf(*source, entry.algorithm);
  if (!digest.ok()) {
    Fault(manifest, entry.line, entry.name, digest.status().message());
  } else if (*digest != entry.digest) {
    Fault(manifest, entry.line, entry.name,
          absl::StrCat("its ", entry.algorithm, " is ", *digest, ", not what the manifest says"));
  }
}

void Check::CheckListed(const std::vector<ManifestEntry>& entries, const std::string& manifest) {
  std::set<std::string> listed;
  for (const ManifestEntry& entry : entries) listed.insert(entry.name);
  std::vector<std::string> wanted = {package_.descriptor_name()};
  for (const FileReference& file : descriptor_.files) {
    wanted.push_back(file.chunk_size > 0 ? absl::StrCat(file.href, ".000000000") : file.href);
  }
  for (const std::string& name : wanted) {
    if (listed.count(name) > 0) continue;
    if (Demands()) {
      Fault(manifest, 0, name, "is not in the manifest, which has to cover it");
    } else {
      findings_.AddWarning({manifest, 0, name}, "is not in the manifest");
    }
  }
}

void Check::CheckCertificate(const std::string& manifest) {
  const std::string name = Beside(".cert");
  const std::optional<std::string> certificate = package_.Load(name);
  if (!certificate) {
    if (!options_.anchors.empty()) Fault(name, 0, "", "the package is not signed, but has to be");
    return;
  }
  const absl::StatusOr<Signature> signature = ReadCertificateFile(*certificate, Beside(".mf"));
  if (!signature.ok()) return Fault(name, 1, "", signature.status().message());
  const absl::Status status = CheckSignature(*SourceOf(manifest), *signature, options_.anchors);
  if (!status.ok()) Fault(name, 1, "", status.message());
}

void Check::CheckManifest() {
  const std::string name = Beside(".mf");
  const std::optional<std::string> manifest = package_.Load(name);
  if (!manifest) {
    if (!options_.anchors.empty()) Fault(name, 0, "", "the package is not signed, but has to be");
    if (options_.demand_manifest) Fault(name, 0, "", "there is no manifest, but there has to be");
    if (complete_) findings_.AddWarning({name, 0, ""}, "there is no manifest: nothing is verified");
    if (package_.Load(Beside(".cert")))
      Fault(Beside(".cert"), 0, "", "signs a manifest that is not there");
    return;
  }
  const std::vector<ManifestEntry> entries = ReadManifest(*manifest, name, findings_);
  for (const ManifestEntry& entry : entries) {
    if (Demands() && entry.algorithm == "SHA1") {
      Fault(name, entry.line, entry.name, "a SHA-1 digest does not protect it");
    }
    CheckEntry(entry, name);
  }
  CheckListed(entries, name);
  CheckCertificate(*manifest);
}

void Check::CheckDisk(const Disk& disk) {
  const FileReference* file = descriptor_.FindFile(disk.file_id);
  const ByteSource* source = file == nullptr ? nullptr : package_.Find(*file);
  if (source == nullptr) return;
  absl::StatusOr<DiskHeader> header = DiskHeader();
  if (file->gzip) {
    const absl::StatusOr<std::string> head = ReadHead(*source, true, kHead);
    header = head.ok() ? ReadDiskHeader(*head, disk.capacity_bytes) : head.status();
  } else {
    header = ReadDiskHeader(*source);
  }
  const std::string element = absl::StrCat("Disk '", disk.id, "'");
  if (!header.ok()) {
    return Fault(package_.descriptor_path(), disk.line, element,
                 absl::StrCat("'", file->href, "': ", header.status().message()));
  }
  if (header->format != DiskFormat::kIso && header->virtual_bytes > disk.capacity_bytes) {
    Fault(package_.descriptor_path(), disk.line, element,
          absl::StrCat("'", file->href, "' holds a disk of ", header->virtual_bytes,
                       " bytes, more than its capacity of ", disk.capacity_bytes));
  }
  const bool said_vmdk =
      absl::StrContains(disk.format, "vmdk") || absl::EndsWith(disk.format, "#streamOptimized");
  if (said_vmdk && header->format == DiskFormat::kRaw) {
    Fault(package_.descriptor_path(), disk.line, element,
          absl::StrCat("'", file->href, "' is not the VMDK that it is said to be"));
  }
}

void Check::Run() {
  CheckReferences();
  CheckManifest();
  for (const Disk& disk : descriptor_.disks) CheckDisk(disk);
  std::set<std::string> known = {package_.descriptor_name(), Beside(".mf"), Beside(".cert")};
  for (const FileReference& file : descriptor_.files) known.insert(file.href);
  for (const std::string& member : package_.Members()) {
    const std::string whole = member.substr(0, member.rfind('.'));
    if (known.count(member) > 0 || known.count(whole) > 0) continue;
    findings_.AddWarning({member, 0, ""}, "no reference names it; left out");
  }
}

}  // namespace

absl::StatusOr<std::string> ReadHead(const ByteSource& source, bool gzip, size_t count) {
  if (!gzip) return source.Read(0, count);
  ASSIGN_OR_RETURN(std::string packed, source.Read(0, count * 4 + 4096));
  z_stream stream = {};
  // 16: a gzip header, not a zlib one.
  if (inflateInit2(&stream, MAX_WBITS + 16) != Z_OK) {
    return Error(v1::ErrorInfo::REASON_INTERNAL, "cannot decompress");
  }
  std::string head(count, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(head.data());
  stream.avail_out = static_cast<uInt>(head.size());
  const int result = inflate(&stream, Z_SYNC_FLUSH);
  head.resize(stream.total_out);
  inflateEnd(&stream);
  if (result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR) return head;
  return Error(v1::ErrorInfo::REASON_PACKAGE_INVALID, "is not compressed by gzip, as it says");
}

void CheckPackage(Package& package, const Descriptor& descriptor, const CheckOptions& options,
                  Findings& findings) {
  Check(package, descriptor, options, findings).Run();
}

}  // namespace virmo::ovf
