// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/content_coding.h"

#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace virmo::syncml {
namespace {

// zlib's window sizes: 15 bits, with a frame of its own (zlib), with gzip's, without any.
constexpr int kZlibFrame = 15;
constexpr int kGzipFrame = 15 + 16;
constexpr int kNoFrame = -15;
constexpr size_t kStep = size_t{16} << 10;

Bytef* Octets(absl::string_view text) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));  // zlib does not write there.
}

// What `Accept-Encoding: gzip;q=0.5` says of a coding; nothing if it does not name it.
std::optional<double> QualityOf(absl::string_view accept_encoding, absl::string_view name) {
  for (absl::string_view part : absl::StrSplit(accept_encoding, ',')) {
    const std::vector<absl::string_view> words = absl::StrSplit(part, ';');
    if (!absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(words[0]), name)) continue;
    for (size_t i = 1; i < words.size(); ++i) {
      const absl::string_view parameter = absl::StripAsciiWhitespace(words[i]);
      double quality = 0;
      if (!absl::StartsWithIgnoreCase(parameter, "q=")) continue;
      return absl::SimpleAtod(parameter.substr(2), &quality) ? quality : 0;
    }
    return 1;
  }
  return std::nullopt;
}

absl::StatusOr<std::string> Inflate(absl::string_view octets, int frame, size_t max_bytes) {
  z_stream stream = {};
  if (inflateInit2(&stream, frame) != Z_OK) return absl::InternalError("zlib did not start");
  stream.next_in = Octets(octets);
  stream.avail_in = static_cast<uInt>(octets.size());
  std::string text;
  int result = Z_OK;
  while (result == Z_OK && text.size() <= max_bytes) {
    const size_t begin = text.size();
    const size_t step = std::min(kStep, max_bytes + 1 - begin);
    text.resize(begin + step);
    stream.next_out = Octets(text) + begin;
    stream.avail_out = static_cast<uInt>(step);
    result = inflate(&stream, Z_NO_FLUSH);
    text.resize(begin + step - stream.avail_out);
  }
  const bool rest = stream.avail_in > 0;
  inflateEnd(&stream);
  if (text.size() > max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the body is larger than ", max_bytes, " bytes when decompressed"));
  }
  if (result != Z_STREAM_END) {
    return absl::InvalidArgumentError("the compressed body is damaged or incomplete");
  }
  if (rest) return absl::InvalidArgumentError("something follows the compressed body");
  return text;
}

}  // namespace

absl::string_view Name(ContentCoding coding) {
  switch (coding) {
    case ContentCoding::kGzip:
      return "gzip";
    case ContentCoding::kDeflate:
      return "deflate";
    default:
      return "";
  }
}

std::optional<ContentCoding> ParseContentCoding(absl::string_view value) {
  const absl::string_view name = absl::StripAsciiWhitespace(value);
  if (name.empty() || absl::EqualsIgnoreCase(name, "identity")) return ContentCoding::kIdentity;
  if (absl::EqualsIgnoreCase(name, "gzip")) return ContentCoding::kGzip;
  if (absl::EqualsIgnoreCase(name, "x-gzip")) return ContentCoding::kGzip;
  if (absl::EqualsIgnoreCase(name, "deflate")) return ContentCoding::kDeflate;
  return std::nullopt;
}

bool Accepts(absl::string_view accept_encoding, ContentCoding coding) {
  if (coding == ContentCoding::kIdentity) return true;
  std::optional<double> quality = QualityOf(accept_encoding, Name(coding));
  if (!quality && coding == ContentCoding::kGzip) quality = QualityOf(accept_encoding, "x-gzip");
  if (!quality) quality = QualityOf(accept_encoding, "*");
  return quality.value_or(0) > 0;
}

ContentCoding BestAccepted(absl::string_view accept_encoding) {
  if (Accepts(accept_encoding, ContentCoding::kGzip)) return ContentCoding::kGzip;
  if (Accepts(accept_encoding, ContentCoding::kDeflate)) return ContentCoding::kDeflate;
  return ContentCoding::kIdentity;
}

std::string Compress(absl::string_view octets, ContentCoding coding) {
  if (coding == ContentCoding::kIdentity) return std::string(octets);
  z_stream stream = {};
  const int frame = coding == ContentCoding::kGzip ? kGzipFrame : kZlibFrame;
  constexpr int kMemoryLevel = 8;  // zlib's default.
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, frame, kMemoryLevel,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    std::fprintf(stderr, "zlib has no memory to compress with\n");
    std::abort();
  }
  std::string text(deflateBound(&stream, static_cast<uLong>(octets.size())), '\0');
  stream.next_in = Octets(octets);
  stream.avail_in = static_cast<uInt>(octets.size());
  stream.next_out = Octets(text);
  stream.avail_out = static_cast<uInt>(text.size());
  deflate(&stream, Z_FINISH);
  text.resize(stream.total_out);
  deflateEnd(&stream);
  return text;
}

absl::StatusOr<std::string> Decompress(absl::string_view octets, ContentCoding coding,
                                       size_t max_bytes) {
  if (coding == ContentCoding::kIdentity) {
    if (octets.size() <= max_bytes) return std::string(octets);
    return absl::ResourceExhaustedError(
        absl::StrCat("the body is larger than ", max_bytes, " bytes"));
  }
  if (coding == ContentCoding::kGzip) return Inflate(octets, kGzipFrame, max_bytes);
  absl::StatusOr<std::string> framed = Inflate(octets, kZlibFrame, max_bytes);
  if (!absl::IsInvalidArgument(framed.status())) return framed;
  return Inflate(octets, kNoFrame, max_bytes);
}

}  // namespace virmo::syncml
