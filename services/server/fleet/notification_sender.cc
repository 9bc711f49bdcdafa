// SPDX-License-Identifier: Apache-2.0
#include "services/server/fleet/notification_sender.h"

#include <curl/curl.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/syncml/notification.h"

namespace virmo::server {
namespace {

constexpr long kConnectSeconds = 3;
constexpr long kTotalSeconds = 8;

bool IsHttp(const std::string& address) {
  return absl::StartsWith(address, "http://") || absl::StartsWith(address, "https://");
}

absl::Status SendDatagram(const std::string& address, const std::string& octets) {
  absl::string_view rest = address;
  absl::ConsumePrefix(&rest, "udp:");
  const size_t colon = rest.rfind(':');
  std::string host(rest.substr(0, colon));
  const std::string port(rest.substr(colon + 1));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  addrinfo hints = {};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0) {
    return absl::UnavailableError(absl::StrCat(address, ": ", gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  const int udp = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (udp < 0) return absl::UnavailableError(std::strerror(errno));
  const ssize_t sent =
      sendto(udp, octets.data(), octets.size(), 0, found->ai_addr, found->ai_addrlen);
  const int error = errno;
  close(udp);
  if (sent == static_cast<ssize_t>(octets.size())) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(address, ": ", std::strerror(error)));
}

size_t Ignore(char* /*data*/, size_t size, size_t count, void* /*unused*/) { return size * count; }

absl::Status PostNotification(const std::string& address, const std::string& octets) {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(),
                                                                 curl_easy_cleanup);
  if (curl == nullptr) return absl::InternalError("libcurl does not start");
  const std::string type = absl::StrCat("Content-Type: ", syncml::kNotificationContentType);
  const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(
      curl_slist_append(nullptr, type.c_str()), curl_slist_free_all);
  curl_easy_setopt(curl.get(), CURLOPT_URL, address.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl.get(), CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(octets.size()));
  curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, octets.data());
  curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, kTotalSeconds);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, Ignore);
  const CURLcode result = curl_easy_perform(curl.get());
  if (result != CURLE_OK) {
    return absl::UnavailableError(absl::StrCat(address, ": ", curl_easy_strerror(result)));
  }
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status >= 200 && status < 300) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(address, " answered HTTP ", status));
}

}  // namespace

absl::Status CheckAddress(const std::string& address) {
  absl::string_view rest = address;
  if (IsHttp(address)) {
    const size_t host = address.find("://") + 3;
    const bool plain = address.find_first_of(" \t\r\n") == std::string::npos;
    if (plain && address.size() <= 1024 && host < address.size() && address[host] != '/') {
      return absl::OkStatus();
    }
  } else if (absl::ConsumePrefix(&rest, "udp:")) {
    const size_t colon = rest.rfind(':');
    int port = 0;
    if (colon != absl::string_view::npos && colon > 0 &&
        absl::SimpleAtoi(rest.substr(colon + 1), &port) && port > 0 && port < 65536) {
      return absl::OkStatus();
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", address.substr(0, 200), "\" is neither udp:HOST:PORT nor an http(s) URL"));
}

absl::Status SendNotification(const std::string& address, const std::string& octets) {
  if (const absl::Status checked = CheckAddress(address); !checked.ok()) return checked;
  return IsHttp(address) ? PostNotification(address, octets) : SendDatagram(address, octets);
}

}  // namespace virmo::server
