// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/address.h"

#include <sys/un.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/status_macros.h"

namespace virmo {

namespace {

constexpr char kUnix[] = "unix:";
constexpr unsigned int kReadAgainSeconds = 10;

// `host` of `host:1`, `::1` of `[::1]:1`; empty if it has no such form.
std::string HostOf(const std::string& address) {
  const size_t colon = address.rfind(':');
  int port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port) ||
      port < 0 || port > 65535) {
    return "";
  }
  const std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    return host.substr(1, host.size() - 2);
  }
  return absl::StrContains(host, ':') || absl::StrContains(host, '/') ? "" : host;
}

absl::Status CheckUnixPath(const std::string& path) {
  if (path.empty() || path.front() != '/') {
    return InvalidField("address", absl::StrCat("the socket's path must be absolute: `unix:/run/"
                                                "virmo/NAME.sock`, got `",
                                                kUnix, path, "`"));
  }
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return InvalidField("address",
                        absl::StrCat("the socket's path may have at most ",
                                     sizeof(sockaddr_un::sun_path) - 1, " characters: ", path));
  }
  return absl::OkStatus();
}

absl::Status CheckPem(absl::string_view field, const std::string& path) {
  const std::string full_field = absl::StrCat("tls.", field);
  if (path.empty()) return InvalidField(full_field, "is required");
  const absl::StatusOr<std::string> content = ReadFile(path, 1 << 20);
  if (!content.ok()) return InvalidField(full_field, content.status().message());
  if (!absl::StrContains(*content, "-----BEGIN ")) {
    return InvalidField(full_field, absl::StrCat(path, " is not a PEM file"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckAddress(const std::string& address) {
  if (IsUnixAddress(address)) return CheckUnixPath(UnixPath(address));
  if (HostOf(address).empty()) {
    return InvalidField("address",
                        absl::StrCat("want `unix:/PATH` or `HOST:PORT`, got `", address, "`"));
  }
  return absl::OkStatus();
}

bool IsUnixAddress(const std::string& address) { return absl::StartsWith(address, kUnix); }

std::string UnixPath(const std::string& address) { return address.substr(sizeof(kUnix) - 1); }

bool IsLoopbackAddress(const std::string& address) {
  const std::string host = HostOf(address);
  if (host == "localhost" || host == "::1") return true;
  // Only the numeric form: `127.example.com` is a name that anybody may define.
  const std::vector<std::string> parts = absl::StrSplit(host, '.');
  int number = 0;
  if (parts.size() != 4 || parts[0] != "127") return false;
  for (const std::string& part : parts) {
    if (!absl::SimpleAtoi(part, &number) || number < 0 || number > 255) return false;
  }
  return true;
}

absl::Status CheckTls(const config::v1::Tls& tls) {
  RETURN_IF_ERROR(CheckPem("certificate_file", tls.certificate_file()));
  RETURN_IF_ERROR(CheckPem("key_file", tls.key_file()));
  return CheckPem("ca_file", tls.ca_file());
}

std::shared_ptr<grpc::experimental::CertificateProviderInterface> MakeCertificateProvider(
    const config::v1::Tls& tls) {
  return std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
      tls.key_file(), tls.certificate_file(), tls.ca_file(), kReadAgainSeconds);
}

}  // namespace virmo
