#include "runtime/archive/Zip.h"
#include "runtime/archive/ZipFormat.h"

#include <algorithm>
#include <concepts>
#include <limits>
#include <zlib.h>

namespace rtorch::archive {
namespace {

using namespace zip;

constexpr uint64_t kAlignment = 64;
/// 1980-01-01, the first date that the format has.
constexpr uint16_t kDate = (1u << 5) | 1u;
constexpr uint16_t kVersion = 20, kVersion64 = 45;

/// Little-endian bytes of a record.
class Record {
public:
  template <std::unsigned_integral T> Record &put(T value) {
    for (size_t i = 0; i < sizeof(T); ++i)
      bytes_.push_back(static_cast<char>((static_cast<uint64_t>(value) >> (8 * i))));
    return *this;
  }
  Record &put(std::string_view text) {
    bytes_ += text;
    return *this;
  }
  const std::string &bytes() const { return bytes_; }

private:
  std::string bytes_;
};

uint32_t clamp32(uint64_t value) {
  return value < kNone32 ? static_cast<uint32_t>(value) : kNone32;
}

/// Bytes to add before a payload that would begin at `offset`: none, or a padding field
/// with its header of 4 bytes.
uint64_t paddingFor(uint64_t offset) {
  uint64_t missing = (kAlignment - offset % kAlignment) % kAlignment;
  return missing == 0 || missing >= 4 ? missing : missing + kAlignment;
}

} // namespace

Status ZipWriter::emit(const void *data, size_t size) {
  if (!sink_(context_, data, size))
    return makeError("cannot write the archive");
  offset_ += size;
  return {};
}

Status ZipWriter::add(std::string_view name,
                      std::span<const std::span<const std::byte>> pieces) {
  if (name.empty() || name.size() > 4096 || name.front() == '/')
    return makeError("cannot name an archive entry '" + std::string(name) + "'");
  if (!names_.emplace(name).second)
    return makeError("archive entry '" + std::string(name) + "' is written twice");
  Written entry{std::string(name), 0, 0, offset_};
  uLong crc = ::crc32_z(0, nullptr, 0);
  for (std::span<const std::byte> piece : pieces) {
    // crc32_z takes a null pointer for "begin anew".
    if (!piece.empty())
      crc = ::crc32_z(crc, reinterpret_cast<const Bytef *>(piece.data()), piece.size());
    entry.size += piece.size();
  }
  entry.crc = static_cast<uint32_t>(crc);
  bool big = entry.size >= kNone32;
  Record extra;
  if (big)
    extra.put(kExtraZip64).put(uint16_t(16)).put(entry.size).put(entry.size);
  uint64_t padding =
      paddingFor(offset_ + kLocalHeaderSize + name.size() + extra.bytes().size());
  if (padding != 0)
    extra.put(kExtraPadding)
        .put(static_cast<uint16_t>(padding - 4))
        .put(std::string_view(std::string(padding - 4, '\0')));
  Record header;
  header.put(kLocalHeader).put(big ? kVersion64 : kVersion).put(kFlagUtf8);
  header.put(kMethodStored).put(uint16_t(0)).put(kDate).put(entry.crc);
  header.put(clamp32(entry.size)).put(clamp32(entry.size));
  header.put(static_cast<uint16_t>(name.size()));
  header.put(static_cast<uint16_t>(extra.bytes().size()));
  header.put(name).put(extra.bytes());
  if (Status status = emit(header.bytes().data(), header.bytes().size()); !status)
    return status;
  for (std::span<const std::byte> piece : pieces)
    if (Status status = emit(piece.data(), piece.size()); !status)
      return status;
  written_.push_back(std::move(entry));
  return {};
}

Status ZipWriter::finish() {
  uint64_t begin = offset_;
  for (const Written &entry : written_) {
    Record extra;
    if (entry.size >= kNone32)
      extra.put(entry.size).put(entry.size);
    if (entry.headerOffset >= kNone32)
      extra.put(entry.headerOffset);
    bool big = !extra.bytes().empty();
    Record record;
    record.put(kCentralHeader).put(kVersion64).put(big ? kVersion64 : kVersion);
    record.put(kFlagUtf8).put(kMethodStored).put(uint16_t(0)).put(kDate);
    record.put(entry.crc).put(clamp32(entry.size)).put(clamp32(entry.size));
    record.put(static_cast<uint16_t>(entry.name.size()));
    record.put(static_cast<uint16_t>(big ? extra.bytes().size() + 4 : 0));
    record.put(uint16_t(0)).put(uint16_t(0)).put(uint16_t(0)).put(uint32_t(0));
    record.put(clamp32(entry.headerOffset)).put(entry.name);
    if (big)
      record.put(kExtraZip64)
          .put(static_cast<uint16_t>(extra.bytes().size()))
          .put(extra.bytes());
    if (Status status = emit(record.bytes().data(), record.bytes().size()); !status)
      return status;
  }
  uint64_t end = offset_, size = end - begin, count = written_.size();
  Record tail;
  if (count >= kNone16 || size >= kNone32 || begin >= kNone32) {
    tail.put(kEndRecord64).put(uint64_t(kEndRecord64Size - 12));
    tail.put(kVersion64).put(kVersion64).put(uint32_t(0)).put(uint32_t(0));
    tail.put(count).put(count).put(size).put(begin);
    tail.put(kEndLocator64).put(uint32_t(0)).put(end).put(uint32_t(1));
  }
  uint16_t shown = static_cast<uint16_t>(std::min<uint64_t>(count, kNone16));
  tail.put(kEndRecord).put(uint16_t(0)).put(uint16_t(0)).put(shown).put(shown);
  tail.put(clamp32(size)).put(clamp32(begin)).put(uint16_t(0));
  return emit(tail.bytes().data(), tail.bytes().size());
}

} // namespace rtorch::archive
