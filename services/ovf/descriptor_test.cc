// SPDX-License-Identifier: Apache-2.0
#include "services/ovf/descriptor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "services/ovf/sample_packages.h"
#include "services/ovf/units.h"
#include "services/runtime/error.h"

namespace virmo::ovf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Outcome {
  Descriptor descriptor;
  Findings findings;

  // The faults, a line each.
  std::string Faults() const {
    std::string text;
    for (const Findings::Fault& fault : findings.faults()) absl::StrAppend(&text, fault.text, "\n");
    return text;
  }
};

Outcome Read(const std::string& text, ReadOptions options = {}) {
  Outcome outcome;
  options.file_name = "x.ovf";
  outcome.descriptor = ReadDescriptor(text, options, outcome.findings);
  return outcome;
}

TEST(DescriptorTest, WhatEsxExportsIsRead) {
  const Outcome read = Read(VmwareDescriptor());
  ASSERT_EQ(read.Faults(), "");
  const VirtualSystem& vm = read.descriptor.systems.at(0);
  EXPECT_EQ(vm.name, "web one");
  EXPECT_EQ(vm.cpus, 4);
  EXPECT_EQ(vm.memory_mib, 2048);
  EXPECT_TRUE(vm.efi);
  EXPECT_EQ(vm.annotation, "The web server");
  ASSERT_EQ(vm.drives.size(), 2u);
  EXPECT_EQ(vm.drives[0].bus, "scsi");
  EXPECT_EQ(vm.drives[1].kind, DriveKind::kCdrom);
  EXPECT_EQ(read.descriptor.disks[0].capacity_bytes, int64_t{16} << 30);
  EXPECT_EQ(read.descriptor.files[0].href, "web one-disk1.vmdk");
  EXPECT_EQ(vm.nics.at(0).model, "VmxNet3");
}

TEST(DescriptorTest, WhatVirtualBoxExportsIsRead) {
  const Outcome read = Read(VirtualBoxDescriptor());
  ASSERT_EQ(read.Faults(), "");
  const VirtualSystem& vm = read.descriptor.systems.at(0);
  EXPECT_EQ(vm.name, "box");
  EXPECT_EQ(vm.memory_mib, 512);
  EXPECT_TRUE(vm.efi) << "told by VirtualBox's own settings alone";
  ASSERT_EQ(vm.drives.size(), 2u);
  EXPECT_EQ(vm.drives[0].bus, "sata");
  EXPECT_EQ(vm.drives[1].kind, DriveKind::kCdrom) << "an ISO that is listed as a disk";
  EXPECT_EQ(vm.nics.at(0).mac_address, "08:00:27:ab:cd:ef");
}

TEST(DescriptorTest, TheDefaultDeploymentOptionCountsUnlessAnotherIsChosen) {
  const Outcome big = Read(ConfigurableDescriptor());
  ASSERT_EQ(big.Faults(), "");
  EXPECT_EQ(big.descriptor.major_version, 2);
  EXPECT_EQ(big.descriptor.deployment_option, "big");
  EXPECT_EQ(big.descriptor.systems[0].cpus, 8);
  EXPECT_EQ(big.descriptor.systems[0].products[0].properties[1].value, "80");

  ReadOptions options;
  options.deployment_option = "small";
  const Outcome small = Read(ConfigurableDescriptor(), options);
  ASSERT_EQ(small.Faults(), "");
  EXPECT_EQ(small.descriptor.systems[0].cpus, 1);
  EXPECT_EQ(small.descriptor.systems[0].products[0].properties[1].value, "8080");
}

TEST(DescriptorTest, AnUnknownDeploymentOptionIsRefusedWithThoseThatThereAre) {
  ReadOptions options;
  options.deployment_option = "huge";
  EXPECT_THAT(Read(ConfigurableDescriptor(), options).Faults(),
              HasSubstr("there is no deployment option 'huge'; there are: small, big"));
}

TEST(DescriptorTest, BoundsHexAndPropertiesAsCapacityAreUnderstood) {
  const Outcome read = Read(ConfigurableDescriptor());
  const VirtualSystem& vm = read.descriptor.systems.at(0);
  EXPECT_EQ(vm.memory_mib, 512);
  EXPECT_EQ(vm.memory_min_mib, 256);
  EXPECT_EQ(vm.memory_max_mib, 4096);
  EXPECT_EQ(read.descriptor.disks.at(0).capacity_bytes, int64_t{2} << 30);
  EXPECT_EQ(read.descriptor.networks.at(0).port_profiles.size(), 1u);
}

TEST(DescriptorTest, TextsComeInTheLanguageThatIsAskedFor) {
  ReadOptions options;
  options.locale = "de";
  const Outcome german = Read(ConfigurableDescriptor(), options);
  EXPECT_EQ(german.descriptor.eulas.at(0).text, "Sei nett.");
  EXPECT_EQ(german.descriptor.deployment_options.at(0).label, "Klein");
  EXPECT_EQ(Read(ConfigurableDescriptor()).descriptor.eulas.at(0).text, "Be nice.");
  options.locale = "fr";
  EXPECT_EQ(Read(ConfigurableDescriptor(), options).descriptor.eulas.at(0).text, "Be nice.");
}

TEST(DescriptorTest, ACollectionIsSeveralMachinesInAStartOrder) {
  const Outcome read = Read(CollectionDescriptor());
  ASSERT_EQ(read.Faults(), "");
  EXPECT_TRUE(read.descriptor.is_collection);
  EXPECT_EQ(read.descriptor.collection_name, "The shop");
  ASSERT_EQ(read.descriptor.systems.size(), 2u);
  EXPECT_EQ(read.descriptor.systems[0].startup.order, 1);
  EXPECT_EQ(read.descriptor.systems[0].startup.start_delay_seconds, 5);
  EXPECT_EQ(read.descriptor.systems[1].startup.order, 0) << "db starts first";
  EXPECT_EQ(read.descriptor.collection_memory.limit, 2048);
}

TEST(DescriptorTest, UnknownPartsAreRefusedOnlyIfTheyAreRequired) {
  const std::string part = "<x:Odd xmlns:x=\"urn:odd\"/>";
  const Outcome refused = Read(SmallDescriptor("", part));
  EXPECT_THAT(refused.Faults(), testing::ContainsRegex("x.ovf:[0-9]+: Odd: .*required"));
  EXPECT_EQ(ReasonOf(refused.findings.ToStatus()), v1::ErrorInfo::REASON_UNSUPPORTED_ENVIRONMENT);

  const Outcome optional =
      Read(SmallDescriptor("", "<x:Odd xmlns:x=\"urn:odd\" ovf:required=\"false\"/>"));
  EXPECT_EQ(optional.Faults(), "");
  EXPECT_THAT(optional.findings.warnings(), testing::Contains(HasSubstr("Odd")));
  EXPECT_EQ(optional.descriptor.kept.size(), 1u);

  EXPECT_EQ(Read(SmallDescriptor("", "", "<vmw:BootOrderSection/>")).Faults(), "")
      << "VMware writes it without saying that it is optional";
  EXPECT_NE(Read(SmallDescriptor("", "", "<vmw:BootOrderSection ovf:required=\"true\"/>")).Faults(),
            "");
}

TEST(DescriptorTest, WhatCannotBeObeyedHereIsRefusedOrLeftOut) {
  EXPECT_NE(Read(SmallDescriptor("", "", "<PlacementSection/>")).Faults(), "");
  EXPECT_EQ(Read(SmallDescriptor("", "", "<PlacementSection ovf:required=\"false\"/>")).Faults(),
            "");
  EXPECT_THAT(Read(SmallDescriptor("", "<EncryptionSection ovf:required=\"false\"/>")).Faults(),
              HasSubstr("encrypted"));
  const auto device = [](const std::string& attributes) {
    return SmallDescriptor(Item({{"InstanceID", "9"}, {"ResourceType", "7"}}, attributes));
  };
  EXPECT_THAT(Read(device("")).Faults(), HasSubstr("a device of type 7 cannot be given"));
  EXPECT_EQ(Read(device("ovf:required=\"false\"")).Faults(), "");
}

TEST(DescriptorTest, OldNamespacesAreRefusedByName) {
  const std::string old = absl::StrReplaceAll(
      SmallDescriptor(""),
      {{"http://schemas.dmtf.org/ovf/envelope/1", "http://www.vmware.com/schema/ovf/1/envelope"}});
  EXPECT_THAT(Read(old).Faults(), HasSubstr("OVF 0.9"));
  const std::string ovirt =
      absl::StrReplaceAll(SmallDescriptor(""), {{"envelope/1", "envelope/1/"}});
  EXPECT_THAT(Read(ovirt).Faults(), HasSubstr("oVirt"));
}

TEST(DescriptorTest, PathsThatLeadOutOfThePackageAreRefused) {
  for (const char* href : {"../d.vmdk", "/etc/passwd", "a/../../b", "%2e%2e/d", "a\\b", ".",
                           "http://example.com/d.vmdk", ""}) {
    const std::string text = absl::StrReplaceAll(
        SmallDescriptor(""), {{"ovf:href=\"d.vmdk\"", absl::StrCat("ovf:href=\"", href, "\"")}});
    EXPECT_NE(Read(text).Faults(), "") << href;
  }
}

TEST(DescriptorTest, DanglingReferencesAreFaultsWithTheirPlace) {
  const auto item = [](const std::string& resource) {
    return SmallDescriptor(
        Item({{"HostResource", resource}, {"InstanceID", "7"}, {"ResourceType", "17"}}));
  };
  EXPECT_EQ(Read(item("ovf:/disk/d")).Faults(), "");
  EXPECT_THAT(Read(item("ovf:/disk/gone")).Faults(), HasSubstr("its disk 'gone' is not in"));
  EXPECT_THAT(Read(item("ovf:/file/gone")).Faults(), HasSubstr("its file 'gone' is not in"));
  EXPECT_THAT(Read(item("/etc/passwd")).Faults(), HasSubstr("neither a disk nor a file"));
  EXPECT_THAT(Read(SmallDescriptor(
                       Item({{"Connection", "moon"}, {"InstanceID", "7"}, {"ResourceType", "10"}})))
                  .Faults(),
              HasSubstr("its network 'moon'"));
}

TEST(DescriptorTest, RubbishIsRefused) {
  EXPECT_THAT(Read("").Faults(), HasSubstr("x.ovf:1: XML: not XML"));
  EXPECT_THAT(Read("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>").Faults(), HasSubstr("DOCTYPE"));
  EXPECT_THAT(Read("<a/>").Faults(), HasSubstr("not an OVF descriptor"));
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "<a>";
  EXPECT_THAT(Read(deep).Faults(), HasSubstr("nested deeper"));
  EXPECT_THAT(
      Read(absl::StrReplaceAll(SmallDescriptor(""),
                               {{"capacity=\"1048576\"", "capacity=\"99999999999999999999\""}}))
          .Faults(),
      HasSubstr("is no number"));
  EXPECT_THAT(Read(absl::StrReplaceAll(SmallDescriptor(""),
                                       {{"ovf:format", "ovf:parentRef=\"p\" ovf:format"}}))
                  .Faults(),
              HasSubstr("parentRef"));
}

TEST(DescriptorTest, PropertiesAreCheckedAgainstTypeAndQualifiers) {
  const Descriptor descriptor = Read(ConfigurableDescriptor()).descriptor;
  const VirtualSystem& vm = descriptor.systems.at(0);
  const auto resolved = ResolveProperties(descriptor, vm, {{"com.example.host.1", "mars"}});
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->at("com.example.host.1"), "mars");
  EXPECT_EQ(resolved->at("com.example.port.1"), "80");

  for (const auto& [key, value] :
       std::map<std::string, std::string>{{"com.example.host.1", "much too long"},
                                          {"com.example.port.1", "65536"},
                                          {"com.example.fixed.1", "false"}}) {
    EXPECT_FALSE(ResolveProperties(descriptor, vm, {{key, value}}).ok()) << key;
  }
  EXPECT_THAT(UnknownProperties(descriptor, {{"nothing", "1"}}), ElementsAre("nothing"));
  EXPECT_THAT(UnknownProperties(descriptor, {{"com.example.port.1", "1"}}), IsEmpty());
}

TEST(UnitsTest, UnitsOfEveryAgeAreRead) {
  EXPECT_EQ(BytesOfUnit("byte * 2^20"), 1 << 20);
  EXPECT_EQ(BytesOfUnit("byte*10^6"), 1000000);
  EXPECT_EQ(BytesOfUnit("MegaBytes"), 1 << 20);
  EXPECT_EQ(BytesOfUnit("MB"), 1 << 20);
  EXPECT_EQ(BytesOfUnit("GiB"), 1 << 30);
  EXPECT_EQ(BytesOfUnit("byte"), 1);
  EXPECT_EQ(BytesOfUnit("KiloByte * 2^10"), 1 << 20);
  EXPECT_EQ(BytesOfUnit("parsec"), std::nullopt);
  EXPECT_EQ(BytesOfUnit("byte * 2^80"), std::nullopt);
  EXPECT_EQ(MegahertzOfUnit("hertz * 10^6"), 1.0);
  EXPECT_EQ(ParseQuantity(" 0x10 "), 16);
  EXPECT_EQ(ParseQuantity("4.00"), 4);
  EXPECT_EQ(ParseQuantity("-4"), std::nullopt);
  EXPECT_EQ(ParseQuantity("9223372036854775808"), std::nullopt);
}

}  // namespace
}  // namespace virmo::ovf
