// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "services/server/http/http_message.h"
#include "services/server/images/image_library.h"

namespace virmo::server {

// GET and HEAD /images/sha256/<hex>: the octets of a finished image, whole or by range (206, 416),
// If-Range and If-None-Match by its digest, which never changes. Thread-safe.
class ImageEndpoint {
 public:
  explicit ImageEndpoint(ImageLibrary& library) : library_(library) {}

  HttpResponse Handle(const HttpRequest& request);

 private:
  ImageLibrary& library_;
};

}  // namespace virmo::server
