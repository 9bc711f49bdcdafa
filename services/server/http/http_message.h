// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

// HTTP as handlers see it, apart from the library that speaks it.
namespace virmo::server {

// An open file; closed with the last reference.
class OpenFile {
 public:
  // NOT_FOUND if there is none.
  static absl::StatusOr<std::shared_ptr<const OpenFile>> Open(const std::string& path);
  ~OpenFile();
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  int64_t size() const { return size_; }
  // Reads at most `size` octets at `offset`; 0 at the end, -1 on an error.
  int64_t Read(int64_t offset, char* to, int64_t size) const;

 private:
  OpenFile(int file, int64_t size) : file_(file), size_(size) {}
  const int file_;
  const int64_t size_;
};

// A part of a file, streamed as the body.
struct FileBody {
  std::shared_ptr<const OpenFile> file;
  int64_t offset = 0;
  int64_t size = 0;
};

struct HttpRequest {
  std::string method;
  std::string path;                            // `/dm`
  std::string query;                           // what follows `?`
  std::map<std::string, std::string> headers;  // by lower-case name
  std::string body;
  bool over_tls = false;
  // Names in the client certificate that the peer proved to hold (its subject's CN, its DNS and URI
  // alternative names); empty without one.
  std::vector<std::string> certificate_names = {};

  // Empty if there is none.
  std::string Header(const std::string& lower_case_name) const {
    const auto found = headers.find(lower_case_name);
    return found == headers.end() ? "" : found->second;
  }
};

struct HttpResponse {
  int status = 200;
  std::map<std::string, std::string> headers;
  std::string body;
  std::optional<FileBody> file;  // instead of `body`
};

// Called on a pool of threads, several at a time; may block.
using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;

// A response of one line of plain text.
HttpResponse TextResponse(int status, const std::string& text);

}  // namespace virmo::server
