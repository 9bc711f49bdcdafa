// SPDX-License-Identifier: Apache-2.0
// Uploads over gRPC and downloads over HTTP, against a whole server.
#include <openssl/evp.h>

#include <filesystem>
#include <string>
#include <thread>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/runtime/files.h"
#include "services/server/testing/http_client.h"
#include "services/server/testing/running_server.h"

namespace virmo::server {
namespace {

using testing::Fetch;
using ::testing::HasSubstr;
using testing::RunningServer;

std::string Sha256(const std::string& octets) {
  std::string digest(32, '\0');
  EVP_Digest(octets.data(), octets.size(), reinterpret_cast<unsigned char*>(digest.data()), nullptr,
             EVP_sha256(), nullptr);
  return absl::BytesToHexString(digest);
}

class ImageServiceTest : public ::testing::Test {
 protected:
  ImageServiceTest() {
    for (int i = 0; i < 700000; ++i) octets_.push_back(static_cast<char>(i * 31 + i / 256));
  }

  v1::Image Upload(const std::string& id, const std::string& octets) {
    v1::Image image;
    const grpc::Status status = server_.Upload(id, octets, {}, &image);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return image;
  }
  size_t FilesIn(const std::string& folder) {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(server_.config.state_directory() +
                                                                 "/images/" + folder)) {
      (void)entry;
      ++count;
    }
    return count;
  }

  RunningServer server_;
  std::string octets_ = "QFI\xfb";
};

TEST_F(ImageServiceTest, KeepsAnImageAndServesItByItsDigest) {
  const v1::Image image = Upload("web.qcow2", octets_);

  EXPECT_EQ(image.sha256(), Sha256(octets_));
  EXPECT_EQ(image.size_bytes(), static_cast<int64_t>(octets_.size()));
  EXPECT_EQ(image.media_type(), "application/x-qcow2");
  const auto answer = Fetch("GET", image.uri());
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, octets_);
  EXPECT_EQ(answer.headers.at("content-type"), "application/x-qcow2");
}

TEST_F(ImageServiceTest, ServesRangesSoThatADownloadCanGoOn) {
  const v1::Image image = Upload("web", octets_);
  const std::string etag = absl::StrCat("If-Range: \"", image.sha256(), "\"");

  const auto rest = Fetch("GET", image.uri(), {"Range: bytes=300000-", etag});

  EXPECT_EQ(rest.status, 206);
  EXPECT_EQ(rest.body, octets_.substr(300000));
  EXPECT_EQ(rest.headers.at("content-range"),
            absl::StrCat("bytes 300000-", octets_.size() - 1, "/", octets_.size()));
  EXPECT_EQ(Fetch("GET", image.uri(), {"Range: bytes=300000-", "If-Range: \"other\""}).status, 200);
  const auto beyond = Fetch("GET", image.uri(), {"Range: bytes=9000000-"});
  EXPECT_EQ(beyond.status, 416);
  EXPECT_EQ(beyond.headers.at("content-range"), absl::StrCat("bytes */", octets_.size()));
  const auto head = Fetch("HEAD", image.uri());
  EXPECT_EQ(head.headers.at("content-length"), absl::StrCat(octets_.size()));
  EXPECT_EQ(head.headers.at("accept-ranges"), "bytes");
}

TEST_F(ImageServiceTest, ServesNothingElse) {
  Upload("web", octets_);
  const std::string url = server_.server->public_url();

  EXPECT_EQ(Fetch("GET", url + "/images/sha256/" + std::string(64, 'a')).status, 404);
  EXPECT_EQ(Fetch("GET", url + "/images/sha256/../../server.db").status, 404);
  EXPECT_EQ(Fetch("GET", url + "/images/").status, 404);
  EXPECT_EQ(Fetch("GET", url + "/").status, 404);
  EXPECT_EQ(Fetch("DELETE", url + "/images/sha256/" + Sha256(octets_)).status, 405);
}

TEST_F(ImageServiceTest, KeepsNothingOfAnUploadThatIsNotWhatWasTold) {
  v1::Image told;
  told.set_sha256(std::string(64, 'a'));
  v1::Image image;
  EXPECT_EQ(server_.Upload("web", octets_, told, &image).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  told.clear_sha256();
  told.set_size_bytes(5);
  EXPECT_EQ(server_.Upload("web", octets_, told, &image).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  told.clear_size_bytes();
  told.set_media_type("application/x-raw-disk-image");
  EXPECT_THAT(server_.Upload("web", octets_, told, &image).error_message(), HasSubstr("qcow2"));
  EXPECT_EQ(server_.Upload("web", "", {}, &image).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(server_.Upload("../web", octets_, {}, &image).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(server_.Upload("..", octets_, {}, &image).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);

  EXPECT_EQ(FilesIn("upload"), 0u);
  EXPECT_EQ(FilesIn("sha256"), 0u);
}

TEST_F(ImageServiceTest, StoresTheSameOctetsOnce) {
  Upload("a", octets_);
  Upload("b", octets_);
  const v1::Image again = Upload("a", octets_);
  EXPECT_EQ(again.name(), "images/a");
  EXPECT_EQ(FilesIn("sha256"), 1u);

  v1::Image other;
  EXPECT_EQ(server_.Upload("a", "other octets", {}, &other).error_code(),
            grpc::StatusCode::ALREADY_EXISTS);
  for (const char* name : {"images/a", "images/b"}) {
    EXPECT_EQ(Fetch("HEAD", again.uri()).status, 200);
    v1::DeleteImageRequest request;
    request.set_name(name);
    grpc::ClientContext context;
    EXPECT_TRUE(server_.images->DeleteImage(&context, request, &other).ok());
  }
  EXPECT_EQ(Fetch("HEAD", again.uri()).status, 404);
  EXPECT_EQ(FilesIn("sha256"), 0u);
}

TEST_F(ImageServiceTest, RemovesWhatACrashLeftBehind) {
  Upload("a", octets_);
  const std::string folder = server_.config.state_directory() + "/images/";
  ASSERT_TRUE(WriteFileAtomically(folder + "upload/half", "half an upload", 0600).ok());
  ASSERT_TRUE(WriteFileAtomically(folder + "sha256/" + std::string(64, 'b'), "x", 0600).ok());

  server_.Restart();

  EXPECT_EQ(FilesIn("upload"), 0u);
  EXPECT_EQ(FilesIn("sha256"), 1u);
}

TEST_F(ImageServiceTest, KeepsAnImageThatAnUnfinishedCommandNeeds) {
  Upload("a", octets_);
  server_.Enrol("edge-1");
  v1::CreateCommandRequest request;
  request.set_parent("devices/edge-1");
  request.mutable_command()->mutable_action()->mutable_provision()->set_image("images/a");
  request.mutable_command()->mutable_action()->mutable_provision()->set_display_name("vm");
  v1::Command command;
  grpc::ClientContext create;
  ASSERT_TRUE(server_.fleet->CreateCommand(&create, request, &command).ok());

  v1::DeleteImageRequest remove;
  remove.set_name("images/a");
  v1::Image image;
  grpc::ClientContext context;
  EXPECT_EQ(server_.images->DeleteImage(&context, remove, &image).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
}

}  // namespace
}  // namespace virmo::server
