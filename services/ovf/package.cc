// SPDX-License-Identifier: Apache-2.0
#include "services/ovf/package.h"

#include <cstdio>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/ovf/tar.h"

namespace virmo::ovf {
namespace {

constexpr size_t kMaxDescriptor = 8 << 20;
constexpr size_t kMaxSmallFile = 1 << 20;
constexpr int kMaxChunks = 100000;

// Chunks one after the other.
class Chunks : public ByteSource {
 public:
  explicit Chunks(std::vector<const ByteSource*> parts) : parts_(std::move(parts)) {
    for (const ByteSource* part : parts_) size_ += part->size();
  }
  int64_t size() const override { return size_; }

  absl::Status ReadAt(int64_t offset, size_t count, char* to) const override {
    for (const ByteSource* part : parts_) {
      if (count == 0) break;
      if (offset >= part->size()) {
        offset -= part->size();
        continue;
      }
      const size_t here = std::min(count, static_cast<size_t>(part->size() - offset));
      const absl::Status status = part->ReadAt(offset, here, to);
      if (!status.ok()) return status;
      to += here;
      count -= here;
      offset = 0;
    }
    return count == 0 ? absl::OkStatus() : absl::DataLossError("it ends too early");
  }

 private:
  const std::vector<const ByteSource*> parts_;
  int64_t size_ = 0;
};

bool LooksLikeXml(absl::string_view head) {
  for (const absl::string_view mark : {"\xef\xbb\xbf", "\xfe\xff", "\xff\xfe"}) {
    if (absl::StartsWith(head, mark)) return true;
  }
  return absl::StartsWith(absl::StripLeadingAsciiWhitespace(head), "<");
}

bool IsDescriptorName(absl::string_view name) {
  return absl::EndsWithIgnoreCase(name, ".ovf") && !absl::StrContains(name, "/");
}

}  // namespace

// Finds the descriptor among an archive's members.
class ArchiveReader {
 public:
  static std::unique_ptr<Package> Read(std::unique_ptr<ByteSource> archive, const std::string& name,
                                       Findings& findings) {
    const std::vector<TarMember> members = ReadTar(*archive, name, findings);
    if (!findings.ok()) return nullptr;
    auto package = std::make_unique<Package>();
    package->archive_ = std::move(archive);
    for (const TarMember& member : members) {
      package->files_[member.name] = PartOf(*package->archive_, member.offset, member.size);
      package->offsets_[member.name] = member.offset;
      if (!IsDescriptorName(member.name)) continue;
      if (!package->descriptor_name_.empty()) {
        findings.AddFault(FaultKind::kInvalid, {name, 0, member.name},
                          "is a second descriptor in the archive");
        return nullptr;
      }
      package->descriptor_name_ = package->descriptor_path_ = member.name;
      if (&member != &members.front()) {
        findings.AddWarning({name, 0, member.name}, "the descriptor is not the first member");
      }
    }
    if (package->descriptor_name_.empty()) {
      findings.AddFault(FaultKind::kInvalid, {name, 0, ""}, "has no descriptor (.ovf)");
      return nullptr;
    }
    return ReadText(std::move(package), *package->files_[package->descriptor_name_], findings);
  }

  static std::unique_ptr<Package> ReadText(std::unique_ptr<Package> package,
                                           const ByteSource& source, Findings& findings) {
    if (source.size() > static_cast<int64_t>(kMaxDescriptor)) {
      findings.AddFault(FaultKind::kInvalid, {package->descriptor_path_, 0, ""},
                        "the descriptor is larger than 8 MiB");
      return nullptr;
    }
    const absl::StatusOr<std::string> text = source.Read(0, kMaxDescriptor);
    if (!text.ok()) {
      findings.AddFault(FaultKind::kUnreadable, {package->descriptor_path_, 0, ""},
                        text.status().message());
      return nullptr;
    }
    package->descriptor_ = *text;
    return package;
  }

  static std::unique_ptr<Package> ReadFolder(const std::string& path, const ByteSource& source,
                                             Findings& findings) {
    auto package = std::make_unique<Package>();
    const size_t slash = path.rfind('/');
    package->directory_ = slash == std::string::npos ? "." : path.substr(0, slash);
    if (package->directory_.empty()) package->directory_ = "/";
    package->descriptor_path_ = path;
    package->descriptor_name_ = slash == std::string::npos ? path : path.substr(slash + 1);
    return ReadText(std::move(package), source, findings);
  }
};

std::unique_ptr<Package> Package::OpenArchive(std::unique_ptr<ByteSource> archive,
                                              const std::string& name, Findings& findings) {
  return ArchiveReader::Read(std::move(archive), name, findings);
}

std::unique_ptr<Package> Package::Open(const std::string& path, Findings& findings) {
  absl::StatusOr<std::unique_ptr<ByteSource>> file = OpenFile(path);
  absl::StatusOr<std::string> head = file.ok() ? (*file)->Read(0, 512) : file.status();
  if (!head.ok()) {
    findings.AddFault(FaultKind::kUnreadable, {path, 0, ""}, head.status().message());
    return nullptr;
  }
  if (LooksLikeXml(*head)) return ArchiveReader::ReadFolder(path, **file, findings);
  for (const absl::string_view magic : {"\x1f\x8b", "PK", "BZh",
                                        "\xfd"
                                        "7zXZ",
                                        "\x28\xb5\x2f\xfd"}) {
    if (!absl::StartsWith(*head, magic)) continue;
    findings.AddFault(FaultKind::kUnsupported, {path, 0, ""},
                      "is compressed as a whole; unpack it first");
    return nullptr;
  }
  if (head->size() < 512) {
    findings.AddFault(FaultKind::kInvalid, {path, 0, ""},
                      "is neither an OVF descriptor nor an OVA archive");
    return nullptr;
  }
  return OpenArchive(*std::move(file), path, findings);
}

const ByteSource* Package::Find(const std::string& name) {
  const auto found = files_.find(name);
  if (found != files_.end()) return found->second.get();
  if (archive_ != nullptr) return nullptr;
  // No part of the way may be a link that leads out of the folder.
  std::string path = directory_;
  for (const absl::string_view part : absl::StrSplit(name, '/')) {
    if (part.empty() || part == "." || part == "..") return nullptr;
    absl::StrAppend(&path, "/", part);
  }
  absl::StatusOr<std::unique_ptr<ByteSource>> file = OpenFile(path);
  if (!file.ok()) return nullptr;
  return (files_[name] = *std::move(file)).get();
}

const ByteSource* Package::Find(const FileReference& file) {
  if (file.chunk_size <= 0) return Find(file.href);
  const auto found = joined_.find(file.href);
  if (found != joined_.end()) return found->second.get();
  std::vector<const ByteSource*> parts;
  for (int i = 0; i < kMaxChunks; ++i) {
    char number[16];
    std::snprintf(number, sizeof(number), ".%09d", i);
    const ByteSource* part = Find(absl::StrCat(file.href, number));
    if (part == nullptr) break;
    parts.push_back(part);
  }
  if (parts.empty()) return nullptr;
  return (joined_[file.href] = std::make_unique<Chunks>(std::move(parts))).get();
}

int64_t Package::OffsetOf(const std::string& name) const {
  const auto found = offsets_.find(name);
  return found == offsets_.end() ? -1 : found->second;
}

std::optional<std::string> Package::Load(const std::string& name) {
  const ByteSource* source = Find(name);
  if (source == nullptr || source->size() > static_cast<int64_t>(kMaxSmallFile)) {
    return std::nullopt;
  }
  const absl::StatusOr<std::string> text = source->Read(0, kMaxSmallFile);
  return text.ok() ? std::optional<std::string>(*text) : std::nullopt;
}

std::vector<std::string> Package::Members() const {
  std::vector<std::string> names;
  for (const auto& [name, offset] : offsets_) names.push_back(name);
  return names;
}

}  // namespace virmo::ovf
