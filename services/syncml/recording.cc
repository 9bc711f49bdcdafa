// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/recording.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/auth.h"
#include "services/syncml/content_coding.h"
#include "services/syncml/redact.h"
#include "services/syncml/wbxml_parser.h"

namespace virmo::syncml {
namespace {

constexpr size_t kMaxLine = 16384;
constexpr size_t kMaxHeaders = 200;
// How often "</SyncML>" may stand within a message's data before we give up looking.
constexpr int kMaxEnds = 16;

// Only wants to know where a document ends.
class NoHandler : public WbxmlHandler {
 public:
  absl::Status OnDialect(WbxmlDialect) override { return absl::OkStatus(); }
  absl::Status OnStart(const WbxmlElement&) override { return absl::OkStatus(); }
  absl::Status OnText(absl::string_view) override { return absl::OkStatus(); }
  absl::Status OnOctets(absl::string_view) override { return absl::OkStatus(); }
  absl::Status OnEnd() override { return absl::OkStatus(); }
  bool wants_text() const override { return false; }
};

bool StartsHttp(absl::string_view text) {
  return absl::StartsWith(text, "HTTP/") || absl::StartsWith(text, "POST ");
}

// The octet behind the next end tag of the outermost element, from `from` on; npos if none.
size_t EndOfXml(absl::string_view text, size_t from) {
  while (true) {
    const size_t name = text.find("SyncML", from);
    if (name == absl::string_view::npos) return name;
    from = name + 6;
    const size_t open = text.rfind("</", name);
    const size_t close = text.find_first_not_of(" \t\r\n", from);
    if (open == absl::string_view::npos || close == absl::string_view::npos) continue;
    const absl::string_view prefix = text.substr(open + 2, name - open - 2);
    const bool is_tag =
        prefix.empty() ||
        (prefix.back() == ':' && prefix.find_first_of("<> \t\r\n") == absl::string_view::npos);
    if (is_tag && text[close] == '>') return close + 1;
  }
}

}  // namespace

absl::Status Recording::Error(absl::string_view what) const {
  return absl::InvalidArgumentError(absl::StrCat("octet ", at_, ": ", what));
}

absl::StatusOr<std::optional<RecordedMessage>> Recording::Next() {
  at_ = std::min(octets_.find_first_not_of(" \t\r\n", at_), octets_.size());
  if (rest().empty()) return std::optional<RecordedMessage>();
  const size_t offset = at_;
  RecordedMessage message;
  if (StartsHttp(rest())) {
    ASSIGN_OR_RETURN(message, TakeHttp());
  } else {
    ASSIGN_OR_RETURN(message.body, TakeBare());
  }
  message.offset = offset;
  return message;
}

absl::string_view Recording::TakeLine() {
  const absl::string_view window = rest().substr(0, kMaxLine);
  const size_t end = window.find('\n');
  const absl::string_view line = window.substr(0, end);
  at_ += end == absl::string_view::npos ? window.size() : end + 1;
  return absl::StripSuffix(line, "\r");
}

absl::Status Recording::TakeHead(RecordedMessage& message) {
  message.start_line = std::string(TakeLine());
  while (true) {
    if (rest().empty()) return Error("the recording ends within an HTTP head");
    const absl::string_view line = TakeLine();
    if (line.empty()) return absl::OkStatus();
    const size_t colon = line.find(':');
    if (colon == absl::string_view::npos || message.headers.size() >= kMaxHeaders) {
      return Error("a line of an HTTP head is no header");
    }
    message.headers.emplace_back(absl::StripAsciiWhitespace(line.substr(0, colon)),
                                 absl::StripAsciiWhitespace(line.substr(colon + 1)));
  }
}

absl::StatusOr<RecordedMessage> Recording::TakeHttp() {
  RecordedMessage message;
  RETURN_IF_ERROR(TakeHead(message));
  ASSIGN_OR_RETURN(message.body, TakeHttpBody(message));
  const std::optional<ContentCoding> coding =
      ParseContentCoding(HeaderOf(message, "Content-Encoding"));
  if (!coding) return Error("a body with a content coding that is neither gzip nor deflate");
  if (*coding == ContentCoding::kIdentity || message.body.empty()) return message;
  absl::StatusOr<std::string> body = Decompress(message.body, *coding, limits_.max_bytes);
  if (!body.ok()) return Error(body.status().message());
  message.body = *std::move(body);
  return message;
}

absl::StatusOr<std::string> Recording::TakeHttpBody(const RecordedMessage& message) {
  if (absl::EqualsIgnoreCase(HeaderOf(message, "Transfer-Encoding"), "chunked")) {
    return TakeChunks();
  }
  const absl::string_view length = HeaderOf(message, "Content-Length");
  if (length.empty()) {
    // Some record the head and leave the length to be seen; or there is no body.
    if (rest().empty() || StartsHttp(rest())) return std::string();
    return TakeBare();
  }
  size_t size = 0;
  if (!absl::SimpleAtoi(length, &size) || size > rest().size()) {
    return Error(absl::StrCat("Content-Length ", length, ", but ", rest().size(), " octets left"));
  }
  std::string body(rest().substr(0, size));
  at_ += size;
  return body;
}

absl::StatusOr<std::string> Recording::TakeChunks() {
  std::string body;
  while (true) {
    const absl::string_view line = TakeLine();
    uint64_t size = 0;
    const absl::string_view digits = absl::StripAsciiWhitespace(line.substr(0, line.find(';')));
    if (!absl::SimpleHexAtoi(digits, &size) || size > rest().size()) {
      return Error("a chunk whose size cannot be");
    }
    if (size == 0) break;
    absl::StrAppend(&body, rest().substr(0, size));
    at_ += size;
    if (!TakeLine().empty()) return Error("a chunk is longer than it says");
  }
  while (!rest().empty() && !TakeLine().empty()) {
  }
  return body;
}

absl::StatusOr<std::string> Recording::TakeBare() {
  const absl::string_view text = rest();
  if (Sniff(text) == Encoding::kWbxml) {
    NoHandler handler;
    const absl::StatusOr<size_t> size = ParseFirstWbxml(text, limits_, handler);
    if (!size.ok()) return Error(absl::StrCat("no WBXML message, ", size.status().message()));
    at_ += *size;
    return std::string(text.substr(0, *size));
  }
  size_t end = 0;
  for (int i = 0; i < kMaxEnds; ++i) {
    const size_t next = EndOfXml(text, end);
    if (next == absl::string_view::npos || next > limits_.max_bytes) break;
    end = next;
    // The tag may also stand in a CDATA section.
    if (Decode(text.substr(0, end), Encoding::kXml, limits_).ok()) break;
  }
  if (end == 0) return Error("no message: neither </SyncML> nor WBXML nor HTTP");
  at_ += end;
  return std::string(text.substr(0, end));
}

absl::string_view HeaderOf(const RecordedMessage& message, absl::string_view name) {
  const auto found = std::ranges::find_if(message.headers, [name](const auto& header) {
    return absl::EqualsIgnoreCase(header.first, name);
  });
  return found == message.headers.end() ? absl::string_view() : found->second;
}

std::string RedactedHeader(absl::string_view name, absl::string_view value) {
  const std::string lower = absl::AsciiStrToLower(name);
  const bool is_secret = absl::StrContains(lower, "authorization") ||
                         absl::StrContains(lower, "cookie") || absl::StrContains(lower, "token");
  if (lower == "x-syncml-hmac") {
    const absl::StatusOr<HmacHeader> header = ParseHmacHeader(value);
    return header.ok() ? absl::StrCat(name, ": algorithm=", header->algorithm, ", username=\"",
                                      header->username, "\", mac=", kRedacted)
                       : absl::StrCat(name, ": ", kRedacted);
  }
  return absl::StrCat(name, ": ", is_secret ? kRedacted : value);
}

}  // namespace virmo::syncml
