// SQLite's C API with owners.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace rtorch::store {

/// What SQLite says went wrong.
struct DatabaseError : std::runtime_error {
  DatabaseError(const char *message, bool damaged)
      : std::runtime_error(message), damaged(damaged) {}
  /// The file is no sound database; else it is in use or may not be written.
  bool damaged;
};

/// A prepared statement. Parameters count from 1, columns from 0.
class Statement {
public:
  Statement(sqlite3 *database, const char *sql);
  Statement &bind(int parameter, std::string_view text);
  Statement &bind(int parameter, int64_t number);
  Statement &bind(int parameter, double number);
  /// Whether there is a row.
  bool step();
  /// Runs a statement that gives no rows, and makes it ready for other parameters.
  void execute();
  std::string text(int column) const;
  int64_t integer(int column) const;
  double real(int column) const;

private:
  void check(int code);
  sqlite3 *database_;
  std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt *)> statement_;
};

class Database {
public:
  /// Opens or creates the file. Throws DatabaseError.
  explicit Database(const std::filesystem::path &path);
  void execute(const char *sql);
  Statement prepare(const char *sql) { return {database_.get(), sql}; }

private:
  std::unique_ptr<sqlite3, int (*)(sqlite3 *)> database_;
};

} // namespace rtorch::store
