// SPDX-License-Identifier: Apache-2.0
#include "services/ovf/manifest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"

namespace virmo::ovf {
namespace {

constexpr size_t kMaxEntries = 4096;
constexpr int64_t kChunk = 1 << 20;

const std::map<std::string, size_t>& HexLengths() {
  static const std::map<std::string, size_t> lengths = {
      {"SHA1", 40}, {"SHA256", 64}, {"SHA384", 96}, {"SHA512", 128}};
  return lengths;
}

// `SHA256(name)= hex`; empty, or what is wrong.
std::string ReadLine(absl::string_view line, ManifestEntry& entry) {
  const size_t open = line.find('(');
  const size_t close = line.rfind(')');
  if (open == absl::string_view::npos || close == absl::string_view::npos || close < open) {
    return "is not of the form `SHA256(name)= digest`";
  }
  entry.algorithm = absl::AsciiStrToUpper(absl::StripAsciiWhitespace(line.substr(0, open)));
  entry.algorithm.erase(std::remove(entry.algorithm.begin(), entry.algorithm.end(), '-'),
                        entry.algorithm.end());
  entry.name = std::string(absl::StripAsciiWhitespace(line.substr(open + 1, close - open - 1)));
  absl::string_view rest = absl::StripAsciiWhitespace(line.substr(close + 1));
  if (!absl::ConsumePrefix(&rest, "=")) return "has no `=`";
  entry.digest = absl::AsciiStrToLower(absl::StripAsciiWhitespace(rest));
  const auto length = HexLengths().find(entry.algorithm);
  if (length == HexLengths().end()) {
    return absl::StrCat("the algorithm '", entry.algorithm, "' is not accepted");
  }
  if (entry.digest.size() != length->second ||
      entry.digest.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return absl::StrCat("is no ", entry.algorithm, " digest in hex");
  }
  return entry.name.empty() ? "names no file" : "";
}

}  // namespace

std::vector<ManifestEntry> ReadManifest(absl::string_view octets, const std::string& file,
                                        Findings& findings) {
  std::vector<ManifestEntry> entries;
  std::set<std::string> names;
  int number = 0;
  bool weak = false;
  for (const absl::string_view raw : absl::StrSplit(octets, '\n')) {
    ++number;
    const absl::string_view line = absl::StripAsciiWhitespace(raw);
    if (line.empty()) continue;
    ManifestEntry entry;
    entry.line = number;
    std::string wrong = ReadLine(line, entry);
    if (wrong.empty() && !names.insert(entry.name).second) wrong = "its file occurs twice";
    if (wrong.empty() && entries.size() >= kMaxEntries) wrong = "there are too many lines";
    if (!wrong.empty()) {
      findings.AddFault(FaultKind::kInvalid, {file, number, entry.name}, wrong);
      continue;
    }
    weak = weak || entry.algorithm == "SHA1";
    entries.push_back(std::move(entry));
  }
  if (weak) findings.AddWarning({file, 0, ""}, "SHA-1 protects against accidents only");
  return entries;
}

absl::StatusOr<std::string> DigestOf(const ByteSource& source, const std::string& algorithm) {
  const EVP_MD* digest = EVP_get_digestbyname(algorithm.c_str());
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        EVP_MD_CTX_free);
  if (digest == nullptr || context == nullptr ||
      EVP_DigestInit_ex(context.get(), digest, nullptr) != 1) {
    return Error(v1::ErrorInfo::REASON_INTERNAL, absl::StrCat("cannot compute ", algorithm));
  }
  std::string buffer;
  for (int64_t at = 0; at < source.size(); at += kChunk) {
    ASSIGN_OR_RETURN(buffer, source.Read(at, kChunk));
    EVP_DigestUpdate(context.get(), buffer.data(), buffer.size());
  }
  unsigned char value[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_DigestFinal_ex(context.get(), value, &size);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(value), size));
}

}  // namespace virmo::ovf
