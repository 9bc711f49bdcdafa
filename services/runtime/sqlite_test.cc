// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/sqlite.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/testing.h"

namespace virmo {
namespace {

const Schema kNumbers = {"numbers", {"CREATE TABLE numbers(n INTEGER PRIMARY KEY, t TEXT)"}};

class SqliteTest : public ::testing::Test {
 protected:
  std::unique_ptr<Database> Open() {
    absl::StatusOr<std::unique_ptr<Database>> database = Database::Open(path_, {kNumbers});
    EXPECT_TRUE(database.ok()) << database.status();
    return *std::move(database);
  }

  static absl::Status Insert(Database& database, int64_t n) {
    return database.Execute("INSERT INTO numbers VALUES (?1, 'x')", {n});
  }

  static int64_t Count(Database& database) {
    return database.Query("SELECT count(*) FROM numbers")->front().Int(0);
  }

  testing::TempDir dir_;
  const std::string path_ = dir_ / "state/test.db";
};

TEST_F(SqliteTest, ValuesComeBackAsTheyWent) {
  const std::unique_ptr<Database> database = Open();
  ASSERT_TRUE(database->Execute("CREATE TABLE v(a, b, c, d)").ok());
  const std::string octets("\0\xff'\x01", 4);
  ASSERT_TRUE(database
                  ->Execute("INSERT INTO v VALUES (?1, ?2, ?3, ?4)",
                            {INT64_MIN, std::string("tëxt'"), Blob{octets}, nullptr})
                  .ok());

  const SqlRow row = database->Query("SELECT * FROM v")->front();

  EXPECT_EQ(row.Int(0), INT64_MIN);
  EXPECT_EQ(row.Text(1), "tëxt'");
  EXPECT_EQ(row.Text(2), octets);
  EXPECT_TRUE(row.IsNull(3));
  EXPECT_EQ(row.Int(3), 0);
  EXPECT_EQ(row.Text(3), "");
}

TEST_F(SqliteTest, TheFileIsOnlyForUsAndEveryCommitIsFsynced) {
  const std::unique_ptr<Database> database = Open();

  struct stat info {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_EQ(database->Query("PRAGMA journal_mode")->front().Text(0), "wal");
  EXPECT_EQ(database->Query("PRAGMA synchronous")->front().Int(0), 2);
  EXPECT_EQ(database->Query("PRAGMA foreign_keys")->front().Int(0), 1);
}

TEST_F(SqliteTest, AUniquenessConflictIsAlreadyExists) {
  const std::unique_ptr<Database> database = Open();
  ASSERT_TRUE(Insert(*database, 1).ok());

  const absl::Status status = Insert(*database, 1);

  EXPECT_EQ(ReasonOf(status), v1::ErrorInfo::REASON_ALREADY_EXISTS);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(path_));
}

TEST_F(SqliteTest, WrongStatementsAreRefusedAndHarmNothing) {
  const std::unique_ptr<Database> database = Open();

  EXPECT_FALSE(database->Execute("SELEKT").ok());
  EXPECT_FALSE(database->Execute("DELETE FROM numbers; DELETE FROM numbers").ok());
  EXPECT_FALSE(database->Execute("DELETE FROM numbers WHERE n = ?1").ok());
  EXPECT_FALSE(database->Execute("DELETE FROM numbers", {int64_t{1}}).ok());
  EXPECT_TRUE(Insert(*database, 1).ok());
}

TEST_F(SqliteTest, AFailedTransactionIsRolledBackWhole) {
  const std::unique_ptr<Database> database = Open();

  const absl::Status status = database->Transact([&]() -> absl::Status {
    EXPECT_TRUE(Insert(*database, 1).ok());
    return absl::AbortedError("no");
  });

  EXPECT_EQ(status, absl::AbortedError("no"));
  EXPECT_EQ(Count(*database), 0);
  EXPECT_TRUE(Insert(*database, 2).ok());
}

TEST_F(SqliteTest, ANestedTransactionIsPartOfTheOuterOne) {
  const std::unique_ptr<Database> database = Open();

  const absl::Status status = database->Transact([&]() -> absl::Status {
    EXPECT_TRUE(database->Transact([&] { return Insert(*database, 1); }).ok());
    return absl::AbortedError("outer");
  });

  EXPECT_FALSE(status.ok());
  EXPECT_EQ(Count(*database), 0);
}

TEST_F(SqliteTest, AFailedNestedTransactionUndoesOnlyItself) {
  const std::unique_ptr<Database> database = Open();

  const absl::Status status = database->Transact([&]() -> absl::Status {
    EXPECT_TRUE(Insert(*database, 1).ok());
    EXPECT_FALSE(database
                     ->Transact([&]() -> absl::Status {
                       EXPECT_TRUE(Insert(*database, 2).ok());
                       return absl::AbortedError("inner");
                     })
                     .ok());
    return Insert(*database, 3);
  });

  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(database->Query("SELECT group_concat(n) FROM numbers")->front().Text(0), "1,3");
}

TEST_F(SqliteTest, HooksRunAfterTheCommitAndNotAfterARollback) {
  const std::unique_ptr<Database> database = Open();
  std::vector<std::string> told;

  ASSERT_TRUE(database
                  ->Transact([&]() -> absl::Status {
                    database->AfterCommit([&] { told.push_back("outer"); });
                    EXPECT_FALSE(database
                                     ->Transact([&]() -> absl::Status {
                                       database->AfterCommit([&] { told.push_back("inner"); });
                                       return absl::AbortedError("inner");
                                     })
                                     .ok());
                    EXPECT_TRUE(told.empty());
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_FALSE(database
                   ->Transact([&]() -> absl::Status {
                     database->AfterCommit([&] { told.push_back("never"); });
                     return absl::AbortedError("no");
                   })
                   .ok());
  database->AfterCommit([&] { told.push_back("at once"); });

  EXPECT_THAT(told, ::testing::ElementsAre("outer", "at once"));
}

TEST_F(SqliteTest, AFullDiskEndsTheTransactionAndNothingOfItStays) {
  const std::unique_ptr<Database> database = Open();
  ASSERT_TRUE(Insert(*database, 1).ok());
  // The smallest limit is the present size: from now on the file cannot grow.
  ASSERT_TRUE(database->Query("PRAGMA max_page_count=1").ok());

  const absl::Status status = database->Transact([&]() -> absl::Status {
    EXPECT_TRUE(Insert(*database, 2).ok());
    const absl::Status full =
        database->Execute("INSERT INTO numbers VALUES (3, ?1)", {std::string(1 << 20, 'x')});
    EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
    // A body that overlooks the failure still must not commit a half.
    Insert(*database, 4).IgnoreError();
    return full;
  });

  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(status), v1::ErrorInfo::REASON_STORAGE_FAILED);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(path_));
  EXPECT_EQ(Count(*database), 1);
}

TEST_F(SqliteTest, TransactionsOfManyThreadsTakeTurns) {
  const std::unique_ptr<Database> database = Open();
  ASSERT_TRUE(database->Execute("INSERT INTO numbers VALUES (0, '0')").ok());

  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 25; ++i) {
        EXPECT_TRUE(
            database
                ->Transact([&] {
                  const int64_t n = database->Query("SELECT t FROM numbers")->front().Int(0);
                  return database->Execute("UPDATE numbers SET t = ?1", {std::to_string(n + 1)});
                })
                .ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(database->Query("SELECT t FROM numbers")->front().Int(0), 100);
}

TEST_F(SqliteTest, WhatWasCommittedSurvivesKill9) {
  int pipes[2];
  ASSERT_EQ(pipe(pipes), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto database = Database::Open(path_, {kNumbers});
    if (!database.ok()) _exit(1);
    for (int64_t n = 1;; ++n) {
      // An open transaction, to be cut at any point, between two that are acknowledged.
      if (!Insert(**database, n).ok()) _exit(1);
      if (write(pipes[1], &n, sizeof(n)) != sizeof(n)) _exit(1);
    }
  }
  close(pipes[1]);
  int64_t acknowledged = 0;
  while (acknowledged < 200) {
    ASSERT_EQ(read(pipes[0], &acknowledged, sizeof(acknowledged)),
              static_cast<ssize_t>(sizeof(acknowledged)));
  }
  kill(child, SIGKILL);
  int64_t last = 0;
  while (read(pipes[0], &last, sizeof(last)) == sizeof(last)) acknowledged = last;
  close(pipes[0]);
  int state = 0;
  ASSERT_EQ(waitpid(child, &state, 0), child);
  ASSERT_TRUE(WIFSIGNALED(state));

  const std::unique_ptr<Database> database = Open();

  const int64_t kept = Count(*database);
  EXPECT_GE(kept, acknowledged);
  EXPECT_LE(kept, acknowledged + 1);
}

TEST_F(SqliteTest, MigrationsRunOnceAndNewOnesFollow) {
  Open().reset();
  Schema grown = kNumbers;
  grown.migrations.push_back("ALTER TABLE numbers ADD COLUMN extra INTEGER DEFAULT 7");

  const auto database = Database::Open(path_, {grown, {"other", {"CREATE TABLE other(x)"}}});

  ASSERT_TRUE(database.ok()) << database.status();
  ASSERT_TRUE((*database)->Execute("INSERT INTO numbers(n) VALUES (1)").ok());
  EXPECT_EQ((*database)->Query("SELECT extra FROM numbers")->front().Int(0), 7);
}

TEST_F(SqliteTest, AFailedMigrationLeavesTheOldVersion) {
  Open().reset();
  Schema wrong = kNumbers;
  wrong.migrations.push_back("CREATE TABLE half(x); SELEKT");

  EXPECT_FALSE(Database::Open(path_, {wrong}).ok());

  EXPECT_FALSE(Open()->Query("SELECT * FROM half").ok());
}

TEST_F(SqliteTest, ANewerSchemaIsRefusedAndStaysWhereItIs) {
  Schema newer = kNumbers;
  newer.migrations.push_back("CREATE TABLE later(x)");
  ASSERT_TRUE(Database::Open(path_, {newer}).ok());
  std::string damaged;

  const absl::Status status = Database::OpenOrSetAside(path_, {kNumbers}, &damaged).status();

  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("newer"));
  EXPECT_EQ(damaged, "");
  EXPECT_TRUE(Database::Open(path_, {newer}).ok());
}

TEST_F(SqliteTest, AFileThatIsNoDatabaseIsSetAsideWithItsContent) {
  ASSERT_TRUE(MakeDirectory(dir_ / "state").ok());
  const std::string rubbish(10000, 'r');
  ASSERT_TRUE(WriteFileAtomically(path_, rubbish, 0600).ok());
  EXPECT_EQ(Database::Open(path_, {kNumbers}).status().code(), absl::StatusCode::kDataLoss);
  std::string damaged;

  const auto database = Database::OpenOrSetAside(path_, {kNumbers}, &damaged);

  ASSERT_TRUE(database.ok()) << database.status();
  EXPECT_EQ(Count(**database), 0);
  const std::string aside = damaged.substr(damaged.rfind(' ') + 1);
  EXPECT_EQ(*ReadFile(aside), rubbish) << damaged;
}

TEST_F(SqliteTest, ADamagedPageIsFoundOnOpenAndSetAside) {
  {
    const std::unique_ptr<Database> database = Open();
    ASSERT_TRUE(database
                    ->Execute("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c "
                              "WHERE n < 2000) INSERT INTO numbers SELECT n, 'x' FROM c")
                    .ok());
    ASSERT_TRUE(database->Query("PRAGMA wal_checkpoint(TRUNCATE)").ok());
  }
  std::string octets = *ReadFile(path_);
  ASSERT_GT(octets.size(), 12288U);
  std::fill(octets.begin() + 8192, octets.begin() + 8192 + 4096, '\x5a');
  ASSERT_TRUE(WriteFileAtomically(path_, octets, 0600).ok());
  std::string damaged;

  const auto database = Database::OpenOrSetAside(path_, {kNumbers}, &damaged);

  ASSERT_TRUE(database.ok()) << database.status();
  EXPECT_THAT(damaged, ::testing::HasSubstr(".damaged-"));
  EXPECT_EQ(Count(**database), 0);
}

TEST_F(SqliteTest, ASoundFileIsNotSetAside) {
  ASSERT_TRUE(Insert(*Open(), 1).ok());
  std::string damaged = "old";

  const auto database = Database::OpenOrSetAside(path_, {kNumbers}, &damaged);

  ASSERT_TRUE(database.ok());
  EXPECT_EQ(damaged, "");
  EXPECT_EQ(Count(**database), 1);
}

TEST_F(SqliteTest, AFolderThatCannotBeMadeIsNamed) {
  ASSERT_TRUE(WriteFileAtomically(dir_ / "state", "a file", 0600).ok());

  const absl::Status status = Database::Open(path_, {kNumbers}).status();

  EXPECT_EQ(ReasonOf(status), v1::ErrorInfo::REASON_STORAGE_FAILED);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(dir_ / "state"));
}

}  // namespace
}  // namespace virmo
