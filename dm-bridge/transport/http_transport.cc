// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/transport/http_transport.h"

#include <curl/curl.h>

#include <mutex>

#include "absl/strings/str_cat.h"
#include "dm-bridge/accounts/account_store.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {

struct HttpTransport::Answer {
  std::string body;
  size_t max_bytes = 0;
  bool too_large = false;
};

namespace {

using v1::ErrorInfo;

struct SlistDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Headers = std::unique_ptr<curl_slist, SlistDeleter>;

Headers MakeHeaders(const std::string& content_type) {
  curl_slist* list = nullptr;
  for (const std::string& header :
       {absl::StrCat("Content-Type: ", content_type), absl::StrCat("Accept: ", content_type),
        std::string("Accept-Charset: utf-8"), std::string("Cache-Control: no-store"),
        // libcurl would wait a second for `100 Continue` with a larger body.
        std::string("Expect:")}) {
    list = curl_slist_append(list, header.c_str());
  }
  return Headers(list);
}

template <typename Answer>
size_t Append(char* data, size_t size, size_t count, void* user) {
  auto& answer = *static_cast<Answer*>(user);
  const size_t bytes = size * count;
  answer.too_large = answer.body.size() + bytes > answer.max_bytes;
  if (answer.too_large) return 0;
  answer.body.append(data, bytes);
  return bytes;
}

int Progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return *static_cast<std::atomic<bool>*>(user) ? 1 : 0;
}

// A RespURI's query may be what the server knows the session by: not for logs.
std::string WithoutQuery(const std::string& url) { return url.substr(0, url.find('?')); }

absl::Status HttpError(long code) {
  const bool may_pass = code >= 500 || code == 429 || code == 408;
  return Error(may_pass ? ErrorInfo::REASON_SESSION_FAILED : ErrorInfo::REASON_POLICY_FORBIDS,
               absl::StrCat("the server answered HTTP ", code));
}

}  // namespace

HttpTransport::HttpTransport(Options options) : options_(std::move(options)) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  curl_ = curl_easy_init();
}

HttpTransport::~HttpTransport() {
  if (curl_ != nullptr) curl_easy_cleanup(curl_);
}

void HttpTransport::SetUp(const std::string& url, const std::string& body, Answer& answer) {
  curl_easy_reset(curl_);  // Connections stay open.
  curl_easy_setopt(curl_, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl_, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl_, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl_, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl_, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!options_.ca_file.empty()) {
    curl_easy_setopt(curl_, CURLOPT_CAINFO, options_.ca_file.c_str());
  }
  curl_easy_setopt(curl_, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(absl::ToInt64Milliseconds(options_.connect_timeout)));
  curl_easy_setopt(curl_, CURLOPT_TIMEOUT_MS,
                   static_cast<long>(absl::ToInt64Milliseconds(options_.timeout)));
  curl_easy_setopt(curl_, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(curl_, CURLOPT_USERAGENT, "VirMO-dm-bridge");
  curl_easy_setopt(curl_, CURLOPT_POST, 1L);
  curl_easy_setopt(curl_, CURLOPT_POSTFIELDS, body.data());
  curl_easy_setopt(curl_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  curl_easy_setopt(curl_, CURLOPT_WRITEFUNCTION, &Append<Answer>);
  curl_easy_setopt(curl_, CURLOPT_WRITEDATA, &answer);
  curl_easy_setopt(curl_, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl_, CURLOPT_XFERINFOFUNCTION, &Progress);
  curl_easy_setopt(curl_, CURLOPT_XFERINFODATA, &cancelled_);
}

absl::StatusOr<std::string> HttpTransport::Post(const std::string& url,
                                                const std::string& content_type,
                                                const std::string& body) {
  if (curl_ == nullptr) return Error(ErrorInfo::REASON_INTERNAL, "libcurl did not start");
  RETURN_IF_ERROR(CheckAddress(url));
  Answer answer;
  answer.max_bytes = options_.max_answer_bytes;
  SetUp(url, body, answer);
  const Headers headers = MakeHeaders(content_type);
  curl_easy_setopt(curl_, CURLOPT_HTTPHEADER, headers.get());
  const CURLcode code = curl_easy_perform(curl_);
  if (cancelled_) return absl::CancelledError("the session was cancelled");
  if (answer.too_large) {
    return Error(
        ErrorInfo::REASON_INSUFFICIENT_RESOURCES,
        absl::StrCat("the server's answer is larger than ", options_.max_answer_bytes, " bytes"));
  }
  if (code != CURLE_OK) {
    return Error(ErrorInfo::REASON_SESSION_FAILED,
                 absl::StrCat("cannot reach ", WithoutQuery(url), ": ", curl_easy_strerror(code)));
  }
  long http_code = 0;
  curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &http_code);
  if (http_code != 200) return HttpError(http_code);
  return std::move(answer.body);
}

}  // namespace virmo::dm_bridge
