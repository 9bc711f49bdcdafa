// SPDX-License-Identifier: Apache-2.0
#include "services/server/images/image_endpoint.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/runtime/logging.h"
#include "services/server/http/byte_range.h"
#include "services/server/images/media_type.h"

namespace virmo::server {
namespace {

HttpResponse Serve(const HttpRequest& request, const v1::Image& image,
                   std::shared_ptr<const OpenFile> file) {
  HttpResponse response;
  const std::string etag = absl::StrCat("\"", image.sha256(), "\"");
  response.headers["ETag"] = etag;
  response.headers["Accept-Ranges"] = "bytes";
  response.headers["Cache-Control"] = "private, immutable";
  if (absl::StrContains(request.Header("if-none-match"), etag)) {
    response.status = 304;
    return response;
  }
  const int64_t total = file->size();
  const std::string if_range = request.Header("if-range");
  const bool may_split = if_range.empty() || if_range == etag;
  const ByteRange range = may_split ? ParseByteRange(request.Header("range"), total) : ByteRange();
  if (range.kind == ByteRange::Kind::kUnsatisfiable) {
    response = TextResponse(416, absl::StrCat("the image has ", total, " octets"));
    response.headers["Content-Range"] = absl::StrCat("bytes */", total);
    return response;
  }
  response.headers["Content-Type"] = image.media_type();
  response.file = FileBody{std::move(file), 0, total};
  if (range.kind == ByteRange::Kind::kPart) {
    response.status = 206;
    response.headers["Content-Range"] =
        absl::StrCat("bytes ", range.offset, "-", range.offset + range.size - 1, "/", total);
    response.file->offset = range.offset;
    response.file->size = range.size;
  }
  return response;
}

}  // namespace

HttpResponse ImageEndpoint::Handle(const HttpRequest& request) {
  if (request.method != "GET" && request.method != "HEAD") {
    HttpResponse response = TextResponse(405, "images are read by GET or HEAD");
    response.headers["Allow"] = "GET, HEAD";
    return response;
  }
  absl::string_view digest = request.path;
  if (!absl::ConsumePrefix(&digest, "/images/sha256/") || !IsSha256(digest)) {
    return TextResponse(404, "no such image");
  }
  const std::string sha256(digest);
  const auto image = library_.FindByDigest(sha256);
  if (!image.ok()) return TextResponse(503, "the library cannot be read now");
  if (!*image) return TextResponse(404, "no such image");
  auto file = OpenFile::Open(library_.PathOf(sha256));
  if (!file.ok() || (*file)->size() != (*image)->size_bytes()) {
    spdlog::error("image is damaged image={} path={}", (*image)->name(), library_.PathOf(sha256));
    return TextResponse(500, "the image is damaged; upload it again");
  }
  return Serve(request, **image, *std::move(file));
}

}  // namespace virmo::server
