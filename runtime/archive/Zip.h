// Zip archives: a checked reader over bytes in memory and a writer of stored entries.
#pragma once

#include "runtime/archive/Error.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace rtorch::archive {

/// One file of an archive, as the central directory describes it.
struct ZipEntry {
  std::string name;
  uint64_t size = 0;       // of the content
  uint64_t storedSize = 0; // in the archive
  uint32_t crc = 0;
  bool deflated = false;
  uint64_t headerOffset = 0; // of the local header
};

/// The content of an entry: in place for stored entries, else memory of its own.
struct ZipContent {
  std::span<const std::byte> bytes;
  /// Keeps `bytes` alive; null for stored entries, which lie in the archive's bytes.
  std::shared_ptr<const void> owner;

  std::string_view text() const {
    return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
  }
};

/// Reads archives of one file, zip64 or not, with stored and deflated entries. Sizes
/// and offsets are taken from the central directory; the local headers must agree with
/// it. Refused: encryption, several disks, other methods, names twice, entries that
/// overlap each other or the directory, and anything that does not lie inside the
/// bytes.
class ZipReader {
public:
  /// `bytes` must outlive the reader and the contents read from it.
  static Result<ZipReader> open(std::span<const std::byte> bytes);

  /// In the order of the central directory.
  const std::vector<ZipEntry> &entries() const { return entries_; }
  /// nullptr if there is none of that name.
  const ZipEntry *find(std::string_view name) const;

  /// The content of an entry of this reader. The CRC-32 is checked at the first read of
  /// an entry; later reads of a stored entry cost nothing. May run in several threads.
  Result<ZipContent> read(const ZipEntry &entry) const;

  /// Checks the CRC-32 of stored entries with `threads` threads, so that reading them
  /// costs nothing; those that are wrong fail when they are read.
  void checkAhead(unsigned threads) const;

private:
  struct Checked {
    std::mutex mutex;
    std::vector<bool> entries; // CRC-32 found right
  };

  std::span<const std::byte> bytes_;
  std::vector<ZipEntry> entries_;
  std::vector<uint64_t> dataOffsets_; // of each entry
  std::unordered_map<std::string_view, size_t> byName_;
  std::unique_ptr<Checked> checked_;
};

/// Collects the bytes of an archive with stored entries, each payload at a multiple of
/// 64 bytes, with zip64 records where sizes or counts need them. Dates are fixed, so
/// that equal content gives equal bytes.
class ZipWriter {
public:
  /// Called with consecutive pieces of the archive; false stops the writing.
  using Sink = bool (*)(void *context, const void *data, size_t size);

  ZipWriter(Sink sink, void *context) : sink_(sink), context_(context) {}

  /// Writes one entry whose content is the given pieces, one after the other. `name` is
  /// UTF-8, relative, and not used before.
  Status add(std::string_view name, std::span<const std::span<const std::byte>> pieces);
  /// Writes the central directory; nothing may follow.
  Status finish();

private:
  Status emit(const void *data, size_t size);

  struct Written {
    std::string name;
    uint64_t size;
    uint32_t crc;
    uint64_t headerOffset;
  };
  Sink sink_;
  void *context_;
  uint64_t offset_ = 0;
  std::vector<Written> written_;
  std::set<std::string, std::less<>> names_;
};

} // namespace rtorch::archive
