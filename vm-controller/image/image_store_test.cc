// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/image/image_store.h"

#include <openssl/sha.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "services/ovf/sample_packages.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "vm-controller/image/http_fixture.h"
#include "vm-controller/image/limited_process.h"

namespace virmo::vm_controller {
namespace {

using testing::ElementsAre;
using v1::ErrorInfo;

constexpr int kMib = 1 << 20;

std::string Sha256(const std::string& text) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return absl::BytesToHexString(digest);
}

std::string Body(int bytes) {
  std::string body(static_cast<size_t>(bytes), '\0');
  for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 7 + i / 4096);
  return body;
}

class ImageStoreTest : public testing::Test {
 protected:
  ImageStoreTest() {
    std::string pattern = testing::TempDir() + "/images-XXXXXX";
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    chmod(pattern.c_str(), 0711);
    EXPECT_TRUE(MakeDirectory(directory_ + "/images", 0711).ok());
    database_ = Database::Open(directory_ + "/db/state.db", {ImageStore::GetSchema()}).value();
    store_ = MakeStore({});
  }
  ~ImageStoreTest() override {
    store_.reset();
    database_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  std::unique_ptr<ImageStore> MakeStore(ImageStore::Options options) {
    Fetcher::Options fetcher;
    fetcher.max_attempts = 2;
    options.directory = directory_ + "/images";
    options.max_package_mib = 16;
    options.storage_reserve_mib = 1;
    return std::make_unique<ImageStore>(*database_, Fetcher(fetcher), options);
  }
  bool Has(const v1::Package& package) { return store_->Find(package.sha256())->has_value(); }
  size_t FilesInStore() {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(directory_ + "/images")) {
      (void)entry;
      ++count;
    }
    return count;
  }

  static v1::Package PackageOf(const std::string& url, const std::string& body) {
    v1::Package package;
    package.set_uri(url);
    package.set_media_type("application/x-raw-disk-image");
    package.set_sha256(Sha256(body));
    return package;
  }

  absl::StatusOr<ImageStore::Image> Provide(const v1::Package& package) {
    return store_->Provide(
        package, [&](int64_t done, int64_t) { progress_ = done; }, [&] { return cancelled_; });
  }
  ErrorInfo::Reason Failure(const v1::Package& package) {
    return ReasonOf(Provide(package).status());
  }
  std::string Part(const v1::Package& package) {
    return absl::StrCat(directory_, "/images/sha256-", package.sha256(), ".part");
  }

  std::string directory_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<ImageStore> store_;
  int64_t progress_ = 0;
  bool cancelled_ = false;
};

TEST_F(ImageStoreTest, AnImageIsFetchedOnceAndKept) {
  const std::string body = Body(3 * kMib);
  HttpFixture server({.body = body});
  const v1::Package package = PackageOf(server.Url(), body);

  const auto image = Provide(package);

  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->virtual_bytes, 3 * kMib);
  EXPECT_EQ(ReadFile(image->path).value(), body);
  EXPECT_EQ(progress_, 3 * kMib);
  EXPECT_TRUE(Provide(package).ok());
  EXPECT_EQ(server.Ranges().size(), 1u);
}

TEST_F(ImageStoreTest, ABrokenConnectionIsTakenUpByRange) {
  const std::string body = Body(3 * kMib);
  HttpFixture server({.body = body, .break_after = 2 * kMib});

  const auto image = Provide(PackageOf(server.Url(), body));

  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_THAT(server.Ranges(), ElementsAre("", absl::StrCat(2 * kMib, "-")));
}

TEST_F(ImageStoreTest, AServerWithoutRangesSendsTheWholeAgain) {
  const std::string body = Body(3 * kMib);
  HttpFixture server({.body = body, .ranges = false});
  const v1::Package package = PackageOf(server.Url(), body);
  ASSERT_TRUE(database_
                  ->Execute("INSERT INTO images (sha256, durable) VALUES (?1, ?2)",
                            {package.sha256(), int64_t{kMib}})
                  .ok());
  std::ofstream(Part(package)) << std::string(kMib, 'z');

  EXPECT_TRUE(Provide(package).ok());
}

TEST_F(ImageStoreTest, AfterAKillAtMostOneMibIsFetchedAgain) {
  const std::string body = Body(5 * kMib);
  HttpFixture server({.body = body});
  const v1::Package package = PackageOf(server.Url(), body);
  // What a killed process leaves: three MiB known to be durable, a little more in the file.
  ASSERT_TRUE(database_
                  ->Execute("INSERT INTO images (sha256, durable) VALUES (?1, ?2)",
                            {package.sha256(), int64_t{3 * kMib}})
                  .ok());
  std::ofstream(Part(package)) << body.substr(0, 3 * kMib + kMib / 2);

  ASSERT_TRUE(Provide(package).ok());

  EXPECT_THAT(server.Ranges(), ElementsAre(absl::StrCat(3 * kMib, "-")));
}

TEST_F(ImageStoreTest, WhatWasFetchedOfAnotherPackageIsFetchedWholeOnceMore) {
  const std::string body = Body(2 * kMib);
  HttpFixture server({.body = body});
  const v1::Package package = PackageOf(server.Url(), body);
  ASSERT_TRUE(database_
                  ->Execute("INSERT INTO images (sha256, durable) VALUES (?1, ?2)",
                            {package.sha256(), int64_t{kMib}})
                  .ok());
  std::ofstream(Part(package)) << std::string(kMib, 'z');

  EXPECT_TRUE(Provide(package).ok());
  EXPECT_THAT(server.Ranges(), ElementsAre(absl::StrCat(kMib, "-"), ""));
}

TEST_F(ImageStoreTest, WrongDigestsAndSizesAreRefused) {
  const std::string body = Body(kMib);
  HttpFixture server({.body = body});
  v1::Package package = PackageOf(server.Url(), "something else");
  EXPECT_EQ(Failure(package), ErrorInfo::REASON_PACKAGE_INVALID);

  package = PackageOf(server.Url(), body);
  package.set_size_bytes(kMib + 1);
  EXPECT_EQ(Failure(package), ErrorInfo::REASON_PACKAGE_INVALID) << "truncated";
  package.set_size_bytes(kMib - 1);
  EXPECT_EQ(Failure(package), ErrorInfo::REASON_PACKAGE_INVALID) << "oversized";
}

TEST_F(ImageStoreTest, APackageLargerThanAllowedIsRefusedUnread) {
  const std::string body = Body(17 * kMib);
  HttpFixture server({.body = body});
  EXPECT_EQ(Failure(PackageOf(server.Url(), body)), ErrorInfo::REASON_PACKAGE_INVALID);
  EXPECT_EQ(progress_, 0);
}

TEST_F(ImageStoreTest, WhatServersAnswerBecomesItsOwnReason) {
  const auto reason = [&](int status) {
    HttpFixture server({.body = "", .status = status});
    return Failure(PackageOf(server.Url(), "x"));
  };
  EXPECT_EQ(reason(404), ErrorInfo::REASON_DOWNLOAD_FAILED);
  EXPECT_EQ(reason(401), ErrorInfo::REASON_DOWNLOAD_UNAUTHORIZED);
  EXPECT_EQ(reason(403), ErrorInfo::REASON_DOWNLOAD_UNAUTHORIZED);
  EXPECT_EQ(reason(500), ErrorInfo::REASON_DOWNLOAD_SERVER_ERROR);
  EXPECT_EQ(Failure(PackageOf("http://127.0.0.1:1/image", "x")),
            ErrorInfo::REASON_DOWNLOAD_SERVER_UNAVAILABLE);
}

TEST_F(ImageStoreTest, ACancelledFetchEnds) {
  const std::string body = Body(kMib);
  HttpFixture server({.body = body});
  cancelled_ = true;
  EXPECT_EQ(Failure(PackageOf(server.Url(), body)), ErrorInfo::REASON_CANCELLED);
}

TEST_F(ImageStoreTest, ImagesThatReferToOtherFilesAreRefused) {
  const std::string path = directory_ + "/evil.qcow2";
  const ProcessLimits limits = {.unprivileged = false};
  ASSERT_TRUE(RunLimited({"qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b",
                          "/etc/shadow", path, "1M"},
                         limits)
                  .ok());
  const std::string body = ReadFile(path).value();
  HttpFixture server({.body = body});
  v1::Package package = PackageOf(server.Url(), body);
  package.set_media_type("application/x-qcow2");

  const absl::Status status = Provide(package).status();

  EXPECT_EQ(ReasonOf(status), ErrorInfo::REASON_PACKAGE_INVALID);
  EXPECT_TRUE(absl::StrContains(status.message(), "backing file")) << status;
}

TEST_F(ImageStoreTest, AnImageThatIsNotWhatItSaysIsRefused) {
  const std::string body = Body(kMib);
  HttpFixture server({.body = body});
  v1::Package package = PackageOf(server.Url(), body);
  package.set_media_type("application/x-qcow2");
  EXPECT_EQ(Failure(package), ErrorInfo::REASON_PACKAGE_INVALID);
}

TEST_F(ImageStoreTest, OfTheUnusedTheLongestUnusedGoWhenTheCacheIsFull) {
  store_ = MakeStore({.cache_mib = 2});
  const std::string first_body = Body(kMib), second_body = Body(kMib + 4096);
  HttpFixture first_server({.body = first_body}), second_server({.body = second_body});
  const v1::Package first = PackageOf(first_server.Url(), first_body);
  const v1::Package second = PackageOf(second_server.Url(), second_body);
  ASSERT_TRUE(Provide(first).ok());
  ASSERT_TRUE(Provide(second).ok());
  ASSERT_TRUE(Provide(first).ok());  // Used once more: the second is the older now.

  ASSERT_TRUE(store_->Collect({second.sha256()}).ok());
  EXPECT_TRUE(Has(first)) << "one of 1 MiB fits";
  ASSERT_TRUE(store_->Pin(second.sha256(), true).ok());
  ASSERT_TRUE(store_->Collect({}).ok());
  EXPECT_TRUE(Has(second)) << "pinned";
  ASSERT_TRUE(store_->Pin(second.sha256(), false).ok());
  ASSERT_TRUE(store_->Collect({}).ok());
  EXPECT_TRUE(Has(first));
  EXPECT_FALSE(Has(second));
  EXPECT_EQ(store_->List()->size(), 1u);
}

// An archive with this disk, as a body to serve.
std::string Archive(const std::string& disk) {
  return ovf::TarOf({{"x.ovf", ovf::SmallDescriptor(ovf::Item({{"HostResource", "ovf:/disk/d"},
                                                               {"InstanceID", "7"},
                                                               {"ResourceType", "17"}}))},
                     {"d.vmdk", disk}});
}

TEST_F(ImageStoreTest, AnOvfPackageIsUnpackedOnceAndWhole) {
  const std::string raw = directory_ + "/raw", vmdk = directory_ + "/vmdk";
  std::ofstream(raw, std::ios::binary) << Body(kMib);
  ASSERT_TRUE(RunLimited({"qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o",
                          "subformat=streamOptimized", raw, vmdk},
                         {.unprivileged = false})
                  .ok());
  const std::string body = Archive(ReadFile(vmdk).value());
  HttpFixture server({.body = body});
  v1::Package package = PackageOf(server.Url(), body);
  package.set_media_type("application/x-ova");

  const auto image = Provide(package);

  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->virtual_bytes, kMib);
  ASSERT_TRUE(RunLimited({"qemu-img", "convert", "-f", "qcow2", "-O", "raw",
                          image->path + "/disk-0.qcow2", raw},
                         {.unprivileged = false})
                  .ok());
  EXPECT_EQ(ReadFile(raw).value(), Body(kMib));
  EXPECT_EQ(FilesInStore(), 1u) << "something is left behind";
  ASSERT_TRUE(Provide(package).ok());
  EXPECT_EQ(server.Ranges().size(), 1u);
}

TEST_F(ImageStoreTest, OfAHostileOvfPackageNothingIsKept) {
  for (const std::string& disk :
       {std::string("# Disk DescriptorFile\nRW 4 FLAT \"/etc/passwd\" 0\n"),
        ovf::VmdkImage(ovf::StreamVmdkDescriptor()), std::string("rubbish")}) {
    const std::string body = Archive(disk);
    HttpFixture server({.body = body});
    v1::Package package = PackageOf(server.Url(), body);
    package.set_media_type("application/x-ova");
    EXPECT_EQ(Failure(package), ErrorInfo::REASON_PACKAGE_INVALID);
    ASSERT_TRUE(store_->Discard(package.sha256()).ok());
    EXPECT_EQ(FilesInStore(), 0u);
  }
}

TEST_F(ImageStoreTest, SignaturesAreCheckedWhenTheyAreDemanded) {
  const std::string body = Body(kMib);
  std::ofstream(directory_ + "/image", std::ios::binary) << body;
  ASSERT_EQ(std::system(absl::StrCat("cd ", directory_,
                                     " && openssl req -x509 -newkey rsa:2048 -nodes -keyout key "
                                     "-out crt -days 30 -subj /CN=maker 2>/dev/null && openssl "
                                     "dgst -sha256 -sign key -out signature image")
                            .c_str()),
            0);
  HttpFixture server({.body = body});
  v1::Package package = PackageOf(server.Url(), body);
  store_ = MakeStore({.anchors = ReadFile(directory_ + "/crt").value()});
  EXPECT_EQ(ReasonOf(store_->CheckPackage(package)), ErrorInfo::REASON_PACKAGE_INVALID);
  package.set_signer_certificate(ReadFile(directory_ + "/crt").value());
  package.set_signature("wrong");
  EXPECT_EQ(Failure(package), ErrorInfo::REASON_PACKAGE_INVALID);
  package.set_signature(ReadFile(directory_ + "/signature").value());
  EXPECT_TRUE(Provide(package).ok());
}

}  // namespace
}  // namespace virmo::vm_controller
