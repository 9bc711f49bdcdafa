// SPDX-License-Identifier: Apache-2.0
#include "services/ovf/tar.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/runtime/error.h"

namespace virmo::ovf {
namespace {

constexpr int64_t kBlock = 512;
constexpr size_t kMaxMembers = 4096;
constexpr int64_t kMaxExtension = 64 << 10;

absl::string_view Field(const std::string& header, size_t at, size_t size) {
  const absl::string_view field = absl::string_view(header).substr(at, size);
  return field.substr(0, field.find('\0'));
}

// An octal number, or GNU's base-256.
std::optional<int64_t> Number(const std::string& header, size_t at, size_t size) {
  if ((static_cast<unsigned char>(header[at]) & 0x80) != 0) {
    uint64_t value = static_cast<unsigned char>(header[at]) & 0x7f;
    for (size_t i = 1; i < size; ++i) {
      if (value >> 55 != 0) return std::nullopt;
      value = value << 8 | static_cast<unsigned char>(header[at + i]);
    }
    return static_cast<int64_t>(value);
  }
  int64_t value = 0;
  bool any = false;
  for (const char c : Field(header, at, size)) {
    if (c == ' ' && !any) continue;
    if (c == ' ') break;
    if (c < '0' || c > '7' || value >> 59 != 0) return std::nullopt;
    value = value * 8 + (c - '0');
    any = true;
  }
  return value;
}

int64_t Checksum(const std::string& header) {
  int64_t sum = 0;
  for (size_t i = 0; i < header.size(); ++i) {
    sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(header[i]);
  }
  return sum;
}

// Why a name may not be used; empty if it may.
std::string WhyNotName(absl::string_view name) {
  if (name.empty()) return "has no name";
  if (name.front() == '/') return "has an absolute path";
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\') {
      return "has a name with forbidden characters";
    }
  }
  for (const absl::string_view part : absl::StrSplit(name, '/')) {
    if (part == "..") return "has a path with `..`";
  }
  return "";
}

// `12 key=value\n` records of a pax header.
bool ReadPax(absl::string_view text, std::map<std::string, std::string>& records) {
  while (!text.empty()) {
    const size_t space = text.find(' ');
    size_t length = 0;
    if (space == absl::string_view::npos || !absl::SimpleAtoi(text.substr(0, space), &length) ||
        length <= space + 1 || length > text.size() || text[length - 1] != '\n') {
      return false;
    }
    const absl::string_view record = text.substr(space + 1, length - space - 2);
    const size_t equals = record.find('=');
    if (equals == absl::string_view::npos) return false;
    records[std::string(record.substr(0, equals))] = std::string(record.substr(equals + 1));
    text.remove_prefix(length);
  }
  return true;
}

class Reader {
 public:
  Reader(const ByteSource& archive, const std::string& file, Findings& findings)
      : archive_(archive), file_(file), findings_(findings) {}

  std::vector<TarMember> Read();

 private:
  // Each returns false at a fault, after which nothing can be read.
  bool Fail(const std::string& member, absl::string_view what) {
    findings_.AddFault(FaultKind::kInvalid, {file_, 0, member}, what);
    return false;
  }
  bool ReadMember(const std::string& header);
  bool ReadExtension(char type, int64_t size);
  bool Keep(TarMember member);

  const ByteSource& archive_;
  const std::string& file_;
  Findings& findings_;
  int64_t at_ = 0;
  std::map<std::string, std::string> pax_;
  std::string long_name_;
  std::set<std::string> names_;
  std::vector<TarMember> members_;
};

bool Reader::ReadExtension(char type, int64_t size) {
  if (size > kMaxExtension) return Fail("", "a member's header is too long");
  const absl::StatusOr<std::string> text = archive_.Read(at_, static_cast<size_t>(size));
  if (!text.ok() || static_cast<int64_t>(text->size()) != size) {
    return Fail("", "the archive is cut short");
  }
  if (type == 'L') long_name_ = text->substr(0, text->find('\0'));
  if ((type == 'x' || type == 'g') && !ReadPax(*text, pax_)) {
    return Fail("", "a member's pax header is damaged");
  }
  for (const auto& [key, value] : pax_) {
    if (absl::StartsWith(key, "GNU.sparse")) return Fail(value, "a sparse member is not read");
  }
  return true;
}

bool Reader::Keep(TarMember member) {
  while (absl::StartsWith(member.name, "./")) member.name.erase(0, 2);
  const std::string wrong = WhyNotName(member.name);
  if (!wrong.empty()) return Fail(member.name, wrong);
  if (!names_.insert(member.name).second) return Fail(member.name, "occurs twice in the archive");
  if (members_.size() >= kMaxMembers) return Fail(member.name, "there are too many members");
  members_.push_back(std::move(member));
  return true;
}

bool Reader::ReadMember(const std::string& header) {
  const std::optional<int64_t> sum = Number(header, 148, 8);
  std::optional<int64_t> size = Number(header, 124, 12);
  std::string name(Field(header, 0, 100));
  const absl::string_view prefix = Field(header, 345, 155);
  if (Field(header, 257, 5) == "ustar" && header[263] == '0' && !prefix.empty()) {
    name = absl::StrCat(prefix, "/", name);
  }
  if (!sum || *sum != Checksum(header))
    return Fail(name, "this is no tar archive, or a damaged one");
  const char type = header[156];
  at_ += kBlock;
  const bool extension = type == 'L' || type == 'K' || type == 'x' || type == 'g';
  if (!extension && pax_.count("size") > 0) {
    int64_t value = -1;
    size = absl::SimpleAtoi(pax_["size"], &value) ? std::optional<int64_t>(value) : std::nullopt;
  }
  if (!size || *size < 0 || *size > archive_.size() - at_) {
    return Fail(name, "is larger than the archive: it is cut short");
  }
  const int64_t begin = at_;
  if (extension && !ReadExtension(type, *size)) return false;
  at_ += (*size + kBlock - 1) / kBlock * kBlock;
  if (extension) return true;
  if (!long_name_.empty()) name = long_name_;
  if (pax_.count("path") > 0) name = pax_["path"];
  long_name_.clear();
  pax_.clear();
  switch (type) {
    case '0':
    case '\0':
    case '7':
      return Keep({name, begin, *size});
    case '5':
      return true;  // A folder: members below it name it.
    case '1':
    case '2':
      return Fail(name, "is a link");
    case 'S':
      return Fail(name, "is a sparse member, which is not read");
    default:
      return Fail(name, absl::StrCat("is no regular file (type '", std::string(1, type), "')"));
  }
}

std::vector<TarMember> Reader::Read() {
  while (at_ + kBlock <= archive_.size()) {
    const absl::StatusOr<std::string> header = archive_.Read(at_, kBlock);
    if (!header.ok()) {
      Fail("", header.status().message());
      break;
    }
    // Zeros: the end. Some writers leave one block of them out, and what follows is padding.
    if (header->find_first_not_of('\0') == std::string::npos) return members_;
    if (!ReadMember(*header)) return {};
  }
  if (members_.empty()) Fail("", "this is no tar archive");
  return members_;
}

}  // namespace

std::vector<TarMember> ReadTar(const ByteSource& archive, const std::string& file,
                               Findings& findings) {
  return Reader(archive, file, findings).Read();
}

absl::StatusOr<std::string> TarHeader(const std::string& name, int64_t size, int64_t mtime) {
  if (name.empty() || name.size() > 100) {
    return InvalidField("name", "has to have 1 to 100 characters");
  }
  std::string header(kBlock, '\0');
  const auto put = [&](size_t at, const std::string& text) {
    std::copy(text.begin(), text.end(), header.begin() + static_cast<int64_t>(at));
  };
  const auto octal = [](int64_t value, int width) {
    char text[24];
    std::snprintf(text, sizeof(text), "%0*llo", width, static_cast<unsigned long long>(value));
    return std::string(text);
  };
  put(0, name);
  put(100, "0000644");
  put(108, "0000000");
  put(116, "0000000");
  if (size < int64_t{1} << 33) {
    put(124, octal(size, 11));
  } else {
    header[124] = static_cast<char>(0x80);
    for (int i = 0; i < 8; ++i) {
      header[static_cast<size_t>(135 - i)] = static_cast<char>(size >> (8 * i) & 0xff);
    }
  }
  put(136, octal(mtime, 11));
  header[156] = '0';
  put(257, std::string("ustar\0"
                       "00",
                       8));
  put(148, octal(Checksum(header), 6));
  header[155] = ' ';
  return header;
}

std::string TarPadding(int64_t size) {
  return std::string(static_cast<size_t>((kBlock - size % kBlock) % kBlock), '\0');
}

std::string TarEnd() { return std::string(2 * kBlock, '\0'); }

}  // namespace virmo::ovf
