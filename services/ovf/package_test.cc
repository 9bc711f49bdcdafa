// SPDX-License-Identifier: Apache-2.0
#include "services/ovf/package.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "services/ovf/inspection.h"
#include "services/ovf/sample_packages.h"
#include "services/ovf/tar.h"

namespace virmo::ovf {
namespace {

using testing::HasSubstr;

std::string Sha(const std::string& algorithm, const std::string& octets) {
  return *DigestOf(*SourceOf(octets), algorithm);
}

class PackageTest : public testing::Test {
 protected:
  PackageTest() {
    char name[] = "/tmp/virmo-ovf-XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~PackageTest() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& octets) {
    std::ofstream(folder_ / name, std::ios::binary) << octets;
    return folder_ / name;
  }

  // The faults of a package, a line each; empty if it is sound.
  std::string FaultsOf(const std::string& path, const std::string& anchors = "") {
    Findings findings;
    const std::unique_ptr<Package> package = Package::Open(path, findings);
    if (package != nullptr) {
      const Descriptor descriptor = ReadDescriptor(package->descriptor(),
                                                   {.file_name = "x.ovf",
                                                    .deployment_option = "",
                                                    .locale = "",
                                                    .properties = {},
                                                    .load = {}},
                                                   findings);
      if (findings.ok()) CheckPackage(*package, descriptor, {.anchors = anchors}, findings);
    }
    std::string text;
    for (const Findings::Fault& fault : findings.faults()) absl::StrAppend(&text, fault.text, "\n");
    return text;
  }

  const std::string descriptor_ = SmallDescriptor(
      Item({{"HostResource", "ovf:/disk/d"}, {"InstanceID", "7"}, {"ResourceType", "17"}}));
  const std::string disk_ = VmdkImage(StreamVmdkDescriptor());
  std::filesystem::path folder_;
};

TEST_F(PackageTest, ADescriptorAloneAFolderAndAnArchiveAreRead) {
  const std::string path = Write("x.ovf", descriptor_);
  EXPECT_EQ(FaultsOf(path), "");
  Write("d.vmdk", disk_);
  EXPECT_EQ(FaultsOf(path), "");
  EXPECT_EQ(FaultsOf(Write("x.ova", TarOf({{"x.ovf", descriptor_}, {"d.vmdk", disk_}}))), "");
  EXPECT_THAT(FaultsOf(Write("y.ova", TarOf({{"x.ovf", descriptor_}}))),
              HasSubstr("'d.vmdk' is not in the package"));
}

TEST_F(PackageTest, EveryDigestOfTheManifestIsChecked) {
  for (const std::string algorithm : {"SHA1", "SHA256", "SHA512"}) {
    const auto manifest = [&](const std::string& disk) {
      return absl::StrCat(algorithm, "(x.ovf)= ", Sha(algorithm, descriptor_), "\r\n", algorithm,
                          " (d.vmdk) = ", Sha(algorithm, disk), "\n");
    };
    const auto archive = [&](const std::string& text) {
      return Write("x.ova", TarOf({{"x.ovf", descriptor_}, {"x.mf", text}, {"d.vmdk", disk_}}));
    };
    EXPECT_EQ(FaultsOf(archive(manifest(disk_))), "") << algorithm;
    EXPECT_THAT(FaultsOf(archive(manifest("other"))),
                HasSubstr("x.mf:2: d.vmdk: its " + algorithm));
  }
}

TEST_F(PackageTest, RubbishInAManifestIsAFault) {
  const auto faults = [&](const std::string& text) {
    return FaultsOf(
        Write("x.ova", TarOf({{"x.ovf", descriptor_}, {"x.mf", text}, {"d.vmdk", disk_}})));
  };
  EXPECT_THAT(faults("MD5(x.ovf)= 00\n"), HasSubstr("'MD5' is not accepted"));
  EXPECT_THAT(faults("hello\n"), HasSubstr("x.mf:1: is not of the form"));
  EXPECT_THAT(faults("SHA256(x.ovf)= 12\n"), HasSubstr("is no SHA256 digest"));
  EXPECT_THAT(faults(absl::StrCat("SHA256(y)= ", Sha("SHA256", ""), "\n")),
              HasSubstr("is not in the package"));
}

TEST_F(PackageTest, ASignatureHasToFitAndToLeadToATrustedCertificate) {
  const std::string manifest = absl::StrCat("SHA256(x.ovf)= ", Sha("SHA256", descriptor_),
                                            "\nSHA256(d.vmdk)= ", Sha("SHA256", disk_), "\n");
  Write("x.mf", manifest);
  const auto run = [&](const std::string& command) {
    return std::system(absl::StrCat("cd ", folder_.string(), " && ", command).c_str());
  };
  ASSERT_EQ(run("openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out crt -days 30 "
                "-subj /CN=maker 2>/dev/null && "
                "(printf 'SHA256(x.mf)= '; openssl dgst -sha256 -sign key x.mf | od -An -v -tx1 | "
                "tr -d ' \\n'; echo; cat crt) > x.cert && "
                "openssl req -x509 -newkey rsa:2048 -nodes -keyout key2 -out crt2 -days 30 "
                "-subj /CN=other 2>/dev/null"),
            0);
  const auto read = [&](const std::string& name) {
    std::ifstream file(folder_ / name, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  const auto archive = [&](const std::string& mf) {
    return Write(
        "x.ova",
        TarOf(
            {{"x.ovf", descriptor_}, {"x.mf", mf}, {"x.cert", read("x.cert")}, {"d.vmdk", disk_}}));
  };

  EXPECT_EQ(FaultsOf(archive(manifest)), "");
  EXPECT_EQ(FaultsOf(archive(manifest), read("crt")), "");
  EXPECT_THAT(FaultsOf(archive(manifest), read("crt2")), HasSubstr("not trusted"));
  EXPECT_THAT(FaultsOf(archive(manifest + "\n")), HasSubstr("does not fit what was signed"));
  EXPECT_THAT(
      FaultsOf(
          Write("y.ova", TarOf({{"x.ovf", descriptor_}, {"x.mf", manifest}, {"d.vmdk", disk_}})),
          read("crt")),
      HasSubstr("is not signed, but has to be"));
}

TEST_F(PackageTest, HostileArchivesAreRefused) {
  const auto patched = [&](size_t at, const std::string& octets) {
    std::string archive = TarOf({{"x.ovf", descriptor_}, {"d.vmdk", disk_}});
    archive.replace(at, octets.size(), octets);
    int64_t sum = 0;
    for (size_t i = 0; i < 512; ++i) {
      sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(archive[i]);
    }
    char text[8];
    std::snprintf(text, sizeof(text), "%06o", static_cast<unsigned>(sum));
    archive.replace(148, 6, text);
    return archive;
  };
  EXPECT_THAT(FaultsOf(Write("a", patched(0, "../x.ovf"))), HasSubstr("`..`"));
  EXPECT_THAT(FaultsOf(Write("b", patched(0, "/x.ovf"))), HasSubstr("absolute path"));
  EXPECT_THAT(FaultsOf(Write("c", patched(156, "2"))), HasSubstr("is a link"));
  EXPECT_THAT(FaultsOf(Write("d", patched(156, "S"))), HasSubstr("sparse"));
  EXPECT_THAT(FaultsOf(Write("e", patched(156, "3"))), HasSubstr("no regular file"));
  EXPECT_THAT(FaultsOf(Write("f", patched(124, "77777777777"))), HasSubstr("cut short"));
  EXPECT_THAT(FaultsOf(Write("g", TarOf({{"x.ovf", descriptor_}, {"x.ovf", descriptor_}}))),
              HasSubstr("occurs twice"));
  EXPECT_THAT(FaultsOf(Write("h", TarOf({{"x.ovf", descriptor_}, {"y.ovf", descriptor_}}))),
              HasSubstr("second descriptor"));
  EXPECT_THAT(FaultsOf(Write("i", std::string(4096, 'x'))), HasSubstr("no tar archive"));
}

TEST_F(PackageTest, DisksThatReachOutsideAreRefusedBeforeAnyToolSeesThem) {
  const auto faults = [&](const std::string& disk) {
    return FaultsOf(Write("x.ova", TarOf({{"x.ovf", descriptor_}, {"d.vmdk", disk}})));
  };
  EXPECT_THAT(faults("# Disk DescriptorFile\nRW 4 FLAT \"/etc/passwd\" 0\n"),
              HasSubstr("extents in other files"));
  EXPECT_THAT(faults(VmdkImage("createType=\"monolithicFlat\"\nRW 4 FLAT \"/etc/passwd\" 0\n")),
              HasSubstr("monolithicFlat"));
  EXPECT_THAT(faults(VmdkImage(StreamVmdkDescriptor() + "RW\t4\tFLAT \"/etc/passwd\" 0\n")),
              HasSubstr("flat extent"));
  EXPECT_THAT(faults(VmdkImage("parentCID=12345678\n" + StreamVmdkDescriptor())),
              HasSubstr("builds on another"));
  EXPECT_THAT(faults(VmdkImage(StreamVmdkDescriptor(), 0)), HasSubstr("no capacity"));
  EXPECT_THAT(faults(VmdkImage(StreamVmdkDescriptor(), 4096)), HasSubstr("more than its capacity"));
  std::string qcow2("QFI\xfb\0\0\0\3\0\0\0\0\0\0\2\0\0\0\0\x0b", 20);
  qcow2.resize(1024);
  EXPECT_THAT(faults(qcow2), HasSubstr("backing file"));
  EXPECT_THAT(faults("vhdxfile" + std::string(1000, '\0')), HasSubstr("VHDX"));
  EXPECT_THAT(faults("plain"), HasSubstr("not the VMDK"));
}

TEST_F(PackageTest, TheInspectionSaysWhatIsThereAndHidesPasswords) {
  Findings findings;
  const std::optional<Descriptor> descriptor =
      Inspect(Write("x.ovf", ConfigurableDescriptor()), {}, findings);
  ASSERT_TRUE(descriptor);
  const std::string json = InspectionJson(*descriptor, findings);
  EXPECT_THAT(json, HasSubstr("\"memory_mib\": 512"));
  EXPECT_THAT(json, HasSubstr("\"text\": \"Be nice.\""));
  EXPECT_THAT(json, testing::Not(HasSubstr("hunter2")));
}

}  // namespace
}  // namespace virmo::ovf
