// A file that is whole or not there.
#pragma once

#include "runtime/core/Status.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace rtorch::checkpoint {

/// A temporary file beside its final place; removed unless it is committed.
class NewFile final {
public:
  NewFile(const std::filesystem::path &target, bool skipSync);
  NewFile(const NewFile &) = delete;
  NewFile &operator=(const NewFile &) = delete;
  ~NewFile();

  /// Creates it with room on the disk for `bytes`, so that a full disk is known before
  /// anything is written, and removes what killed processes left of the same target.
  core::Status create(uint64_t bytes);
  core::Status write(uint64_t offset, std::span<const std::byte> bytes);
  /// Brings it to the disk and gives it its final name.
  core::Status commit();

private:
  core::Status failure(const char *what) const;
  void removeStale() const;

  std::filesystem::path target_, folder_, temporary_;
  std::string prefix_; // of the names of temporary files of this target
  bool skip_sync_;
  int descriptor_ = -1;
};

} // namespace rtorch::checkpoint
