// SPDX-License-Identifier: Apache-2.0
#include "services/ovf/environment.h"

#include "services/ovf/element.h"

namespace virmo::ovf {
namespace {

constexpr char kNamespace[] = "http://schemas.dmtf.org/ovf/environment/1";

Element Make(const std::string& name, const std::string& text = "") {
  Element element;
  element.ns = kNamespace;
  element.name = name;
  element.text = text;
  return element;
}

}  // namespace

std::string WriteEnvironment(const Environment& environment) {
  Element root = Make("Environment");
  root.attributes.push_back({kNamespace, "id", environment.id});
  Element platform = Make("PlatformSection");
  platform.children.push_back(Make("Kind", environment.kind));
  platform.children.push_back(Make("Version", environment.version));
  platform.children.push_back(Make("Vendor", environment.vendor));
  platform.children.push_back(Make("Locale", environment.locale));
  root.children.push_back(std::move(platform));
  Element properties = Make("PropertySection");
  for (const auto& [key, value] : environment.properties) {
    Element property = Make("Property");
    property.attributes.push_back({kNamespace, "key", key});
    property.attributes.push_back({kNamespace, "value", value});
    properties.children.push_back(std::move(property));
  }
  if (!properties.children.empty()) root.children.push_back(std::move(properties));
  // Attributes need a prefix, so that everything has one.
  return PrintXml(root, {{kNamespace, "oe"}});
}

}  // namespace virmo::ovf
