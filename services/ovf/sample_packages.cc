// SPDX-License-Identifier: Apache-2.0
#include "services/ovf/sample_packages.h"

#include "absl/strings/str_cat.h"
#include "services/ovf/tar.h"

namespace virmo::ovf {
namespace {

constexpr char kHead[] = R"(<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
 xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"
 xmlns:vmw="http://www.vmware.com/schema/ovf"
 xmlns:vbox="http://www.virtualbox.org/ovf/machine" ovf:version="1.0">
)";

}  // namespace

std::string Item(const std::vector<std::pair<std::string, std::string>>& elements,
                 const std::string& attributes) {
  std::string item = absl::StrCat("<Item ", attributes, ">");
  for (const auto& [name, value] : elements) {
    absl::StrAppend(&item, "<rasd:", name, ">", value, "</rasd:", name, ">");
  }
  return item + "</Item>\n";
}

std::string VmwareDescriptor() {
  return absl::StrCat(
      kHead,
      R"(<References><File ovf:href="web%20one-disk1.vmdk" ovf:id="file1"/></References>
<DiskSection><Info>Disks</Info>
 <Disk ovf:capacity="16" ovf:capacityAllocationUnits="byte * 2^30" ovf:diskId="vmdisk1"
  ovf:fileRef="file1" ovf:populatedSize="1234567"
  ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
</DiskSection>
<NetworkSection><Info>Networks</Info><Network ovf:name="VM Network"/></NetworkSection>
<vmw:StorageGroupSection ovf:required="false" vmw:id="group1"><Info>x</Info></vmw:StorageGroupSection>
<VirtualSystem ovf:id="web"><Info>A machine</Info><Name>web one</Name>
 <OperatingSystemSection ovf:id="101" vmw:osType="debian10_64Guest"><Info>OS</Info>
  <Description>Debian 10 (64-bit)</Description></OperatingSystemSection>
 <VirtualHardwareSection><Info>Hardware</Info>
  <System><vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
   <vssd:InstanceID>0</vssd:InstanceID>
   <vssd:VirtualSystemIdentifier>web one</vssd:VirtualSystemIdentifier>
   <vssd:VirtualSystemType>vmx-13</vssd:VirtualSystemType></System>
)",
      Item({{"AllocationUnits", "hertz * 10^6"},
            {"ElementName", "4 virtual CPU(s)"},
            {"InstanceID", "1"},
            {"ResourceType", "3"},
            {"VirtualQuantity", " 4 "}}),
      Item({{"AllocationUnits", "byte * 2^20"},
            {"ElementName", "2048MB of memory"},
            {"InstanceID", "2"},
            {"ResourceType", "4"},
            {"VirtualQuantity", "2048"}}),
      Item({{"Address", "0"},
            {"ElementName", "SCSI controller 0"},
            {"InstanceID", "3"},
            {"ResourceSubType", "VirtualSCSI"},
            {"ResourceType", "6"}}),
      Item({{"AddressOnParent", "0"},
            {"ElementName", "disk0"},
            {"HostResource", "ovf:/disk/vmdisk1"},
            {"InstanceID", "9"},
            {"Parent", "3"},
            {"ResourceType", "17"}}),
      Item({{"AddressOnParent", "0"},
            {"AutomaticAllocation", "false"},
            {"ElementName", "cdrom0"},
            {"InstanceID", "8"},
            {"ResourceType", "15"}},
           "ovf:required=\"false\""),
      Item({{"AddressOnParent", "7"},
            {"Connection", "VM Network"},
            {"ElementName", "ethernet0"},
            {"InstanceID", "11"},
            {"ResourceSubType", "VmxNet3"},
            {"ResourceType", "10"}}),
      Item({{"ElementName", "VMCI device"},
            {"InstanceID", "6"},
            {"ResourceSubType", "vmware.vmci"},
            {"ResourceType", "1"}},
           "ovf:required=\"false\""),
      R"(  <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>
  <vmw:ExtraConfig ovf:required="false" vmw:key="svga.autodetect" vmw:value="TRUE"/>
 </VirtualHardwareSection>
 <vmw:BootOrderSection vmw:type="disk"><Info>order</Info></vmw:BootOrderSection>
 <AnnotationSection><Info>note</Info><Annotation>The web server</Annotation></AnnotationSection>
</VirtualSystem></Envelope>)");
}

std::string VirtualBoxDescriptor() {
  return absl::StrCat(
      kHead,
      R"(<References><File ovf:id="file1" ovf:href="box-disk001.vmdk"/>
 <File ovf:id="file2" ovf:href="box-disk002.iso"/></References>
<DiskSection><Info>List</Info>
 <Disk ovf:capacity="8589934592" ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
 <Disk ovf:capacity="0" ovf:diskId="vmdisk2" ovf:fileRef="file2" ovf:format="http://www.ecma-international.org/publications/standards/Ecma-119.htm"/>
</DiskSection>
<NetworkSection><Info>n</Info><Network ovf:name="NAT"/></NetworkSection>
<VirtualSystem ovf:id="box"><Info>A virtual machine</Info>
 <OperatingSystemSection ovf:id="96"><Info>kind</Info><Description>Debian_64</Description>
  <vbox:OSType ovf:required="false">Debian_64</vbox:OSType></OperatingSystemSection>
 <VirtualHardwareSection><Info>hw</Info>
)",
      Item({{"Caption", "1 virtual CPU"},
            {"InstanceID", "1"},
            {"ResourceType", "3"},
            {"VirtualQuantity", "1"}}),
      Item({{"AllocationUnits", "MegaBytes"},
            {"InstanceID", "2"},
            {"ResourceType", "4"},
            {"VirtualQuantity", "512"}}),
      Item({{"InstanceID", "3"}, {"ResourceSubType", "PIIX4"}, {"ResourceType", "5"}}),
      Item({{"InstanceID", "5"}, {"ResourceSubType", "AHCI"}, {"ResourceType", "20"}}),
      Item({{"InstanceID", "7"}, {"ResourceSubType", "ensoniq1371"}, {"ResourceType", "35"}}),
      Item({{"AddressOnParent", "0"},
            {"HostResource", "/disk/vmdisk1"},
            {"InstanceID", "8"},
            {"Parent", "5"},
            {"ResourceType", "17"}}),
      Item({{"AddressOnParent", "0"},
            {"HostResource", "/disk/vmdisk2"},
            {"InstanceID", "9"},
            {"Parent", "3"},
            {"ResourceType", "15"}}),
      Item({{"Connection", "NAT"},
            {"InstanceID", "10"},
            {"ResourceSubType", "E1000"},
            {"ResourceType", "10"},
            {"Address", "08-00-27-AB-CD-EF"}}),
      R"( </VirtualHardwareSection>
 <vbox:Machine ovf:required="false" version="1.16-linux"><Hardware><Firmware type="EFI"/></Hardware></vbox:Machine>
</VirtualSystem></Envelope>)");
}

std::string ConfigurableDescriptor() {
  std::string text = absl::StrCat(
      kHead,
      R"(<References><File ovf:href="app.vmdk" ovf:id="f"/></References>
<DiskSection><Info/><Disk ovf:diskId="d" ovf:fileRef="f" ovf:capacity="${size.gib}"
  ovf:capacityAllocationUnits="GigaBytes" ovf:format="x#streamOptimized"/></DiskSection>
<NetworkSection><Info/><Network ovf:name="lan"><Description>The LAN</Description>
  <NetworkPortProfileURI>http://example.com/profile</NetworkPortProfileURI></Network></NetworkSection>
<DeploymentOptionSection><Info/>
 <Configuration ovf:id="small"><Label ovf:msgid="small.label">Small</Label><Description>One</Description></Configuration>
 <Configuration ovf:id="big" ovf:default="true"><Label>Big</Label><Description>Many</Description></Configuration>
</DeploymentOptionSection>
<VirtualSystem ovf:id="app"><Info>An application</Info>
 <ProductSection ovf:class="com.example" ovf:instance="1"><Info/><Product>App</Product>
  <Vendor>Example</Vendor><Version>3</Version>
  <Category>Network</Category>
  <Property ovf:key="host" ovf:type="string" ovf:userConfigurable="true" ovf:value="app"
   ovf:qualifiers='MinLen(1) MaxLen(8)'><Label>Host name</Label></Property>
  <Property ovf:key="port" ovf:type="uint16" ovf:userConfigurable="true" ovf:value="80">
   <Value ovf:value="8080" ovf:configuration="small"/></Property>
  <Property ovf:key="secret" ovf:type="string" ovf:password="true" ovf:userConfigurable="true" ovf:value="hunter2"/>
  <Property ovf:key="fixed" ovf:type="boolean" ovf:value="true"/>
 </ProductSection>
 <ProductSection><Info/><Property ovf:key="size.gib" ovf:type="uint32" ovf:value="2"/></ProductSection>
 <EulaSection><Info/><License ovf:msgid="eula">Be nice.</License></EulaSection>
 <VirtualHardwareSection ovf:transport="com.vmware.guestInfo iso"><Info/>
)",
      Item({{"InstanceID", "1"}, {"ResourceType", "3"}, {"VirtualQuantity", "1"}}),
      Item({{"InstanceID", "1"}, {"ResourceType", "3"}, {"VirtualQuantity", "8"}},
           "ovf:configuration=\"big huge\""),
      Item({{"AllocationUnits", "byte*2^20"},
            {"InstanceID", "2"},
            {"ResourceType", "4"},
            {"VirtualQuantity", "0x200"}}),
      Item({{"AllocationUnits", "MB"},
            {"InstanceID", "2"},
            {"ResourceType", "4"},
            {"VirtualQuantity", "256"}},
           "ovf:bound=\"min\""),
      Item({{"AllocationUnits", "GB"},
            {"InstanceID", "2"},
            {"ResourceType", "4"},
            {"VirtualQuantity", "4"}},
           "ovf:bound=\"max\""),
      Item({{"HostResource", "ovf:/disk/d"}, {"InstanceID", "4"}, {"ResourceType", "17"}}),
      Item({{"Connection", "lan"}, {"InstanceID", "5"}, {"ResourceType", "10"}}),
      R"( </VirtualHardwareSection>
</VirtualSystem>
<Strings xml:lang="de-DE"><Msg ovf:msgid="eula">Sei nett.</Msg><Msg ovf:msgid="small.label">Klein</Msg></Strings>
</Envelope>)");
  for (size_t at = 0; (at = text.find("envelope/1", at)) != std::string::npos; ++at) {
    text.replace(at, 10, "envelope/2");
  }
  return text;
}

std::string CollectionDescriptor() {
  const auto system = [](const std::string& id) {
    return absl::StrCat(
        "<VirtualSystem ovf:id=\"", id, "\"><Info/><VirtualHardwareSection><Info/>",
        Item({{"InstanceID", "1"}, {"ResourceType", "3"}, {"VirtualQuantity", "1"}}),
        Item({{"AllocationUnits", "MB"},
              {"InstanceID", "2"},
              {"ResourceType", "4"},
              {"VirtualQuantity", "96"}}),
        "</VirtualHardwareSection></VirtualSystem>");
  };
  return absl::StrCat(kHead, R"(<References/>
<VirtualSystemCollection ovf:id="shop"><Info/><Name>The shop</Name>
 <ResourceAllocationSection><Info/>)",
                      Item({{"AllocationUnits", "GB"},
                            {"InstanceID", "1"},
                            {"ResourceType", "4"},
                            {"Reservation", "1"},
                            {"Limit", "2"}}),
                      R"(</ResourceAllocationSection>
 <StartupSection><Info/><Item ovf:id="web" ovf:order="2" ovf:startDelay="5" ovf:stopDelay="1"/>
  <Item ovf:id="db" ovf:order="1" ovf:startDelay="3"/></StartupSection>
)",
                      system("web"), system("db"), "</VirtualSystemCollection></Envelope>");
}

std::string SmallDescriptor(const std::string& items, const std::string& sections,
                            const std::string& parts) {
  return absl::StrCat(kHead, R"(<References><File ovf:id="f" ovf:href="d.vmdk"/></References>
<DiskSection><Info/><Disk ovf:diskId="d" ovf:fileRef="f" ovf:capacity="1048576" ovf:format="x#streamOptimized"/></DiskSection>
<NetworkSection><Info/><Network ovf:name="n"/></NetworkSection>)",
                      sections,
                      R"(<VirtualSystem ovf:id="vm"><Info/><VirtualHardwareSection><Info/>)",
                      Item({{"InstanceID", "1"}, {"ResourceType", "3"}, {"VirtualQuantity", "1"}}),
                      Item({{"AllocationUnits", "MB"},
                            {"InstanceID", "2"},
                            {"ResourceType", "4"},
                            {"VirtualQuantity", "128"}}),
                      items, "</VirtualHardwareSection>", parts, "</VirtualSystem></Envelope>");
}

std::string StreamVmdkDescriptor() {
  return "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
         "createType=\"streamOptimized\"\nRW 2048 SPARSE \"d.vmdk\"\n";
}

std::string VmdkImage(const std::string& descriptor, int64_t sectors) {
  std::string image(65536, '\0');
  const auto put = [&](size_t at, uint64_t value, size_t size) {
    for (size_t i = 0; i < size; ++i) image[at + i] = static_cast<char>(value >> (8 * i) & 0xff);
  };
  image.replace(0, 4, "KDMV");
  put(4, 3, 4);
  put(12, static_cast<uint64_t>(sectors), 8);
  put(20, 128, 8);
  put(28, 1, 8);
  put(36, 20, 8);
  image.replace(512, descriptor.size(), descriptor);
  return image;
}

std::string TarOf(const std::vector<std::pair<std::string, std::string>>& members) {
  std::string archive;
  for (const auto& [name, octets] : members) {
    const auto size = static_cast<int64_t>(octets.size());
    absl::StrAppend(&archive, *TarHeader(name, size, 0), octets, TarPadding(size));
  }
  return archive + TarEnd();
}

}  // namespace virmo::ovf
