// SPDX-License-Identifier: Apache-2.0
// Real guests from OVF packages, and back into them, through the program.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"
#include "services/ovf/archive_writer.h"
#include "services/ovf/inspection.h"
#include "services/ovf/sample_packages.h"
#include "services/runtime/files.h"
#include "tests/integration/vm_controller_fixture.h"
#include "virmo/v1/package_service.grpc.pb.h"
#include "vm-controller/image/digest.h"

namespace virmo::vm_controller {
namespace {

using v1::ErrorInfo;
using v1::VirtualMachine;

// What the demonstration guest would be as somebody else's appliance.
std::string Appliance() {
  return absl::StrReplaceAll(
      ovf::SmallDescriptor(
          ovf::Item(
              {{"HostResource", "ovf:/disk/d"}, {"InstanceID", "7"}, {"ResourceType", "17"}}) +
              ovf::Item({{"Connection", "n"}, {"InstanceID", "8"}, {"ResourceType", "10"}}),
          "",
          "<ProductSection><Info/><Product>Guest</Product>"
          "<Property ovf:key=\"host\" ovf:type=\"string\" ovf:userConfigurable=\"true\"/>"
          "</ProductSection>"
          "<EulaSection><Info/><License>Be nice.</License></EulaSection>"
          "<AnnotationSection><Info/><Annotation>A note</Annotation></AnnotationSection>"
          "<x:Odd xmlns:x=\"urn:odd\" ovf:required=\"false\" x:y=\"z\"/>"),
      {{"<VirtualHardwareSection>", "<VirtualHardwareSection ovf:transport=\"iso\">"},
       {"ovf:capacity=\"1048576\"", "ovf:capacity=\"268435456\""},
       {">128<", ">96<"}});
}

class OvfGuestTest : public VmControllerFixture {
 protected:
  void SetUp() override {
    VmControllerFixture::SetUp();
    if (IsSkipped()) return;
    const std::string folder = directory_ + "/packages";
    std::filesystem::create_directory(folder);
    const std::string disk = folder + "/d.vmdk";
    ASSERT_EQ(std::system(absl::StrCat("qemu-img convert -O vmdk -o subformat=streamOptimized ",
                                       VIRMO_GUEST_IMAGE, " ", disk)
                              .c_str()),
              0);
    ova_ = folder + "/appliance.ova";
    ovf::ArchiveWriter writer(ova_, [] { return false; });
    ASSERT_TRUE(writer.AddText("appliance.ovf", Appliance()).ok());
    ASSERT_TRUE(writer.AddFile("d.vmdk", disk).ok());
    ASSERT_TRUE(writer.Finish().ok());
    const auto channel = grpc::CreateChannel(absl::StrCat("unix:", directory_, "/vmc.sock"),
                                             grpc::InsecureChannelCredentials());
    packages_ = v1::PackageService::NewStub(channel);
  }

  v1::CreateVirtualMachineRequest RequestFor(const std::string& path, const std::string& name) {
    v1::CreateVirtualMachineRequest request = ProvisionRequest(name);
    request.mutable_virtual_machine()->clear_allocations();
    request.mutable_package()->set_uri("file://" + path);
    request.mutable_package()->set_media_type("application/x-ova");
    request.mutable_package()->set_sha256(FileSha256(path).value());
    request.mutable_package()->set_accept_eulas(true);
    return request;
  }
  absl::Status Create(const v1::CreateVirtualMachineRequest& request) {
    grpc::ClientContext context;
    Operation operation;
    const grpc::Status status = vms_->CreateVirtualMachine(&context, request, &operation);
    return Outcome(status, operation);
  }
  size_t FilesIn(const std::string& folder) {
    size_t count = 0;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory_ + folder, error)) {
      (void)entry;
      ++count;
    }
    return count;
  }

  std::string ova_;
  std::unique_ptr<v1::PackageService::Stub> packages_;
};

TEST_F(OvfGuestTest, AnApplianceBootsIsExportedAndBootsAgain) {
  v1::CreateVirtualMachineRequest request = RequestFor(ova_, "appliance");
  (*request.mutable_package()->mutable_properties())["host"] = "mars";
  ASSERT_EQ(Create(request), absl::OkStatus());
  const std::string id = request.virtual_machine_id();
  const VirtualMachine vm = Vm(id);
  EXPECT_EQ(vm.allocations(0).virtual_quantity() + vm.allocations(1).virtual_quantity(), 97)
      << "96 MiB and one processor, as the package says";
  EXPECT_EQ(vm.description(), "A note");
  EXPECT_EQ(vm.network_interfaces(0).network(), "n");
  const auto iso = ReadFile(absl::StrCat(directory_, "/state/vms/", id, "/sdc.iso"));
  ASSERT_TRUE(iso.ok()) << iso.status();
  EXPECT_TRUE(absl::StrContains(*iso, "oe:value=\"mars\""));
  ASSERT_EQ(Do(id, &Stub::StartVirtualMachine), absl::OkStatus());
  ASSERT_TRUE(Soon([&] { return LastTick(id) >= 2; })) << "no ticks on the console";
  ASSERT_EQ(Do(id, &Stub::StopVirtualMachine), absl::OkStatus());

  grpc::ClientContext context;
  v1::ExportVirtualMachineRequest export_request;
  export_request.set_name(VirtualMachineName(id));
  export_request.set_request_id(NewUuid());
  export_request.set_file_name("out.ova");
  Operation operation;
  const grpc::Status accepted =
      packages_->ExportVirtualMachine(&context, export_request, &operation);
  ASSERT_EQ(Outcome(accepted, operation), absl::OkStatus());
  EXPECT_EQ(FilesIn("/state/exports"), 1u) << "something is left behind";

  const std::string out = directory_ + "/state/exports/out.ova";
  ovf::Findings findings;
  const auto exported = ovf::Inspect(out, {}, findings);
  ASSERT_TRUE(exported) << findings.ToStatus();
  const ovf::VirtualSystem& system = exported->systems.at(0);
  EXPECT_EQ(system.name, "appliance");
  EXPECT_EQ(system.memory_mib, 96);
  EXPECT_EQ(system.annotation, "A note");
  EXPECT_EQ(system.nics.at(0).network, "n");
  EXPECT_EQ(system.products.at(0).properties.at(0).key, "host");
  EXPECT_EQ(system.kept.size(), 1u) << "an optional part that nobody knows comes back";
  EXPECT_EQ(exported->disks.at(0).capacity_bytes, 268435456);
  EXPECT_EQ(exported->eulas.at(0).text, "Be nice.");
  const char* schema = std::getenv("VIRMO_OVF_SCHEMA");  // dsp8023_1.1.1.xsd
  if (schema != nullptr) {
    // The part that we do not know is not in the schema either.
    EXPECT_EQ(std::system(absl::StrCat("cd ", directory_, " && tar xf ", out,
                                       " out.ovf && grep -v urn:odd out.ovf > v.ovf && ",
                                       "xmllint --nonet --noout --schema ", schema, " v.ovf")
                              .c_str()),
              0);
  }

  request = RequestFor(out, "again");
  ASSERT_EQ(Create(request), absl::OkStatus());
  ASSERT_EQ(Do(request.virtual_machine_id(), &Stub::StartVirtualMachine), absl::OkStatus());
  EXPECT_TRUE(Soon([&] { return LastTick(request.virtual_machine_id()) >= 1; }));
}

TEST_F(OvfGuestTest, WhatIsRefusedLeavesNothingBehind) {
  v1::CreateVirtualMachineRequest request = RequestFor(ova_, "refused");
  request.mutable_package()->set_accept_eulas(false);
  EXPECT_EQ(ReasonOf(Create(request)), ErrorInfo::REASON_EULA_NOT_ACCEPTED);
  EXPECT_EQ(FilesIn("/state/vms"), 0u);

  request = RequestFor(ova_, "refused");
  (*request.mutable_package()->mutable_properties())["nothing"] = "1";
  EXPECT_EQ(ReasonOf(Create(request)), ErrorInfo::REASON_INVALID_ARGUMENT);
  request = RequestFor(ova_, "refused");
  request.mutable_package()->set_deployment_option("huge");
  EXPECT_FALSE(Create(request).ok());
  EXPECT_EQ(FilesIn("/state/vms"), 0u);

  // A package that is no package: nothing of it is kept.
  const std::string bad = directory_ + "/packages/bad.ova";
  std::ofstream(bad, std::ios::binary) << ovf::TarOf(
      {{"x.ovf", Appliance()}, {"d.vmdk", "# Disk DescriptorFile\nRW 4 FLAT \"/etc/passwd\" 0\n"}});
  EXPECT_EQ(ReasonOf(Create(RequestFor(bad, "bad"))), ErrorInfo::REASON_PACKAGE_INVALID);
  EXPECT_TRUE(Soon([&] { return FilesIn("/state/images") == 0; }));
  EXPECT_EQ(FilesIn("/state/vms"), 0u);
}

TEST_F(OvfGuestTest, AKillWhileConvertingIsTakenUpAfterwards) {
  StopProgram(SIGTERM);
  StartProgram("provision.convert");
  const v1::CreateVirtualMachineRequest request = RequestFor(ova_, "killed");
  grpc::ClientContext context;
  Operation operation;
  vms_->CreateVirtualMachine(&context, request, &operation);
  AwaitDeath();
  StartProgram();

  EXPECT_EQ(OutcomeOf(request.request_id()), absl::OkStatus());
  EXPECT_EQ(Vm(request.virtual_machine_id()).state(), VirtualMachine::STATE_STOPPED);
  EXPECT_EQ(FilesIn("/state/images"), 1u) << "leftovers of the first try";
}

}  // namespace
}  // namespace virmo::vm_controller
