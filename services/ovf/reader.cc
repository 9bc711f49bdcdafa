// SPDX-License-Identifier: Apache-2.0
#include "services/ovf/reader.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/ovf/units.h"

namespace virmo::ovf {
namespace {

std::string NameOf(const Element& element) {
  for (const char* attribute : {"id", "diskId", "key", "name"}) {
    const std::string value = element.Get(attribute);
    if (!value.empty()) return absl::StrCat(element.name, " '", value, "'");
  }
  return element.name;
}

// How well a language tag suits the wanted one: 2 the same, 1 the same language, 0 not.
int Suits(absl::string_view wanted, absl::string_view offered) {
  if (wanted.empty() || offered.empty()) return 0;
  if (absl::EqualsIgnoreCase(wanted, offered)) return 2;
  const auto language = [](absl::string_view tag) {
    return tag.substr(0, tag.find_first_of("-_"));
  };
  return absl::EqualsIgnoreCase(language(wanted), language(offered)) ? 1 : 0;
}

std::string LanguageOf(const Element& element) {
  for (const Element::Attribute& attribute : element.attributes) {
    if (attribute.ns == kXmlNamespace && attribute.name == "lang") return attribute.value;
  }
  return "";
}

}  // namespace

void ReaderContext::Fault(const Element& at, absl::string_view what, FaultKind kind) const {
  findings_.AddFault(kind, {options_.file_name, at.line, NameOf(at)}, what);
}

void ReaderContext::Warn(const Element& at, absl::string_view what) const {
  findings_.AddWarning({options_.file_name, at.line, NameOf(at)}, what);
}

bool ReaderContext::Skip(const Element& part, absl::string_view what) const {
  switch (DemandOf(part)) {
    case Demand::kRequired:
      Fault(part, absl::StrCat(what, ", and it is required"), FaultKind::kUnsupported);
      return false;
    case Demand::kOptional:
      Warn(part, absl::StrCat(what, "; left out"));
      return true;
    case Demand::kIgnorable:
      return true;
  }
  return false;
}

void ReaderContext::ReadMessages(const Element& strings) {
  for (const Element& message : strings.children) {
    if (message.name == "Msg") {
      messages_[message.Get("msgid")] = std::string(absl::StripAsciiWhitespace(message.text));
    }
  }
}

void ReaderContext::ReadStrings(const Element& envelope) {
  // The poorer matches first, so that the better ones win.
  for (const int quality : {1, 2}) {
    for (const Element& strings : envelope.children) {
      if (strings.name != "Strings") continue;
      if (Suits(options_.locale, LanguageOf(strings)) != quality) continue;
      ReadMessages(strings);
      const std::string file = strings.Get("fileRef");
      if (file.empty()) continue;
      const Element* references = envelope.Child("References");
      std::optional<std::string> bundle;
      for (const Element& reference :
           references == nullptr ? std::vector<Element>() : references->children) {
        if (reference.Get("id") == file && options_.load) {
          bundle = options_.load(reference.Get("href"));
        }
      }
      Element root;
      if (!bundle) {
        Warn(strings, absl::StrCat("its messages are in the file '", file, "', which is not here"));
      } else if (ParseXml(*bundle, file, root, findings_)) {
        ReadMessages(root);
      }
    }
  }
}

std::string ReaderContext::Text(const Element& element) const {
  const auto found = messages_.find(element.Get("msgid"));
  if (found != messages_.end()) return found->second;
  return std::string(absl::StripAsciiWhitespace(element.text));
}

std::string ReaderContext::ChildText(const Element& element, absl::string_view child) const {
  // Several, each in its language: the one that suits, else the first.
  const Element* best = nullptr;
  int quality = -1;
  for (const Element& candidate : element.children) {
    if (candidate.name != child) continue;
    const int suits = Suits(options_.locale, LanguageOf(candidate));
    if (suits > quality) {
      best = &candidate;
      quality = suits;
    }
  }
  return best == nullptr ? "" : Text(*best);
}

std::string ReaderContext::Require(const Element& element, absl::string_view attribute) const {
  std::string value = element.Get(attribute);
  if (value.empty()) Fault(element, absl::StrCat("has no attribute ", attribute));
  return value;
}

int64_t ReaderContext::Number(const Element& at, const std::string& text, int64_t fallback) const {
  if (text.empty()) return fallback;
  const std::optional<int64_t> value = ParseQuantity(text);
  if (value) return *value;
  Fault(at, absl::StrCat("'", text, "' is not a whole number that can be used"));
  return fallback;
}

bool ReaderContext::IsChosen(const Element& element) const {
  const std::string* configurations = element.Find("configuration");
  if (configurations == nullptr) return true;
  for (const absl::string_view id :
       absl::StrSplit(*configurations, absl::ByAnyChar(" \t\r\n"), absl::SkipEmpty())) {
    if (id == deployment_option_) return true;
  }
  return false;
}

}  // namespace virmo::ovf
