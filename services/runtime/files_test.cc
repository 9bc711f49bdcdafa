// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/files.h"

#include <sys/stat.h>

#include <filesystem>

#include "gtest/gtest.h"
#include "services/runtime/error.h"
#include "services/runtime/testing.h"

namespace virmo {
namespace {

int ModeOf(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 ? static_cast<int>(info.st_mode & 07777) : -1;
}

class FilesTest : public ::testing::Test {
 protected:
  testing::TempDir dir_;
};

TEST_F(FilesTest, WritingReplacesTheWholeFileAndSetsItsMode) {
  const std::string path = dir_ / "file";

  ASSERT_TRUE(WriteFileAtomically(path, "a long old content", 0644).ok());
  ASSERT_TRUE(WriteFileAtomically(path, std::string("a\0b", 3), 0600).ok());

  EXPECT_EQ(*ReadFile(path), std::string("a\0b", 3));
  EXPECT_EQ(ModeOf(path), 0600);
}

TEST_F(FilesTest, AFailedWriteLeavesNothingBehind) {
  ASSERT_TRUE(MakeDirectory(dir_ / "target").ok());

  const absl::Status status = WriteFileAtomically(dir_ / "target", "text", 0600);

  EXPECT_EQ(ReasonOf(status), v1::ErrorInfo::REASON_STORAGE_FAILED);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir_.path()), {}), 1);
}

TEST_F(FilesTest, ReadingNamesAMissingOrOversizedFile) {
  EXPECT_EQ(ReadFile(dir_ / "none").status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(WriteFileAtomically(dir_ / "big", std::string(100000, 'x'), 0600).ok());

  EXPECT_EQ(ReadFile(dir_ / "big", 100000)->size(), 100000U);
  EXPECT_EQ(ReadFile(dir_ / "big", 99999).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(FilesTest, MakeDirectoryMakesParentsAndKeepsTheModeOfWhatIsThere) {
  ASSERT_TRUE(MakeDirectory(dir_ / "a/b/c", 0700).ok());
  EXPECT_EQ(ModeOf(dir_ / "a/b/c"), 0700);
  EXPECT_EQ(ModeOf(dir_ / "a/b"), 0755);

  EXPECT_TRUE(MakeDirectory(dir_ / "a/b", 0700).ok());

  EXPECT_EQ(ModeOf(dir_ / "a/b"), 0755);
}

TEST_F(FilesTest, MakeDirectoryFailsWhereAFileIs) {
  ASSERT_TRUE(WriteFileAtomically(dir_ / "file", "", 0600).ok());

  EXPECT_FALSE(MakeDirectory(dir_ / "file").ok());
  EXPECT_FALSE(MakeDirectory(dir_ / "file/sub").ok());
}

}  // namespace
}  // namespace virmo
