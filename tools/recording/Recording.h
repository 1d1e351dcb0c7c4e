// How the commands record their runs: on by default, and never in their way.
#pragma once

#include "runtime/include/rtorch/record.hpp"

#include <chrono>
#include <memory>
#include <string>

namespace rtorch::tools {

struct RecordSettings {
  std::filesystem::path store; // empty: the default one
  bool off = false;
  double epsilon = 0.001; // of the quantiles
};

/// A run of the command, if it is recorded. What cannot be written costs one warning on
/// stderr, never the command.
class Recording {
public:
  Recording(std::string command, std::string kind, const record::Fields &facts,
            const RecordSettings &settings);

  /// The run; null if none is written.
  record::Run *run() const { return run_.get(); }
  void finish(bool done, const record::Fields &results);

private:
  void warn(const std::string &error);
  std::string command_;
  std::unique_ptr<record::Run> run_;
};

/// A hash of what the archive holds, by its entries' names, sizes and CRC-32: the same
/// for two archives of the same content. Empty if it is no archive.
std::string hashOfArchive(const std::string &path);
/// A hash of a module by its trailer, which has the checksums of its parts.
std::string hashOfModule(const std::string &path);

} // namespace rtorch::tools
