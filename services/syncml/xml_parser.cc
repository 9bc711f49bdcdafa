// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/xml_parser.h"

#include <expat.h>

#include <climits>
#include <memory>
#include <type_traits>

#include "absl/strings/str_cat.h"

namespace virmo::syncml {
namespace {

using ParserHandle = std::unique_ptr<std::remove_pointer_t<XML_Parser>, decltype(&XML_ParserFree)>;

// Ties expat's callbacks to a handler, counts what it sees and keeps the first error.
class Parse {
 public:
  Parse(const Limits& limits, XmlHandler& handler)
      : limits_(limits), handler_(handler), parser_(XML_ParserCreate(nullptr), &XML_ParserFree) {}

  absl::Status Run(absl::string_view octets);

 private:
  static Parse& Self(void* self) { return *static_cast<Parse*>(self); }
  static void OnStart(void* self, const XML_Char* name, const XML_Char** attributes) {
    Self(self).Start(name, attributes);
  }
  static void OnEnd(void* self, const XML_Char* name) {
    Parse& parse = Self(self);
    if (!parse.status_.ok()) return;
    --parse.depth_;
    parse.Check(parse.handler_.OnEnd(name));
  }
  static void OnText(void* self, const XML_Char* text, int size) {
    Parse& parse = Self(self);
    if (!parse.status_.ok()) return;
    parse.Check(parse.handler_.OnText(absl::string_view(text, static_cast<size_t>(size))));
  }
  static void OnDoctype(void* self, const XML_Char*, const XML_Char*, const XML_Char*, int) {
    Self(self).Check(absl::InvalidArgumentError("a DOCTYPE is not allowed"));
  }

  void Start(const XML_Char* name, const XML_Char** attributes);
  void Check(const absl::Status& status);
  absl::Status AtPosition(absl::StatusCode code, absl::string_view what) const;

  const Limits& limits_;
  XmlHandler& handler_;
  ParserHandle parser_;
  absl::Status status_;
  int depth_ = 0;
  size_t elements_ = 0;
};

void Parse::Start(const XML_Char* name, const XML_Char** attributes) {
  if (!status_.ok()) return;
  // Attributes cost the parser as much.
  elements_ += 1 + static_cast<size_t>(XML_GetSpecifiedAttributeCount(parser_.get())) / 2;
  if (elements_ > limits_.max_elements) {
    Check(absl::ResourceExhaustedError(
        absl::StrCat("more than ", limits_.max_elements, " elements and attributes")));
  } else if (++depth_ > limits_.max_depth) {
    Check(absl::ResourceExhaustedError(
        absl::StrCat("elements nested deeper than ", limits_.max_depth)));
  } else {
    handler_.set_position(static_cast<size_t>(XML_GetCurrentByteIndex(parser_.get())));
    Check(handler_.OnStart(name, attributes));
  }
}

// Expat may still deliver an event or two after it was stopped, such as the end of an empty
// element; the handler must not see them.
void Parse::Check(const absl::Status& status) {
  if (status.ok() || !status_.ok()) return;
  status_ = AtPosition(status.code(), status.message());
  XML_StopParser(parser_.get(), XML_FALSE);
}

absl::Status Parse::AtPosition(absl::StatusCode code, absl::string_view what) const {
  return absl::Status(code,
                      absl::StrCat("line ", XML_GetCurrentLineNumber(parser_.get()), ", column ",
                                   XML_GetCurrentColumnNumber(parser_.get()) + 1, ": ", what));
}

absl::Status Parse::Run(absl::string_view octets) {
  if (parser_ == nullptr) return absl::ResourceExhaustedError("no memory for an XML parser");
  XML_SetUserData(parser_.get(), this);
  XML_SetElementHandler(parser_.get(), &OnStart, &OnEnd);
  XML_SetCharacterDataHandler(parser_.get(), &OnText);
  XML_SetStartDoctypeDeclHandler(parser_.get(), &OnDoctype);
  const auto outcome =
      XML_Parse(parser_.get(), octets.data(), static_cast<int>(octets.size()), XML_TRUE);
  if (!status_.ok() || outcome == XML_STATUS_OK) return status_;
  return AtPosition(absl::StatusCode::kInvalidArgument,
                    XML_ErrorString(XML_GetErrorCode(parser_.get())));
}

}  // namespace

absl::Status ParseXml(absl::string_view octets, const Limits& limits, XmlHandler& handler) {
  if (octets.size() > limits.max_bytes || octets.size() > INT_MAX) {
    return absl::ResourceExhaustedError(
        absl::StrCat("document of ", octets.size(), " octets, the limit is ", limits.max_bytes));
  }
  return Parse(limits, handler).Run(octets);
}

absl::string_view LocalName(absl::string_view name) {
  const size_t colon = name.rfind(':');
  return colon == absl::string_view::npos ? name : name.substr(colon + 1);
}

}  // namespace virmo::syncml
