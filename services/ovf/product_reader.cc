// SPDX-License-Identifier: Apache-2.0
// ProductSection and its properties, EulaSection.
#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "services/ovf/property_value.h"
#include "services/ovf/reader.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"

namespace virmo::ovf {
namespace {

std::string FullKey(const Product& product, const std::string& key) {
  return absl::StrCat(product.class_name, product.class_name.empty() ? "" : ".", key,
                      product.instance.empty() ? "" : ".", product.instance);
}

// The default: that of the deployment option (Value), else the attribute `value`.
std::string DefaultOf(const ReaderContext& context, const Element& property) {
  std::string value = property.Find("value") == nullptr ? "" : *property.Find("value");
  for (const Element& child : property.children) {
    if (child.name != "Value") continue;
    const bool tied = child.Find("configuration") != nullptr;
    if (!context.IsChosen(child)) continue;
    if (tied || property.Find("value") == nullptr) {
      if (child.Find("value") != nullptr) value = *child.Find("value");
      if (tied) break;
    }
  }
  return value;
}

void ReadProperty(const ReaderContext& context, const Element& element, const std::string& category,
                  Product& product) {
  Property property;
  property.line = element.line;
  const std::string key = context.Require(element, "key");
  if (key.find_first_of(":.") != std::string::npos) {
    context.Warn(element, "its key holds a '.' or ':', which DSP0243 does not allow");
  }
  property.key = FullKey(product, key);
  property.type = element.Get("type");
  if (property.type.empty()) property.type = "string";
  property.qualifiers = element.Get("qualifiers");
  property.user_configurable = IsTrue(element.Get("userConfigurable"));
  property.password = IsTrue(element.Get("password"));
  property.category = category;
  property.label = context.ChildText(element, "Label");
  property.description = context.ChildText(element, "Description");
  property.value = DefaultOf(context, element);
  if (!IsPropertyType(property.type)) {
    context.Fault(element, absl::StrCat("unknown type '", property.type, "'"));
  } else if (!property.value.empty()) {
    const std::string wrong = WhyNotValue(property, property.value);
    // Tools write defaults that their own qualifiers forbid, for the user to replace.
    if (!wrong.empty()) context.Warn(element, absl::StrCat("its default ", wrong));
  }
  for (const Property& other : product.properties) {
    if (other.key == property.key) {
      return context.Fault(element, absl::StrCat("the property '", property.key, "' occurs twice"));
    }
  }
  product.properties.push_back(std::move(property));
}

}  // namespace

Product ReadProduct(const ReaderContext& context, const Element& section) {
  Product product;
  product.class_name = section.Get("class");
  product.instance = section.Get("instance");
  product.name = context.ChildText(section, "Product");
  product.vendor = context.ChildText(section, "Vendor");
  product.version = context.ChildText(section, "Version");
  product.full_version = context.ChildText(section, "FullVersion");
  std::string category;
  for (const Element& child : section.children) {
    if (child.name == "Category") category = context.Text(child);
    if (child.name == "Property") ReadProperty(context, child, category, product);
    if (!IsOvf(child) && child.ns != section.ns) context.Skip(child);
  }
  return product;
}

void ReadEula(const ReaderContext& context, const Element& section, const std::string& system,
              Descriptor& descriptor) {
  Eula eula;
  eula.virtual_system = system;
  eula.text = context.ChildText(section, "License");
  const Element* license = section.Child("License");
  const std::string file_id = license == nullptr ? "" : license->Get("fileRef");
  if (!file_id.empty()) {
    const FileReference* file = descriptor.FindFile(file_id);
    std::optional<std::string> text;
    if (file != nullptr && context.options().load) text = context.options().load(file->href);
    if (text) {
      eula.text = *text;
    } else {
      context.Warn(section,
                   absl::StrCat("its licence is in the file '", file_id, "', which is not here"));
    }
  }
  if (license == nullptr) context.Fault(section, "has no License");
  descriptor.eulas.push_back(std::move(eula));
}

absl::StatusOr<std::map<std::string, std::string>> ResolveProperties(
    const Descriptor& descriptor, const VirtualSystem& system,
    const std::map<std::string, std::string>& values) {
  std::map<std::string, std::string> resolved;
  for (const std::vector<Product>* products : {&descriptor.collection_products, &system.products}) {
    for (const Product& product : *products) {
      for (const Property& property : product.properties) {
        const auto given = values.find(property.key);
        if (given == values.end()) {
          resolved[property.key] = property.value;
          continue;
        }
        const std::string field = absl::StrCat("package.properties[", property.key, "]");
        if (!property.user_configurable) {
          return InvalidField(field, "is not user-configurable");
        }
        const std::string wrong = WhyNotValue(property, given->second);
        if (!wrong.empty()) return InvalidField(field, wrong);
        resolved[property.key] = given->second;
      }
    }
  }
  return resolved;
}

std::vector<std::string> UnknownProperties(const Descriptor& descriptor,
                                           const std::map<std::string, std::string>& values) {
  std::vector<std::string> unknown;
  for (const auto& [key, value] : values) {
    const auto has = [&key = key](const std::vector<Product>& products) {
      return std::any_of(products.begin(), products.end(), [&](const Product& product) {
        return std::any_of(product.properties.begin(), product.properties.end(),
                           [&](const Property& property) { return property.key == key; });
      });
    };
    bool known = has(descriptor.collection_products);
    for (const VirtualSystem& system : descriptor.systems) known = known || has(system.products);
    if (!known) unknown.push_back(key);
  }
  return unknown;
}

}  // namespace virmo::ovf
