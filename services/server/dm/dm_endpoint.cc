// SPDX-License-Identifier: Apache-2.0
#include "services/server/dm/dm_endpoint.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/runtime/error.h"
#include "services/runtime/logging.h"

namespace virmo::server {
namespace {

std::string TokenOf(const std::string& query) {
  for (absl::string_view part : absl::StrSplit(query, '&')) {
    if (absl::ConsumePrefix(&part, "s=")) return std::string(part);
  }
  return "";
}

HttpResponse ErrorResponse(const absl::Status& status) {
  if (absl::IsInvalidArgument(status)) {
    return TextResponse(400, absl::StrCat("malformed SyncML: ", status.message()));
  }
  if (absl::IsResourceExhausted(status) &&
      ReasonOf(status) != v1::ErrorInfo::REASON_STORAGE_FAILED) {
    return TextResponse(413, std::string(status.message()));
  }
  const v1::ErrorInfo info = ErrorInfoOf(status);
  const auto wait = info.metadata().find("retry_after_s");
  if (wait == info.metadata().end()) {
    spdlog::error("cannot serve a message error=\"{}\"", status.message());
    return TextResponse(503, "the server cannot store anything now; try again later");
  }
  HttpResponse response = TextResponse(503, std::string(status.message()));
  response.headers["Retry-After"] = wait->second;
  return response;
}

}  // namespace

HttpResponse DmEndpoint::Handle(const HttpRequest& request) {
  if (request.method != "POST") {
    HttpResponse response = TextResponse(405, "send SyncML messages by POST");
    response.headers["Allow"] = "POST";
    return response;
  }
  const std::string type = request.Header("content-type");
  if (!type.empty() && !syncml::EncodingOf(type)) {
    return TextResponse(415, "Content-Type must be application/vnd.syncml.dm+xml or +wbxml");
  }
  // The octets know better than the header.
  const syncml::Encoding encoding = syncml::Sniff(request.body);
  auto answer = handler_.Handle(request.body, encoding, TokenOf(request.query));
  if (!answer.ok()) return ErrorResponse(answer.status());
  HttpResponse response;
  response.headers["Content-Type"] = std::string(syncml::ContentType(encoding));
  response.headers["Cache-Control"] = "no-store";
  response.body = *std::move(answer);
  return response;
}

}  // namespace virmo::server
