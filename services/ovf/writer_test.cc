// SPDX-License-Identifier: Apache-2.0
#include "services/ovf/writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "services/ovf/environment.h"
#include "services/ovf/sample_packages.h"

namespace virmo::ovf {
namespace {

Descriptor Read(const std::string& text) {
  Findings findings;
  Descriptor descriptor = ReadDescriptor(text, {}, findings);
  EXPECT_TRUE(findings.ok()) << findings.ToStatus();
  return descriptor;
}

// Whether xmllint takes a text for valid; true where the schemas are not (VIRMO_OVF_SCHEMAS names
// the folder that has 1.1.1/dsp8023_1.1.1.xsd and ovfenv-1.0.0-all.xsd).
bool IsValid(const std::string& text, const std::string& schema) {
  const char* schemas = std::getenv("VIRMO_OVF_SCHEMAS");
  if (schemas == nullptr) return true;
  const std::string path = testing::TempDir() + "/virmo-writer-test.xml";
  std::ofstream(path) << text;
  const int code = std::system(
      absl::StrCat("xmllint --nonet --noout --schema ", schemas, "/", schema, " ", path).c_str());
  std::filesystem::remove(path);
  return code == 0;
}

TEST(WriterTest, WhatIsWrittenReadsAsTheSameAndIsValid) {
  for (const std::string& sample :
       {VmwareDescriptor(), VirtualBoxDescriptor(), ConfigurableDescriptor()}) {
    Descriptor before = Read(sample);
    before.kept.clear();
    before.systems[0].kept.clear();
    before.systems[0].kept_hardware.clear();
    before.files.resize(1);
    before.files[0].size = 1;
    before.disks.resize(1);

    const std::string text = WriteDescriptor(before);
    const Descriptor after = Read(text);

    const VirtualSystem &a = before.systems.at(0), &b = after.systems.at(0);
    EXPECT_TRUE(IsValid(text, "1.1.1/dsp8023_1.1.1.xsd")) << text;
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.cpus, b.cpus);
    EXPECT_EQ(a.memory_mib, b.memory_mib);
    EXPECT_EQ(a.efi, b.efi);
    EXPECT_EQ(a.annotation, b.annotation);
    EXPECT_EQ(a.nics.at(0).network, b.nics.at(0).network);
    EXPECT_EQ(a.nics.at(0).mac_address, b.nics.at(0).mac_address);
    EXPECT_EQ(before.disks.at(0).capacity_bytes, after.disks.at(0).capacity_bytes);
    ASSERT_EQ(a.products.size(), b.products.size());
    for (size_t i = 0; i < a.products.size(); ++i) {
      ASSERT_EQ(a.products[i].properties.size(), b.products[i].properties.size());
      for (size_t j = 0; j < a.products[i].properties.size(); ++j) {
        EXPECT_EQ(a.products[i].properties[j].key, b.products[i].properties[j].key);
      }
    }
    EXPECT_EQ(WriteDescriptor(after), text) << "written again it is the same";
  }
}

TEST(WriterTest, PasswordsAreNotWritten) {
  EXPECT_THAT(WriteDescriptor(Read(ConfigurableDescriptor())),
              testing::Not(testing::HasSubstr("hunter2")));
}

TEST(EnvironmentTest, TheEnvironmentHoldsThePropertiesAndIsValid) {
  const std::string text = WriteEnvironment(
      {.id = "vm", .kind = "VirMO", .version = "1", .properties = {{"a", "<&\">"}}});

  EXPECT_THAT(text, testing::HasSubstr("oe:value=\"&lt;&amp;&quot;&gt;\""));
  EXPECT_TRUE(IsValid(text, "ovfenv-1.0.0-all.xsd")) << text;
}

}  // namespace
}  // namespace virmo::ovf
