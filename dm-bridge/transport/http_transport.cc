// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/transport/http_transport.h"

#include <curl/curl.h>

#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "dm-bridge/accounts/account_store.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/codec.h"

namespace virmo::dm_bridge {

// One request on its way, and what came back.
struct HttpTransport::Exchange {
  syncml::ContentCoding coding = syncml::ContentCoding::kIdentity;  // Of what is sent.
  std::string sent;
  size_t max_bytes = 0;
  std::string body;
  bool too_large = false;
  std::string content_encoding;
  std::string accept_encoding;
  std::optional<std::string> hmac;
  long http_code = 0;
};

namespace {

using syncml::ContentCoding;
using v1::ErrorInfo;

// Smaller bodies do not shrink by much.
constexpr size_t kWorthCompressing = 512;

struct SlistDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Headers = std::unique_ptr<curl_slist, SlistDeleter>;

Headers MakeHeaders(const Transport::Request& request, ContentCoding coding) {
  std::vector<std::string> headers = {
      absl::StrCat("Content-Type: ", request.content_type),
      absl::StrCat("Accept: ", syncml::ContentType(syncml::Encoding::kXml), ", ",
                   syncml::ContentType(syncml::Encoding::kWbxml)),
      "Accept-Charset: utf-8", "Accept-Encoding: gzip, deflate", "Cache-Control: no-store",
      // libcurl would wait a second for `100 Continue` with a larger body.
      "Expect:"};
  if (coding != ContentCoding::kIdentity) {
    headers.push_back(absl::StrCat("Content-Encoding: ", syncml::Name(coding)));
  }
  if (request.hmac) headers.push_back(absl::StrCat("x-syncml-hmac: ", *request.hmac));
  curl_slist* list = nullptr;
  for (const std::string& header : headers) list = curl_slist_append(list, header.c_str());
  return Headers(list);
}

template <typename Exchange>
size_t Append(char* data, size_t size, size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  const size_t bytes = size * count;
  exchange.too_large = exchange.body.size() + bytes > exchange.max_bytes;
  if (exchange.too_large) return 0;
  exchange.body.append(data, bytes);
  return bytes;
}

// One line of the answer's header.
template <typename Exchange>
size_t TakeHeader(char* data, size_t size, size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  const absl::string_view line(data, size * count);
  const size_t colon = line.find(':');
  if (colon != absl::string_view::npos) {
    const absl::string_view name = line.substr(0, colon);
    const std::string value(absl::StripAsciiWhitespace(line.substr(colon + 1)));
    if (absl::EqualsIgnoreCase(name, "content-encoding")) exchange.content_encoding = value;
    if (absl::EqualsIgnoreCase(name, "accept-encoding")) exchange.accept_encoding = value;
    if (absl::EqualsIgnoreCase(name, "x-syncml-hmac")) exchange.hmac = value;
  }
  return line.size();
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

absl::Status TooLarge(size_t max_bytes) {
  return Error(ErrorInfo::REASON_INSUFFICIENT_RESOURCES,
               absl::StrCat("the server's answer is larger than ", max_bytes, " bytes"));
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

void HttpTransport::Cancel() {
  cancelled_ = true;
  MutexLock lock(mutex_);
  cancel_changed_.notify_all();
}

bool HttpTransport::Pause(absl::Duration duration) {
  MutexLock lock(mutex_);
  return !lock.WaitFor(cancel_changed_, duration, [&] { return cancelled_.load(); });
}

void HttpTransport::SetUpTls() {
  curl_easy_setopt(curl_, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!options_.ca_file.empty()) {
    curl_easy_setopt(curl_, CURLOPT_CAINFO, options_.ca_file.c_str());
  }
  if (options_.certificate_file.empty()) return;
  curl_easy_setopt(curl_, CURLOPT_SSLCERT, options_.certificate_file.c_str());
  curl_easy_setopt(curl_, CURLOPT_SSLKEY, options_.key_file.c_str());
}

void HttpTransport::SetUp(const Request& request, Exchange& exchange) {
  curl_easy_reset(curl_);  // Connections stay open.
  curl_easy_setopt(curl_, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl_, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl_, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl_, CURLOPT_FOLLOWLOCATION, 0L);
  SetUpTls();
  curl_easy_setopt(curl_, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(absl::ToInt64Milliseconds(options_.connect_timeout)));
  curl_easy_setopt(curl_, CURLOPT_TIMEOUT_MS,
                   static_cast<long>(absl::ToInt64Milliseconds(options_.timeout)));
  curl_easy_setopt(curl_, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(curl_, CURLOPT_USERAGENT, "VirMO-dm-bridge");
  curl_easy_setopt(curl_, CURLOPT_POST, 1L);
  curl_easy_setopt(curl_, CURLOPT_POSTFIELDS, exchange.sent.data());
  curl_easy_setopt(curl_, CURLOPT_POSTFIELDSIZE_LARGE,
                   static_cast<curl_off_t>(exchange.sent.size()));
  curl_easy_setopt(curl_, CURLOPT_WRITEFUNCTION, &Append<Exchange>);
  curl_easy_setopt(curl_, CURLOPT_WRITEDATA, &exchange);
  curl_easy_setopt(curl_, CURLOPT_HEADERFUNCTION, &TakeHeader<Exchange>);
  curl_easy_setopt(curl_, CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(curl_, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl_, CURLOPT_XFERINFOFUNCTION, &Progress);
  curl_easy_setopt(curl_, CURLOPT_XFERINFODATA, &cancelled_);
}

absl::Status HttpTransport::Perform(const Request& request, Exchange& exchange) {
  exchange.max_bytes = options_.max_answer_bytes;
  exchange.sent = syncml::Compress(request.body, exchange.coding);
  SetUp(request, exchange);
  const Headers headers = MakeHeaders(request, exchange.coding);
  curl_easy_setopt(curl_, CURLOPT_HTTPHEADER, headers.get());
  const CURLcode code = curl_easy_perform(curl_);
  if (cancelled_) return absl::CancelledError("the session was cancelled");
  if (exchange.too_large) return TooLarge(options_.max_answer_bytes);
  if (code != CURLE_OK) {
    return Error(
        ErrorInfo::REASON_SESSION_FAILED,
        absl::StrCat("cannot reach ", WithoutQuery(request.url), ": ", curl_easy_strerror(code)));
  }
  curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &exchange.http_code);
  return absl::OkStatus();
}

absl::StatusOr<Transport::Answer> HttpTransport::Post(const Request& request) {
  if (curl_ == nullptr) return Error(ErrorInfo::REASON_INTERNAL, "libcurl did not start");
  RETURN_IF_ERROR(CheckAddress(request.url));
  Exchange exchange;
  // Peers differ in whether a MAC is made before or after compressing.
  const bool compress =
      server_reads_compressed_ && !request.hmac && request.body.size() >= kWorthCompressing;
  if (compress) exchange.coding = options_.compression;
  RETURN_IF_ERROR(Perform(request, exchange));
  if (exchange.http_code == 415 && compress) {
    server_reads_compressed_ = false;
    exchange = Exchange();
    RETURN_IF_ERROR(Perform(request, exchange));
  }
  if (exchange.http_code != 200) return HttpError(exchange.http_code);
  if (!exchange.accept_encoding.empty()) {
    server_reads_compressed_ = options_.compression != ContentCoding::kIdentity &&
                               syncml::Accepts(exchange.accept_encoding, options_.compression);
  }
  return Read(exchange);
}

absl::StatusOr<Transport::Answer> HttpTransport::Read(Exchange& exchange) const {
  Answer answer;
  answer.hmac = std::move(exchange.hmac);
  const auto coding = syncml::ParseContentCoding(exchange.content_encoding);
  if (!coding) {
    return absl::InvalidArgumentError(
        absl::StrCat("the server's answer has a Content-Encoding that "
                     "was not asked for: ",
                     exchange.content_encoding));
  }
  if (*coding == ContentCoding::kIdentity) {
    answer.body = std::move(exchange.body);
    return answer;
  }
  absl::StatusOr<std::string> body =
      syncml::Decompress(exchange.body, *coding, options_.max_answer_bytes);
  if (absl::IsResourceExhausted(body.status())) return TooLarge(options_.max_answer_bytes);
  if (!body.ok()) return body.status();
  answer.body = *std::move(body);
  answer.entity = std::move(exchange.body);
  return answer;
}

}  // namespace virmo::dm_bridge
