// SPDX-License-Identifier: Apache-2.0
#include "services/server/store/secret_box.h"

#include <sys/stat.h>

#include <filesystem>

#include "gtest/gtest.h"
#include "services/runtime/files.h"
#include "services/runtime/uuid.h"

namespace virmo::server {
namespace {

class SecretBoxTest : public ::testing::Test {
 protected:
  SecretBoxTest() { std::filesystem::create_directories(folder_); }
  ~SecretBoxTest() override { std::filesystem::remove_all(folder_); }
  const std::string folder_ = ::testing::TempDir() + "/box-" + NewUuid();
  const std::string key_ = folder_ + "/key";
};

TEST_F(SecretBoxTest, OpensWhatItSealedAlsoAfterARestart) {
  const std::string sealed =
      *(*SecretBox::Open(key_, SecretBox::IfMissing::kMakeKey))->Seal("s3cret", "client:edge-1");
  EXPECT_EQ(sealed.find("s3cret"), std::string::npos);
  const auto box = *SecretBox::Open(key_, SecretBox::IfMissing::kFail);

  EXPECT_EQ(*box->Unseal(sealed, "client:edge-1"), "s3cret");
}

TEST_F(SecretBoxTest, KeepsItsKeyFromOthers) {
  ASSERT_TRUE(SecretBox::Open(key_, SecretBox::IfMissing::kMakeKey).ok());
  struct stat about = {};
  ASSERT_EQ(stat(key_.c_str(), &about), 0);

  EXPECT_EQ(about.st_mode & 0777, 0600u);
}

TEST_F(SecretBoxTest, OpensNothingForAnotherContextOrChangedOctets) {
  const auto box = *SecretBox::Open(key_, SecretBox::IfMissing::kMakeKey);
  std::string sealed = *box->Seal("s3cret", "client:edge-1");

  EXPECT_FALSE(box->Unseal(sealed, "client:edge-2").ok());
  sealed[14] = static_cast<char>(sealed[14] ^ 1);
  EXPECT_FALSE(box->Unseal(sealed, "client:edge-1").ok());
  EXPECT_FALSE(box->Unseal("", "client:edge-1").ok());
}

TEST_F(SecretBoxTest, FailsRatherThanMakeAnotherKey) {
  EXPECT_TRUE(
      SecretBox::Open(key_, SecretBox::IfMissing::kFail).status().message().find("missing") !=
      std::string::npos);
  ASSERT_TRUE(WriteFileAtomically(key_, "garbage", 0600).ok());
  EXPECT_FALSE(SecretBox::Open(key_, SecretBox::IfMissing::kMakeKey).ok());
}

}  // namespace
}  // namespace virmo::server
