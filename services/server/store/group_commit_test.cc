// SPDX-License-Identifier: Apache-2.0
#include "services/server/store/group_commit.h"

#include <filesystem>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "services/runtime/uuid.h"

namespace virmo::server {
namespace {

TEST(GroupCommitTest, CarriesOutEachAloneAndUndoesThoseThatFail) {
  const std::string folder = ::testing::TempDir() + "/gc-" + NewUuid();
  auto database = *Database::Open(
      folder + "/x.db",
      {{.component = "x", .migrations = {"CREATE TABLE t (n INTEGER PRIMARY KEY)"}}});
  GroupCommit commits(*database);
  std::vector<std::thread> threads;
  std::atomic<int> failures = 0;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 50; ++i) {
        const bool fails = i % 5 == 0;
        const absl::Status status = commits.Transact([&]() -> absl::Status {
          const absl::Status added =
              database->Execute("INSERT INTO t VALUES (?1)", {int64_t{thread * 1000 + i}});
          return fails ? absl::AbortedError("no") : added;
        });
        if (!status.ok()) ++failures;
        EXPECT_EQ(status.ok(), !fails);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(failures, 80);
  EXPECT_EQ(database->Query("SELECT COUNT(*) FROM t")->at(0).Int(0), 320);
  database.reset();
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace virmo::server
