// Files that are whole or absent, and lines that are whole or last.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace rtorch::record {

/// Writes a temporary file beside `path` and renames it. A durable one is synced first,
/// and is there after a loss of power, too. On failure returns what failed, and leaves
/// the old file.
std::string replaceFile(const std::filesystem::path &path, std::string_view content,
                        bool durable = true);

/// A file of lines, open for appending.
class LineFile {
public:
  LineFile() = default;
  ~LineFile();
  LineFile(const LineFile &) = delete;
  LineFile &operator=(const LineFile &) = delete;

  /// Empty if it is open, else what failed.
  std::string open(const std::filesystem::path &path);
  /// Appends `line` and a newline by one write; empty if that was done.
  std::string append(std::string line);

private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

/// Held while a process writes a run; freed by the kernel when it ends, however.
class WriterLock {
public:
  WriterLock() = default;
  ~WriterLock();
  WriterLock(const WriterLock &) = delete;
  WriterLock &operator=(const WriterLock &) = delete;

  std::string acquire(const std::filesystem::path &path);
  /// Whether some process holds the lock of this file.
  static bool isHeld(const std::filesystem::path &path);

private:
  int descriptor_ = -1;
};

} // namespace rtorch::record
