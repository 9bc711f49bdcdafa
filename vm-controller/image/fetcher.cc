// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/image/fetcher.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "vm-controller/image/package_file.h"

namespace virmo::vm_controller {
namespace {

using v1::ErrorInfo;

constexpr long kConnectTimeoutSeconds = 10;
constexpr long kStallSeconds = 30;
constexpr long kMaxRedirects = 5;

using Curl = std::unique_ptr<CURL, decltype(&curl_easy_cleanup)>;

// One HTTP request, and what came of it.
struct Request {
  PackageFile& file;
  CURL* curl = nullptr;
  bool started = false;      // The body has begun.
  absl::Status status = {};  // Why we ended it ourselves.
  int64_t received = 0;
};

absl::Status HttpError(const std::string& uri, long code) {
  const std::string message = absl::StrCat("cannot fetch ", uri, ": the server answered ", code);
  const Metadata metadata = {{"uri", uri}, {"http_status", absl::StrCat(code)}};
  if (code == 401 || code == 403 || code == 407) {
    return Error(ErrorInfo::REASON_DOWNLOAD_UNAUTHORIZED, message, metadata);
  }
  if (code >= 500) return Error(ErrorInfo::REASON_DOWNLOAD_SERVER_ERROR, message, metadata);
  return Error(ErrorInfo::REASON_DOWNLOAD_FAILED, message, metadata);
}

absl::Status TransferError(const std::string& uri, CURLcode code, const char* detail) {
  const std::string cause = detail[0] != '\0' ? detail : curl_easy_strerror(code);
  const std::string message = absl::StrCat("cannot fetch ", uri, ": ", cause);
  const Metadata metadata = {{"uri", uri}, {"cause", cause}};
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
      return Error(ErrorInfo::REASON_DOWNLOAD_SERVER_UNAVAILABLE, message, metadata);
    default:
      return Error(ErrorInfo::REASON_DOWNLOAD_FAILED, message, metadata);
  }
}

// The body begins: 206 goes on where we are, 200 is the whole from its beginning.
absl::Status BeginBody(Request& request) {
  long code = 0;
  curl_easy_getinfo(request.curl, CURLINFO_RESPONSE_CODE, &code);
  curl_off_t length = -1;
  curl_easy_getinfo(request.curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  if (code == 200) RETURN_IF_ERROR(request.file.Restart());
  if (length >= 0) RETURN_IF_ERROR(request.file.SetTotal(request.file.size() + length));
  return absl::OkStatus();
}

size_t OnBody(char* data, size_t, size_t count, void* argument) {
  Request& request = *static_cast<Request*>(argument);
  if (!request.started) {
    request.started = true;
    request.status = BeginBody(request);
  }
  if (request.status.ok()) request.status = request.file.Append({data, count});
  if (!request.status.ok()) return 0;
  request.received += static_cast<int64_t>(count);
  return count;
}

int OnProgress(void* argument, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  Request& request = *static_cast<Request*>(argument);
  request.status.Update(request.file.CheckCancelled());
  return request.status.ok() ? 0 : 1;
}

Curl MakeCurl(const std::string& uri, const std::string& ca_file, int64_t offset, Request& request,
              char* error) {
  Curl curl(curl_easy_init(), curl_easy_cleanup);
  request.curl = curl.get();
  curl_easy_setopt(curl.get(), CURLOPT_URL, uri.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_MAXREDIRS, kMaxRedirects);
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl.get(), CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl.get(), CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT, kConnectTimeoutSeconds);
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_TIME, kStallSeconds);
  curl_easy_setopt(curl.get(), CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &request);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFOFUNCTION, OnProgress);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFODATA, &request);
  if (!ca_file.empty()) curl_easy_setopt(curl.get(), CURLOPT_CAINFO, ca_file.c_str());
  if (offset > 0) curl_easy_setopt(curl.get(), CURLOPT_RANGE, absl::StrCat(offset, "-").c_str());
  return curl;
}

// Makes one request. Returns how it ended; `*progressed` says whether a byte came.
absl::Status RequestOnce(const std::string& uri, const std::string& ca_file, PackageFile& file,
                         bool* progressed) {
  Request request{file};
  char error[CURL_ERROR_SIZE] = "";
  const int64_t offset = file.size();
  const Curl curl = MakeCurl(uri, ca_file, offset, request, error);
  const CURLcode code = curl_easy_perform(curl.get());
  *progressed = request.received > 0;
  RETURN_IF_ERROR(request.status);
  long http_code = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &http_code);
  if (code == CURLE_OK && http_code == 200 && !request.started) return file.Restart();  // Empty.
  if (code == CURLE_OK) return absl::OkStatus();
  // Nothing after `offset`: the file is complete, or it is not this package. The digest tells.
  if (http_code == 416 && offset > 0) return absl::OkStatus();
  if (code == CURLE_HTTP_RETURNED_ERROR) return HttpError(uri, http_code);
  return TransferError(uri, code, error);
}

// Whether the same request may go better in a moment.
bool IsWorthAnotherTry(const absl::Status& status, bool progressed) {
  const ErrorInfo::Reason reason = ReasonOf(status);
  return reason == ErrorInfo::REASON_DOWNLOAD_SERVER_UNAVAILABLE ||
         (progressed && reason == ErrorInfo::REASON_DOWNLOAD_FAILED);
}

}  // namespace

absl::Status Fetcher::CheckUri(const std::string& uri, const std::string& field) const {
  absl::string_view rest = uri;
  if (absl::ConsumePrefix(&rest, "file:")) {
    absl::ConsumePrefix(&rest, "//");
    if (!absl::StartsWith(rest, "/")) return InvalidField(field, "file: needs an absolute path");
    return CheckLocalPath(std::string(rest));
  }
  if (!absl::ConsumePrefix(&rest, "http://") && !absl::ConsumePrefix(&rest, "https://")) {
    return InvalidField(field, absl::StrCat("'", uri, "' is not an http, https or file URI"));
  }
  if (rest.empty() || rest.front() == '/') return InvalidField(field, "the URI names no host");
  return absl::OkStatus();
}

absl::Status Fetcher::CheckLocalPath(const std::string& path) const {
  char real[PATH_MAX];
  if (realpath(path.c_str(), real) == nullptr) {
    return Error(ErrorInfo::REASON_DOWNLOAD_FAILED,
                 absl::StrCat("cannot read ", path, ": ", std::strerror(errno)), {{"file", path}});
  }
  for (const std::string& directory : options_.package_directories) {
    char root[PATH_MAX];
    if (realpath(directory.c_str(), root) == nullptr) continue;
    if (absl::StartsWith(real, absl::StrCat(root, "/"))) return absl::OkStatus();
  }
  return Error(ErrorInfo::REASON_DOWNLOAD_UNAUTHORIZED,
               absl::StrCat(path, " is not in a folder that package_directories allows"),
               {{"file", path}});
}

absl::Status Fetcher::Fetch(const Job& job) const {
  RETURN_IF_ERROR(CheckUri(job.uri, "package.uri"));
  return absl::StartsWith(job.uri, "file:") ? CopyFile(job) : FetchHttp(job);
}

absl::Status Fetcher::FetchHttp(const Job& job) const {
  ASSIGN_OR_RETURN(const std::unique_ptr<PackageFile> file, PackageFile::Open(job));
  absl::Duration pause = absl::Milliseconds(100);
  for (int attempt = 1;; ++attempt) {
    bool progressed = false;
    const absl::Status status = RequestOnce(job.uri, options_.ca_file, *file, &progressed);
    if (status.ok()) return file->Finish();
    RETURN_IF_ERROR(file->CheckCancelled());
    if (progressed) attempt = 0;
    if (attempt >= options_.max_attempts || !IsWorthAnotherTry(status, progressed)) {
      RETURN_IF_ERROR(file->Sync());
      return status;
    }
    absl::SleepFor(pause);
    pause = std::min(pause * 2, absl::Seconds(2));
  }
}

absl::Status Fetcher::CopyFile(const Job& job) const {
  absl::string_view path = job.uri;
  absl::ConsumePrefix(&path, "file:");
  absl::ConsumePrefix(&path, "//");
  const int source = open(std::string(path).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat info;
  if (source < 0 || fstat(source, &info) != 0 || !S_ISREG(info.st_mode)) {
    if (source >= 0) close(source);
    return Error(ErrorInfo::REASON_DOWNLOAD_FAILED,
                 absl::StrCat("cannot read ", std::string(path), ": not a readable file"));
  }
  const auto copy = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const std::unique_ptr<PackageFile> file, PackageFile::Open(job));
    RETURN_IF_ERROR(file->SetTotal(info.st_size));
    std::vector<char> buffer(1 << 18);
    ssize_t count = 0;
    while ((count = pread(source, buffer.data(), buffer.size(), file->size())) > 0) {
      RETURN_IF_ERROR(file->CheckCancelled());
      RETURN_IF_ERROR(file->Append({buffer.data(), static_cast<size_t>(count)}));
    }
    return file->Finish();
  };
  const absl::Status status = copy();
  close(source);
  return status;
}

}  // namespace virmo::vm_controller
