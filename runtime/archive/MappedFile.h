// A file mapped into memory for reading.
#pragma once

#include "runtime/archive/Error.h"

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace rtorch::archive {

/// The bytes of a regular file, mapped read-only and private. Spans into it stay valid
/// as long as the object lives, so it is handed out as a shared pointer. The file must
/// not shrink while it is mapped (the system then raises SIGBUS, as for every mapping).
class MappedFile {
public:
  static Result<std::shared_ptr<const MappedFile>>
  open(const std::filesystem::path &path);
  MappedFile(const MappedFile &) = delete;
  MappedFile &operator=(const MappedFile &) = delete;
  ~MappedFile();

  /// Page-aligned; empty for an empty file.
  std::span<const std::byte> bytes() const { return bytes_; }

private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::span<const std::byte> bytes_;
};

} // namespace rtorch::archive
