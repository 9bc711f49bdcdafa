// SPDX-License-Identifier: Apache-2.0
#include "services/server/dm/dm_endpoint.h"

#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/runtime/error.h"
#include "services/runtime/logging.h"
#include "services/syncml/content_coding.h"

namespace virmo::server {
namespace {

// Compressing less costs more than it saves.
constexpr size_t kLeastToCompress = 512;

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
  if (absl::IsUnimplemented(status)) {
    HttpResponse response = TextResponse(415, std::string(status.message()));
    response.headers["Accept-Encoding"] = "gzip, deflate";
    return response;
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

// Whether the octets can be a message whatever the header calls them.
bool LooksLikeSyncml(const std::string& body) {
  const size_t first = body.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return false;
  return body[first] == '<' || absl::StartsWith(body, "\xEF\xBB\xBF") ||
         absl::StartsWith(body, "\xFE\xFF") || absl::StartsWith(body, "\xFF\xFE") ||
         syncml::Sniff(body) == syncml::Encoding::kWbxml;
}

// In the type of DM, or in the older one of SyncML if that is what the device speaks of.
std::string AnswerType(const std::string& request_type, syncml::Encoding encoding) {
  if (!absl::StartsWithIgnoreCase(request_type, "application/vnd.syncml+")) {
    return std::string(syncml::ContentType(encoding));
  }
  return encoding == syncml::Encoding::kXml ? "application/vnd.syncml+xml"
                                            : "application/vnd.syncml+wbxml";
}

void Compress(const HttpRequest& request, HttpResponse& response) {
  const syncml::ContentCoding coding = syncml::BestAccepted(request.Header("accept-encoding"));
  if (coding == syncml::ContentCoding::kIdentity || response.body.size() < kLeastToCompress) return;
  std::string packed = syncml::Compress(response.body, coding);
  if (packed.size() >= response.body.size()) return;
  response.body = std::move(packed);
  response.headers["Content-Encoding"] = std::string(Name(coding));
}

absl::StatusOr<std::string> Unpack(const HttpRequest& request, size_t max_bytes) {
  const auto coding = syncml::ParseContentCoding(request.Header("content-encoding"));
  if (!coding) return absl::UnimplementedError("Content-Encoding must be gzip or deflate");
  if (*coding == syncml::ContentCoding::kIdentity) return request.body;
  return syncml::Decompress(request.body, *coding, max_bytes);
}

}  // namespace

HttpResponse DmEndpoint::Handle(const HttpRequest& request) {
  if (request.method != "POST") {
    HttpResponse response = TextResponse(405, "send SyncML messages by POST");
    response.headers["Allow"] = "POST";
    return response;
  }
  auto body = Unpack(request, max_message_bytes_);
  if (!body.ok()) return ErrorResponse(body.status());
  const std::string type = request.Header("content-type");
  if (!type.empty() && !syncml::EncodingOf(type) && !LooksLikeSyncml(*body)) {
    return TextResponse(415, "Content-Type must be application/vnd.syncml.dm+xml or +wbxml");
  }
  DmRequest message = {.octets = *std::move(body)};
  // The octets know better than the header.
  message.encoding = syncml::Sniff(message.octets);
  message.token = TokenOf(request.query);
  message.hmac = request.Header("x-syncml-hmac");
  if (!request.Header("content-encoding").empty()) message.entity = request.body;
  message.over_tls = request.over_tls;
  message.certificate_names = request.certificate_names;
  auto answer = handler_.Handle(message);
  if (!answer.ok()) return ErrorResponse(answer.status());
  HttpResponse response;
  response.headers["Content-Type"] = AnswerType(type, message.encoding);
  response.headers["Cache-Control"] = "no-store";
  response.body = std::move(answer->octets);
  if (answer->hmac.empty()) {
    Compress(request, response);
  } else {
    // As it is: peers differ in whether a MAC is over the compressed octets.
    response.headers["x-syncml-hmac"] = std::move(answer->hmac);
  }
  return response;
}

}  // namespace virmo::server
