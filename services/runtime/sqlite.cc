// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/status_macros.h"

namespace virmo {

namespace {

constexpr size_t kMaxCachedStatements = 256;
constexpr char kDamaged[] = "damaged";

// The one table from SQLite's result codes to ours.
absl::Status SqliteError(int code, absl::string_view detail, const std::string& path) {
  const std::string message = absl::StrCat(path, ": ", detail);
  Metadata metadata = {{"file", path}};
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      metadata[kDamaged] = "true";
      return Error(v1::ErrorInfo::REASON_STORAGE_FAILED, message, metadata);
    case SQLITE_FULL:
      return ErrorWithCode(absl::StatusCode::kResourceExhausted,
                           v1::ErrorInfo::REASON_STORAGE_FAILED, message, metadata);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return ErrorWithCode(absl::StatusCode::kUnavailable, v1::ErrorInfo::REASON_STORAGE_FAILED,
                           message, metadata);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return Error(v1::ErrorInfo::REASON_STORAGE_FAILED, message, metadata);
    case SQLITE_CONSTRAINT:
      if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY ||
          code == SQLITE_CONSTRAINT_ROWID) {
        return Error(v1::ErrorInfo::REASON_ALREADY_EXISTS, message, metadata);
      }
      [[fallthrough]];
    default:
      return Error(v1::ErrorInfo::REASON_INTERNAL, message, metadata);
  }
}

SqlValue ColumnOf(sqlite3_stmt* statement, int column) {
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_NULL:
      return nullptr;
    case SQLITE_INTEGER:
      return sqlite3_column_int64(statement, column);
    case SQLITE_BLOB: {
      const auto* octets = static_cast<const char*>(sqlite3_column_blob(statement, column));
      const auto size = static_cast<size_t>(sqlite3_column_bytes(statement, column));
      return Blob{octets == nullptr ? std::string() : std::string(octets, size)};
    }
    default: {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
      return std::string(text, static_cast<size_t>(sqlite3_column_bytes(statement, column)));
    }
  }
}

// Without copies: the arguments outlive the statement's run.
int Bind(sqlite3_stmt* statement, int index, const SqlValue& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) {
    return sqlite3_bind_int64(statement, index, *number);
  }
  if (const auto* text = std::get_if<std::string>(&value)) {
    return sqlite3_bind_text64(statement, index, text->data(), text->size(), SQLITE_STATIC,
                               SQLITE_UTF8);
  }
  if (const auto* blob = std::get_if<Blob>(&value)) {
    return sqlite3_bind_blob64(statement, index, blob->octets.data(), blob->octets.size(),
                               SQLITE_STATIC);
  }
  return sqlite3_bind_null(statement, index);
}

// Makes the file as we want it before SQLite makes it as the umask wants it. Only if it is not
// there: closing a descriptor of an open database would drop SQLite's locks on it.
absl::Status MakeFile(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  if (!folder.empty()) RETURN_IF_ERROR(MakeDirectory(folder, 0700));
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return absl::OkStatus();  // It exists, or SQLite will say why it cannot be made.
  close(fd);
  return SyncDirectory(folder.empty() ? "." : folder);
}

bool IsDamaged(const absl::Status& status) {
  return ErrorInfoOf(status).metadata().contains(kDamaged);
}

// Moves the database and SQLite's files beside it out of the way.
absl::StatusOr<std::string> SetAside(const std::string& path) {
  const std::string stamp = absl::FormatTime("%Y%m%dT%H%M%SZ", absl::Now(), absl::UTCTimeZone());
  std::string target = absl::StrCat(path, ".damaged-", stamp);
  for (int i = 2; access(target.c_str(), F_OK) == 0; ++i) {
    target = absl::StrCat(path, ".damaged-", stamp, "-", i);
  }
  for (const char* suffix : {"-wal", "-shm", ""}) {
    std::error_code error;
    std::filesystem::rename(path + suffix, target + suffix, error);
    if (error && error != std::errc::no_such_file_or_directory) {
      return Error(v1::ErrorInfo::REASON_STORAGE_FAILED,
                   absl::StrCat("cannot rename ", path, suffix, ": ", error.message()),
                   {{"file", path + suffix}});
    }
  }
  const std::string folder = std::filesystem::path(path).parent_path().string();
  RETURN_IF_ERROR(SyncDirectory(folder.empty() ? "." : folder));
  return target;
}

}  // namespace

bool SqlRow::IsNull(size_t column) const {
  return std::holds_alternative<std::nullptr_t>(columns_.at(column));
}

int64_t SqlRow::Int(size_t column) const {
  const SqlValue& value = columns_.at(column);
  if (const auto* number = std::get_if<int64_t>(&value)) return *number;
  return std::strtoll(Text(column).c_str(), nullptr, 10);
}

std::string SqlRow::Text(size_t column) const {
  const SqlValue& value = columns_.at(column);
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* blob = std::get_if<Blob>(&value)) return blob->octets;
  if (const auto* number = std::get_if<int64_t>(&value)) return absl::StrCat(*number);
  return "";
}

class Database::Impl {
 public:
  explicit Impl(std::string path) : path_(std::move(path)) {}

  ~Impl() {
    for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
    sqlite3_close(db_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  absl::Status Open() {
    RETURN_IF_ERROR(MakeFile(path_));
    const int code = sqlite3_open_v2(
        path_.c_str(), &db_,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
        nullptr);
    if (code != SQLITE_OK) return LastError(code);
    sqlite3_busy_timeout(db_, 5000);
    for (const char* pragma :
         {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON",
          "PRAGMA cell_size_check=ON", "PRAGMA journal_size_limit=8388608"}) {
      RETURN_IF_ERROR(Script(pragma));
    }
    return Check();
  }

  absl::Status Migrate(const Schema& schema) {
    return Transact([&]() -> absl::Status {
      RETURN_IF_ERROR(
          Script("CREATE TABLE IF NOT EXISTS schema_version"
                 "(component TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT"));
      ASSIGN_OR_RETURN(
          const std::vector<SqlRow> rows,
          Run("SELECT version FROM schema_version WHERE component = ?1", {schema.component}));
      const size_t version = rows.empty() ? 0 : static_cast<size_t>(rows.front().Int(0));
      if (version > schema.migrations.size()) {
        return Error(v1::ErrorInfo::REASON_STORAGE_FAILED,
                     absl::StrCat(path_, ": `", schema.component, "` has version ", version,
                                  ", this program knows ", schema.migrations.size(),
                                  "; install the newer program"),
                     {{"file", path_}, {"version", absl::StrCat(version)}});
      }
      for (size_t i = version; i < schema.migrations.size(); ++i) {
        RETURN_IF_ERROR(Script(schema.migrations[i]));
      }
      return Run("INSERT INTO schema_version VALUES (?1, ?2) "
                 "ON CONFLICT (component) DO UPDATE SET version = ?2",
                 {schema.component, static_cast<int64_t>(schema.migrations.size())})
          .status();
    });
  }

  absl::StatusOr<std::vector<SqlRow>> Run(const std::string& sql,
                                          const std::vector<SqlValue>& arguments) {
    const std::lock_guard lock(mutex_);
    if (!broken_.ok()) return broken_;
    absl::StatusOr<std::vector<SqlRow>> rows = RunLocked(sql, arguments);
    if (!rows.ok()) NoteFailure(rows.status());
    return rows;
  }

  absl::Status Transact(const std::function<absl::Status()>& body) {
    const std::lock_guard lock(mutex_);
    return depth_ == 0 ? TransactOutermost(body) : TransactNested(body);
  }

  void AfterCommit(std::function<void()> hook) {
    const std::lock_guard lock(mutex_);
    if (depth_ == 0) {
      hook();
    } else {
      hooks_.push_back(std::move(hook));
    }
  }

  int64_t Changes() const {
    const std::lock_guard lock(mutex_);
    return sqlite3_changes64(db_);
  }

 private:
  absl::Status LastError(int code) const {
    return SqliteError(code, db_ == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(db_), path_);
  }

  absl::Status Check() {
    ASSIGN_OR_RETURN(const std::vector<SqlRow> rows, Run("PRAGMA quick_check(1)", {}));
    if (rows.size() == 1 && rows.front().Text(0) == "ok") return absl::OkStatus();
    return SqliteError(SQLITE_CORRUPT, rows.empty() ? "quick_check failed" : rows.front().Text(0),
                       path_);
  }

  // Several statements, without arguments.
  absl::Status Script(const std::string& sql) {
    const int code = sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
    return code == SQLITE_OK ? absl::OkStatus() : LastError(code);
  }

  absl::StatusOr<sqlite3_stmt*> Prepare(const std::string& sql) {
    const auto found = statements_.find(sql);
    if (found != statements_.end()) return found->second;
    sqlite3_stmt* statement = nullptr;
    const char* tail = nullptr;
    const int code = sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement, &tail);
    if (code != SQLITE_OK) return LastError(code);
    if (statement == nullptr || tail != sql.data() + sql.size()) {
      sqlite3_finalize(statement);
      return Error(v1::ErrorInfo::REASON_INTERNAL, absl::StrCat("want one statement: ", sql));
    }
    if (statements_.size() >= kMaxCachedStatements) {
      for (auto& [text, old] : statements_) sqlite3_finalize(old);
      statements_.clear();
    }
    statements_.emplace(sql, statement);
    return statement;
  }

  absl::StatusOr<std::vector<SqlRow>> RunLocked(const std::string& sql,
                                                const std::vector<SqlValue>& arguments) {
    ASSIGN_OR_RETURN(sqlite3_stmt* const statement, Prepare(sql));
    if (sqlite3_bind_parameter_count(statement) != static_cast<int>(arguments.size())) {
      return Error(v1::ErrorInfo::REASON_INTERNAL,
                   absl::StrCat("want ", sqlite3_bind_parameter_count(statement),
                                " arguments, got ", arguments.size(), ": ", sql));
    }
    absl::StatusOr<std::vector<SqlRow>> rows = Step(statement, arguments);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return rows;
  }

  absl::StatusOr<std::vector<SqlRow>> Step(sqlite3_stmt* statement,
                                           const std::vector<SqlValue>& arguments) {
    for (size_t i = 0; i < arguments.size(); ++i) {
      const int code = Bind(statement, static_cast<int>(i) + 1, arguments[i]);
      if (code != SQLITE_OK) return LastError(code);
    }
    std::vector<SqlRow> rows;
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
      std::vector<SqlValue> columns;
      for (int i = 0; i < sqlite3_column_count(statement); ++i) {
        columns.push_back(ColumnOf(statement, i));
      }
      rows.emplace_back(std::move(columns));
    }
    if (code != SQLITE_DONE) return LastError(code);
    return rows;
  }

  // On a full disk, an I/O error and the like SQLite rolls the whole transaction back by itself.
  // What follows would then be committed piece by piece, so nothing may follow.
  void NoteFailure(const absl::Status& status) {
    if (depth_ > 0 && sqlite3_get_autocommit(db_) != 0) broken_ = status;
  }

  absl::Status Command(const char* sql) { return RunLocked(sql, {}).status(); }

  absl::Status TransactOutermost(const std::function<absl::Status()>& body) {
    RETURN_IF_ERROR(Command("BEGIN IMMEDIATE"));
    depth_ = 1;
    absl::Status status = body();
    if (status.ok()) status = broken_;
    if (status.ok()) status = Command("COMMIT");
    depth_ = 0;
    broken_ = absl::OkStatus();
    const std::vector<std::function<void()>> hooks = std::exchange(hooks_, {});
    if (!status.ok()) {
      // A failed ROLLBACK leaves nothing to do: the next BEGIN will report it.
      if (sqlite3_get_autocommit(db_) == 0) Command("ROLLBACK").IgnoreError();
      return status;
    }
    for (const auto& hook : hooks) hook();
    return absl::OkStatus();
  }

  absl::Status TransactNested(const std::function<absl::Status()>& body) {
    if (!broken_.ok()) return broken_;
    RETURN_IF_ERROR(Command("SAVEPOINT nested"));
    const size_t hooks = hooks_.size();
    ++depth_;
    absl::Status status = body();
    if (status.ok()) status = broken_;
    --depth_;
    if (!status.ok()) {
      hooks_.resize(hooks);
      if (broken_.ok()) {
        const absl::Status undone = Command("ROLLBACK TO nested");
        // What could not be undone must not be committed by the outer transaction.
        if (!undone.ok()) broken_ = undone;
      }
    }
    if (broken_.ok()) {
      const absl::Status released = Command("RELEASE nested");
      if (!released.ok()) broken_ = released;
    }
    return status.ok() ? broken_ : status;
  }

  const std::string path_;
  sqlite3* db_ = nullptr;
  // Held by a transaction's thread to its end; recursive, so that the body can use the database.
  // Guards all below.
  mutable std::recursive_mutex mutex_;
  std::unordered_map<std::string, sqlite3_stmt*> statements_;
  int depth_ = 0;
  absl::Status broken_;  // Why SQLite ended the present transaction by itself.
  std::vector<std::function<void()>> hooks_;
};

Database::Database(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Database::~Database() = default;

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path,
                                                         const std::vector<Schema>& schemas) {
  auto impl = std::make_unique<Impl>(path);
  RETURN_IF_ERROR(impl->Open());
  for (const Schema& schema : schemas) RETURN_IF_ERROR(impl->Migrate(schema));
  return std::unique_ptr<Database>(new Database(std::move(impl)));
}

absl::StatusOr<std::unique_ptr<Database>> Database::OpenOrSetAside(
    const std::string& path, const std::vector<Schema>& schemas, std::string* damaged) {
  damaged->clear();
  absl::StatusOr<std::unique_ptr<Database>> database = Open(path, schemas);
  if (database.ok() || !IsDamaged(database.status())) return database;
  ASSIGN_OR_RETURN(const std::string target, SetAside(path));
  *damaged = absl::StrCat(database.status().message(), "; moved to ", target);
  return Open(path, schemas);
}

absl::Status Database::Execute(const std::string& sql, const std::vector<SqlValue>& arguments) {
  return impl_->Run(sql, arguments).status();
}

absl::StatusOr<std::vector<SqlRow>> Database::Query(const std::string& sql,
                                                    const std::vector<SqlValue>& arguments) {
  return impl_->Run(sql, arguments);
}

absl::Status Database::Transact(const std::function<absl::Status()>& body) {
  return impl_->Transact(body);
}

void Database::AfterCommit(std::function<void()> hook) { impl_->AfterCommit(std::move(hook)); }

int64_t Database::Changes() const { return impl_->Changes(); }

}  // namespace virmo
