// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct sqlite3;
struct sqlite3_stmt;

namespace virmo {

// Octets, as apart from text.
struct Blob {
  std::string octets;
};

using SqlValue = std::variant<std::nullptr_t, int64_t, std::string, Blob>;

// A row of a result. Accessors convert as SQLite does: a NULL is 0 or empty.
class SqlRow {
 public:
  explicit SqlRow(std::vector<SqlValue> columns) : columns_(std::move(columns)) {}
  bool IsNull(size_t column) const;
  int64_t Int(size_t column) const;
  std::string Text(size_t column) const;  // Of text and blobs alike.

 private:
  std::vector<SqlValue> columns_;
};

// The tables of one component of a process, as numbered steps: step i brings them from version i
// to i + 1. Steps that were released are never edited, only added to.
struct Schema {
  std::string component;
  std::vector<std::string> migrations;
};

// The one SQLite database of a process: WAL, synchronous=FULL, so that what was committed
// survives a crash of process and host. Thread-safe: calls take turns, a transaction's thread
// keeps its turn until the end.
class Database {
 public:
  // Opens or makes the file (its folder too, 0700), checks it (`PRAGMA quick_check`) and brings
  // `schemas` up to date. DATA_LOSS (REASON_STORAGE_FAILED) if it is damaged or of a newer
  // version than we know; RESOURCE_EXHAUSTED on a full disk; other errors as SQLite reports them,
  // always naming the file.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path,
                                                        const std::vector<Schema>& schemas);

  // As Open, but a damaged file is renamed to `PATH.damaged-<time>` and a new one made in its
  // place; `*damaged` then says what was wrong and where the old file is. (A file of a newer
  // version is sound and stays where it is: that is an error here too.)
  static absl::StatusOr<std::unique_ptr<Database>> OpenOrSetAside(
      const std::string& path, const std::vector<Schema>& schemas, std::string* damaged);

  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Runs one statement; `?1`, `?2` … are bound to `arguments`. ALREADY_EXISTS on a uniqueness
  // conflict, RESOURCE_EXHAUSTED on a full disk.
  absl::Status Execute(const std::string& sql, const std::vector<SqlValue>& arguments = {});

  // As Execute, and returns the rows.
  absl::StatusOr<std::vector<SqlRow>> Query(const std::string& sql,
                                            const std::vector<SqlValue>& arguments = {});

  // Runs `body` in a transaction: committed, and durable, if it returns OK; else rolled back.
  // Within a transaction of the same thread it is part of that one: its failure undoes only what
  // it did itself, and it is durable when the outer one is.
  absl::Status Transact(const std::function<absl::Status()>& body);

  // Calls `hook` once the transaction of this thread is committed; never if it, or the nested one
  // that this is called in, is rolled back. Outside a transaction: at once. Hooks run in order of
  // commit, one at a time, before any other thread can commit: they must be short and wait for
  // nothing. (What tells watchers of a change belongs here.)
  void AfterCommit(std::function<void()> hook);

  // Rows that the last statement changed, on this thread within a transaction.
  int64_t Changes() const;

 private:
  class Impl;
  explicit Database(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace virmo
