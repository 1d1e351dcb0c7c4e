#include "runtime/store/Database.h"

#include <sqlite3.h>

namespace rtorch::store {

static void throwIf(int code, sqlite3 *database) {
  if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE)
    return;
  int primary = code & 0xFF;
  bool damaged = primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB ||
                 primary == SQLITE_ERROR; // tables that are not ours
  throw DatabaseError(sqlite3_errmsg(database), damaged);
}

Statement::Statement(sqlite3 *database, const char *sql)
    : database_(database), statement_(nullptr, sqlite3_finalize) {
  sqlite3_stmt *statement = nullptr;
  check(sqlite3_prepare_v2(database, sql, -1, &statement, nullptr));
  statement_.reset(statement);
}

void Statement::check(int code) { throwIf(code, database_); }

Statement &Statement::bind(int parameter, std::string_view text) {
  check(sqlite3_bind_text(statement_.get(), parameter, text.data(),
                          static_cast<int>(text.size()), SQLITE_TRANSIENT));
  return *this;
}
Statement &Statement::bind(int parameter, int64_t number) {
  check(sqlite3_bind_int64(statement_.get(), parameter, number));
  return *this;
}
Statement &Statement::bind(int parameter, double number) {
  check(sqlite3_bind_double(statement_.get(), parameter, number));
  return *this;
}

bool Statement::step() {
  int code = sqlite3_step(statement_.get());
  check(code);
  return code == SQLITE_ROW;
}

void Statement::execute() {
  while (step()) {
  }
  check(sqlite3_reset(statement_.get()));
}

std::string Statement::text(int column) const {
  const unsigned char *text = sqlite3_column_text(statement_.get(), column);
  return text ? reinterpret_cast<const char *>(text) : "";
}
int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}
double Statement::real(int column) const {
  return sqlite3_column_double(statement_.get(), column);
}

Database::Database(const std::filesystem::path &path)
    : database_(nullptr, sqlite3_close) {
  sqlite3 *database = nullptr;
  int code = sqlite3_open(path.c_str(), &database);
  database_.reset(database);
  throwIf(code, database);
  sqlite3_busy_timeout(database, 30000);
}

void Database::execute(const char *sql) {
  throwIf(sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr),
          database_.get());
}

} // namespace rtorch::store
