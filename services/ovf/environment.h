// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

namespace virmo::ovf {

// What a guest is told of its deployment (DSP0243 §11, DSP8027).
struct Environment {
  std::string id;  // The virtual system's.
  std::string kind;
  std::string version;
  std::string vendor = "VirMO";
  std::string locale = "en";
  std::map<std::string, std::string> properties;
};

// The document `ovf-env.xml`.
std::string WriteEnvironment(const Environment& environment);

}  // namespace virmo::ovf
