// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/libvirt/domain_xml.h"

#include "absl/strings/match.h"
#include "gmock/gmock.h"

namespace virmo::vm_controller {
namespace {

DomainSpec Spec() {
  DomainSpec spec;
  spec.id = "11111111-2222-4333-8444-555555555555";
  spec.title = "a <b> & \"c\" ]]> 'd'";
  spec.memory_mib = 192;
  spec.cpu_count = 3;
  spec.disk_path = "/vms/&'<x>/vda.qcow2";
  spec.image_digest = "sha256:ab";
  spec.console_socket = "/vms/console";
  spec.interfaces = {{"52:54:00:00:00:01", "user", "", true},
                     {"52:54:00:00:00:02", "bridge:br0", "e1000", false},
                     {"52:54:00:00:00:03", "network:default", "virtio", true}};
  return spec;
}

Platform Q35() { return {"qemu", "x86_64", "pc-q35-7.2", "/usr/bin/qemu", false}; }

TEST(DomainXmlTest, WhatIsWrittenIsReadBackWhateverItHolds) {
  const absl::StatusOr<Domain> domain = ReadDomainXml(WriteDomainXml(Spec(), Q35()));
  ASSERT_TRUE(domain.ok()) << domain.status();
  EXPECT_TRUE(domain->ours);
  EXPECT_EQ(domain->spec.id, Spec().id);
  EXPECT_EQ(domain->spec.title, Spec().title);
  EXPECT_EQ(domain->spec.disk_path, Spec().disk_path);
  EXPECT_EQ(domain->spec.cpu_count, 3);
  EXPECT_EQ(domain->spec.image_digest, "sha256:ab");
  ASSERT_EQ(domain->spec.interfaces.size(), 3u);
  EXPECT_EQ(domain->spec.interfaces[1].source, "bridge:br0");
  EXPECT_FALSE(domain->spec.interfaces[1].link_up);
  EXPECT_EQ(domain->spec.interfaces[2].source, "network:default");
}

TEST(DomainXmlTest, TheBoardHasAtLeastEightFreeSlots) {
  const std::string xml = WriteDomainXml(Spec(), Q35());
  int ports = 0;
  for (size_t at = 0; (at = xml.find("pcie-root-port", at)) != std::string::npos; ++at) ++ports;
  EXPECT_GE(ports, 8);
  Platform other = Q35();
  other.machine = "pc-i440fx-7.2";
  EXPECT_FALSE(absl::StrContains(WriteDomainXml(Spec(), other), "pcie-root-port"));
}

TEST(DomainXmlTest, NothingButWhatTheHostOffersIsNamed) {
  const std::string xml = WriteDomainXml(Spec(), {"test", "", "", "", false});
  EXPECT_FALSE(absl::StrContains(xml, "q35"));
  EXPECT_FALSE(absl::StrContains(xml, "emulator"));
  EXPECT_FALSE(absl::StrContains(xml, "x86"));
}

TEST(DomainXmlTest, ADomainOfSomebodyElseIsNotOurs) {
  const absl::StatusOr<Domain> domain = ReadDomainXml(
      "<domain><uuid>u</uuid><metadata><x:owner xmlns:x='urn:other'/></metadata></domain>");
  ASSERT_TRUE(domain.ok());
  EXPECT_FALSE(domain->ours);
}

TEST(DomainXmlTest, WhatIsNoDomainIsAnError) {
  EXPECT_FALSE(ReadDomainXml("<network/>").ok());
  EXPECT_FALSE(ReadDomainXml("not xml").ok());
}

TEST(DomainXmlTest, OnlyInterfacesThatMustChangeAreUpdated) {
  const std::string xml = WriteDomainXml(Spec(), Q35());
  const std::vector<std::string> down = InterfacesWithLink(xml, false);
  ASSERT_EQ(down.size(), 2u);
  EXPECT_TRUE(absl::StrContains(down[0], "state=\"down\""));
  EXPECT_TRUE(absl::StrContains(down[0], "52:54:00:00:00:01"));
  EXPECT_EQ(InterfacesWithLink(xml, true).size(), 1u);
}

TEST(DomainXmlTest, TheAgentsChannelIsFoundAmongOthers) {
  EXPECT_TRUE(absl::StrContains(AgentChannel(WriteDomainXml(Spec(), Q35())), "guest_agent"));
  EXPECT_EQ(AgentChannel("<domain><devices><channel><target name='other'/></channel></devices>"
                         "</domain>"),
            "");
}

}  // namespace
}  // namespace virmo::vm_controller
