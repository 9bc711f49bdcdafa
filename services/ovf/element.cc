// SPDX-License-Identifier: Apache-2.0
#include "services/ovf/element.h"

#include <expat.h>

#include <climits>
#include <map>
#include <memory>
#include <type_traits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace virmo::ovf {
namespace {

using ParserHandle = std::unique_ptr<std::remove_pointer_t<XML_Parser>, decltype(&XML_ParserFree)>;

constexpr size_t kMaxBytes = 8 << 20;
constexpr size_t kMaxDepth = 64;
constexpr size_t kMaxElements = 200000;
// Cannot occur in a URI, so that expat's joined names can be taken apart.
constexpr char kSeparator = '\n';

// Octets 0x80 to 0x9f of windows-1252, which VMware's older tools declare.
constexpr int kWindows1252[32] = {0x20ac, -1,     0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
                                  0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, -1,     0x017d, -1,
                                  -1,     0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
                                  0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, -1,     0x017e, 0x0178};

int OnUnknownEncoding(void*, const XML_Char* name, XML_Encoding* encoding) {
  if (!absl::EqualsIgnoreCase(name, "windows-1252")) return XML_STATUS_ERROR;
  for (int i = 0; i < 256; ++i) encoding->map[i] = i;
  for (int i = 0; i < 32; ++i) encoding->map[0x80 + i] = kWindows1252[i];
  encoding->data = nullptr;
  encoding->convert = nullptr;
  encoding->release = nullptr;
  return XML_STATUS_OK;
}

void Split(absl::string_view joined, std::string& ns, std::string& name) {
  const size_t at = joined.rfind(kSeparator);
  ns = at == absl::string_view::npos ? "" : std::string(joined.substr(0, at));
  name = std::string(at == absl::string_view::npos ? joined : joined.substr(at + 1));
}

class Parse {
 public:
  explicit Parse(Element& root)
      : parser_(XML_ParserCreateNS(nullptr, kSeparator), &XML_ParserFree) {
    stack_.push_back(&root);
  }

  // Empty, or why not; `line` says where.
  std::string Run(absl::string_view octets, int& line);

 private:
  static Parse& Self(void* self) { return *static_cast<Parse*>(self); }
  static void OnStart(void* self, const XML_Char* name, const XML_Char** attributes) {
    Self(self).Start(name, attributes);
  }
  static void OnEnd(void* self, const XML_Char*) {
    Parse& parse = Self(self);
    if (parse.error_.empty() && parse.depth_-- > 1) parse.stack_.pop_back();
  }
  static void OnText(void* self, const XML_Char* text, int size) {
    Parse& parse = Self(self);
    if (parse.error_.empty()) parse.stack_.back()->text.append(text, static_cast<size_t>(size));
  }
  static void OnDoctype(void* self, const XML_Char*, const XML_Char*, const XML_Char*, int) {
    Self(self).Fail("a DOCTYPE is not allowed");
  }
  void Start(const XML_Char* name, const XML_Char** attributes);
  void Fail(std::string error);

  ParserHandle parser_;
  // Pointers into a vector of children stay good: only the last child's own children grow.
  std::vector<Element*> stack_;
  size_t depth_ = 0;
  size_t elements_ = 0;
  std::string error_;
  int line_ = 0;
};

void Parse::Fail(std::string error) {
  if (!error_.empty()) return;
  error_ = std::move(error);
  line_ = static_cast<int>(XML_GetCurrentLineNumber(parser_.get()));
  XML_StopParser(parser_.get(), XML_FALSE);
}

void Parse::Start(const XML_Char* name, const XML_Char** attributes) {
  if (!error_.empty()) return;
  if (++elements_ > kMaxElements)
    return Fail(absl::StrCat("more than ", kMaxElements, " elements"));
  if (++depth_ > kMaxDepth) return Fail(absl::StrCat("nested deeper than ", kMaxDepth));
  if (depth_ > 1) {
    stack_.back()->children.emplace_back();
    stack_.push_back(&stack_.back()->children.back());
  }
  Element& element = *stack_.back();
  element.line = static_cast<int>(XML_GetCurrentLineNumber(parser_.get()));
  Split(name, element.ns, element.name);
  for (; *attributes != nullptr; attributes += 2) {
    Element::Attribute& attribute = element.attributes.emplace_back();
    Split(attributes[0], attribute.ns, attribute.name);
    attribute.value = attributes[1];
  }
}

std::string Parse::Run(absl::string_view octets, int& line) {
  if (parser_ == nullptr) return "no memory for an XML parser";
  XML_SetUserData(parser_.get(), this);
  XML_SetElementHandler(parser_.get(), &OnStart, &OnEnd);
  XML_SetCharacterDataHandler(parser_.get(), &OnText);
  XML_SetStartDoctypeDeclHandler(parser_.get(), &OnDoctype);
  XML_SetUnknownEncodingHandler(parser_.get(), &OnUnknownEncoding, nullptr);
  const auto outcome =
      XML_Parse(parser_.get(), octets.data(), static_cast<int>(octets.size()), XML_TRUE);
  if (error_.empty() && outcome != XML_STATUS_OK) {
    error_ = absl::StrCat("not XML: ", XML_ErrorString(XML_GetErrorCode(parser_.get())));
    line_ = static_cast<int>(XML_GetCurrentLineNumber(parser_.get()));
  }
  line = line_;
  return error_;
}

std::string Escape(absl::string_view text, bool attribute) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += attribute ? "&quot;" : "\"";
        break;
      case '\r':
        escaped += "&#13;";
        break;
      case '\n':
      case '\t':
        // Unescaped, an attribute's would come back as spaces.
        escaped += attribute ? absl::StrCat("&#", static_cast<int>(c), ";") : std::string(1, c);
        break;
      default:
        // XML knows no other control characters.
        if (static_cast<unsigned char>(c) >= 0x20) escaped += c;
    }
  }
  return escaped;
}

class Printer {
 public:
  explicit Printer(const std::vector<Prefix>& prefixes) {
    for (const Prefix& prefix : prefixes) known_[prefix.ns] = prefix.prefix;
  }

  std::string Print(const Element& root) {
    std::string declarations;
    for (const auto& [ns, prefix] : known_) declarations += Declaration(ns, prefix);
    Write(root, 0, declarations);
    return std::move(out_);
  }

 private:
  static std::string Declaration(const std::string& ns, const std::string& prefix) {
    return absl::StrCat(" xmlns", prefix.empty() ? "" : ":", prefix, "=\"", Escape(ns, true), "\"");
  }

  // The name with its prefix; declares the namespace here if nobody did.
  std::string Name(const std::string& ns, const std::string& name, bool attribute,
                   std::string& declarations, std::map<std::string, std::string>& local) {
    if (ns.empty()) return name;
    if (ns == "http://www.w3.org/XML/1998/namespace") return absl::StrCat("xml:", name);
    const auto find = [&](const std::map<std::string, std::string>& in) -> const std::string* {
      const auto found = in.find(ns);
      if (found == in.end() || (attribute && found->second.empty())) return nullptr;
      return &found->second;
    };
    const std::string* prefix = find(known_);
    if (prefix == nullptr) prefix = find(local);
    if (prefix == nullptr) {
      prefix = &(local[ns] = absl::StrCat("ns", ++made_));
      declarations += Declaration(ns, *prefix);
    }
    return prefix->empty() ? name : absl::StrCat(*prefix, ":", name);
  }

  void Write(const Element& element, int depth, std::string declarations) {
    std::map<std::string, std::string> local;
    const std::string name = Name(element.ns, element.name, false, declarations, local);
    std::string attributes;
    for (const Element::Attribute& attribute : element.attributes) {
      absl::StrAppend(&attributes, " ",
                      Name(attribute.ns, attribute.name, true, declarations, local), "=\"",
                      Escape(attribute.value, true), "\"");
    }
    const std::string indent(static_cast<size_t>(depth) * 2, ' ');
    absl::StrAppend(&out_, indent, "<", name, declarations, attributes);
    if (element.children.empty() && element.text.empty()) {
      out_ += "/>\n";
    } else if (element.children.empty()) {
      absl::StrAppend(&out_, ">", Escape(element.text, false), "</", name, ">\n");
    } else {
      out_ += ">\n";
      for (const Element& child : element.children) Write(child, depth + 1, "");
      absl::StrAppend(&out_, indent, "</", name, ">\n");
    }
  }

  std::map<std::string, std::string> known_;
  std::string out_ = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
  int made_ = 0;
};

}  // namespace

const Element* Element::Child(absl::string_view child_name) const {
  for (const Element& child : children) {
    if (child.name == child_name) return &child;
  }
  return nullptr;
}

std::string Element::ChildText(absl::string_view child_name) const {
  const Element* child = Child(child_name);
  return child == nullptr ? "" : std::string(absl::StripAsciiWhitespace(child->text));
}

const std::string* Element::Find(absl::string_view attribute_name) const {
  for (const Attribute& attribute : attributes) {
    if (attribute.name == attribute_name) return &attribute.value;
  }
  return nullptr;
}

std::string Element::Get(absl::string_view attribute_name) const {
  const std::string* value = Find(attribute_name);
  return value == nullptr ? "" : std::string(absl::StripAsciiWhitespace(*value));
}

bool ParseXml(absl::string_view octets, const std::string& file, Element& root,
              Findings& findings) {
  if (octets.size() > kMaxBytes) {
    findings.AddFault(
        FaultKind::kInvalid, {file, 0, ""},
        absl::StrCat("a document of ", octets.size(), " bytes; at most ", kMaxBytes, " are read"));
    return false;
  }
  int line = 0;
  const std::string error = Parse(root).Run(octets, line);
  if (error.empty()) return true;
  findings.AddFault(FaultKind::kInvalid, {file, line, "XML"}, error);
  return false;
}

std::string PrintXml(const Element& root, const std::vector<Prefix>& prefixes) {
  return Printer(prefixes).Print(root);
}

bool IsTrue(absl::string_view text) {
  const absl::string_view trimmed = absl::StripAsciiWhitespace(text);
  return trimmed == "1" || absl::EqualsIgnoreCase(trimmed, "true");
}

}  // namespace virmo::ovf
