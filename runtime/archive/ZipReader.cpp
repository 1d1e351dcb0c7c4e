#include "runtime/archive/Zip.h"
#include "runtime/archive/ZipFormat.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <libdeflate.h>
#include <limits>
#include <new>
#include <numeric>
#include <thread>
#include <zlib.h>

namespace rtorch::archive {
namespace {

using namespace zip;
using Bytes = std::span<const std::byte>;

Error damaged(const std::string &what) {
  return makeError("not a readable zip archive: " + what);
}

std::string quoted(std::string_view name) {
  std::string text("'");
  return text.append(name).append("'");
}

/// Where the central directory lies.
struct Directory {
  uint64_t offset = 0;
  uint64_t size = 0;
  uint64_t entries = 0;
};

/// The end record is the last thing in the file, followed only by its comment. A file
/// without a comment is the usual case; otherwise the last signature whose comment
/// reaches exactly to the end is taken.
std::optional<size_t> findEndRecord(Bytes bytes) {
  if (bytes.size() < kEndRecordSize)
    return std::nullopt;
  size_t last = bytes.size() - kEndRecordSize;
  size_t first = last > kNone16 ? last - kNone16 : 0;
  for (size_t at = last + 1; at-- > first;) {
    if (load<uint32_t>(bytes, at) == kEndRecord &&
        load<uint16_t>(bytes, at + 20) == last - at)
      return at;
  }
  return std::nullopt;
}

Result<Directory> readEndRecord64(Bytes bytes, size_t locator) {
  if (load<uint32_t>(bytes, locator + 4) != 0 ||
      load<uint32_t>(bytes, locator + 16) > 1)
    return damaged("it is split over several disks");
  uint64_t at = load<uint64_t>(bytes, locator + 8);
  if (!fits(at, kEndRecord64Size, locator) || load<uint32_t>(bytes, at) != kEndRecord64)
    return damaged("the zip64 end record is not where the locator says");
  if (load<uint32_t>(bytes, at + 16) != 0 || load<uint32_t>(bytes, at + 20) != 0 ||
      load<uint64_t>(bytes, at + 24) != load<uint64_t>(bytes, at + 32))
    return damaged("it is split over several disks");
  Directory directory{load<uint64_t>(bytes, at + 48), load<uint64_t>(bytes, at + 40),
                      load<uint64_t>(bytes, at + 32)};
  if (!fits(directory.offset, directory.size, at))
    return damaged("the central directory reaches beyond its end record");
  return directory;
}

Result<Directory> findDirectory(Bytes bytes) {
  std::optional<size_t> end = findEndRecord(bytes);
  if (!end)
    return damaged("no end-of-central-directory record (the file is cut short, or is "
                   "not a zip archive)");
  if (*end >= kEndLocator64Size &&
      load<uint32_t>(bytes, *end - kEndLocator64Size) == kEndLocator64)
    return readEndRecord64(bytes, *end - kEndLocator64Size);
  if (load<uint16_t>(bytes, *end + 4) != 0 || load<uint16_t>(bytes, *end + 6) != 0 ||
      load<uint16_t>(bytes, *end + 8) != load<uint16_t>(bytes, *end + 10))
    return damaged("it is split over several disks");
  Directory directory{load<uint32_t>(bytes, *end + 16),
                      load<uint32_t>(bytes, *end + 12),
                      load<uint16_t>(bytes, *end + 10)};
  if (!fits(directory.offset, directory.size, *end))
    return damaged("the central directory reaches beyond its end record");
  return directory;
}

/// Replaces the sizes and the offset that say "see the zip64 field" by the values
/// there.
Status readZip64Extra(Bytes extra, bool needsSize, bool needsStored, bool needsOffset,
                      ZipEntry &entry) {
  if (!needsSize && !needsStored && !needsOffset)
    return {};
  for (size_t at = 0; extra.size() - at >= 4;) {
    size_t length = load<uint16_t>(extra, at + 2);
    if (!fits(at + 4, length, extra.size()))
      break;
    Bytes field = extra.subspan(at + 4, length);
    if (load<uint16_t>(extra, at) == kExtraZip64) {
      size_t used = 0;
      auto take = [&](bool needed, uint64_t &value) {
        if (!needed)
          return true;
        if (field.size() - used < 8)
          return false;
        value = load<uint64_t>(field, used);
        used += 8;
        return true;
      };
      if (take(needsSize, entry.size) && take(needsStored, entry.storedSize) &&
          take(needsOffset, entry.headerOffset))
        return {};
      break;
    }
    at += 4 + length;
  }
  return damaged("entry " + quoted(entry.name) + " lacks its zip64 sizes");
}

/// Reads the directory's entry at `at` and moves `at` behind it.
Result<ZipEntry> readCentralHeader(Bytes directory, size_t &at) {
  if (!fits(at, kCentralHeaderSize, directory.size()) ||
      load<uint32_t>(directory, at) != kCentralHeader)
    return damaged("the central directory is damaged at its byte " +
                   std::to_string(at));
  Bytes header = directory.subspan(at);
  size_t nameLength = load<uint16_t>(header, 28);
  size_t extraLength = load<uint16_t>(header, 30);
  size_t commentLength = load<uint16_t>(header, 32);
  size_t total = kCentralHeaderSize + nameLength + extraLength + commentLength;
  if (total > header.size())
    return damaged("the central directory is cut short");
  ZipEntry entry;
  entry.name.assign(reinterpret_cast<const char *>(&header[0]) + kCentralHeaderSize,
                    nameLength);
  uint16_t flags = load<uint16_t>(header, 8);
  uint16_t method = load<uint16_t>(header, 10);
  if (flags & (kFlagEncrypted | kFlagStrongEncryption | kFlagMaskedHeaders))
    return damaged("entry " + quoted(entry.name) + " is encrypted");
  if (flags & kFlagPatched)
    return damaged("entry " + quoted(entry.name) + " is compressed patched data");
  if (method != kMethodStored && method != kMethodDeflated)
    return damaged("entry " + quoted(entry.name) + " has compression method " +
                   std::to_string(method) + "; expected stored (0) or deflated (8)");
  uint16_t disk = load<uint16_t>(header, 34);
  if (disk != 0 && disk != kNone16)
    return damaged("it is split over several disks");
  entry.deflated = method == kMethodDeflated;
  entry.crc = load<uint32_t>(header, 16);
  entry.storedSize = load<uint32_t>(header, 20);
  entry.size = load<uint32_t>(header, 24);
  entry.headerOffset = load<uint32_t>(header, 42);
  Status extra =
      readZip64Extra(header.subspan(kCentralHeaderSize + nameLength, extraLength),
                     entry.size == kNone32, entry.storedSize == kNone32,
                     entry.headerOffset == kNone32, entry);
  if (!extra)
    return extra.error();
  if (!entry.deflated && entry.size != entry.storedSize)
    return damaged("stored entry " + quoted(entry.name) + " has two different sizes");
  at += total;
  return entry;
}

/// Checks the local header and returns the offset of the entry's data.
Result<uint64_t> findData(Bytes bytes, const ZipEntry &entry) {
  if (!fits(entry.headerOffset, kLocalHeaderSize, bytes.size()))
    return damaged("entry " + quoted(entry.name) + " lies outside the file");
  Bytes header = bytes.subspan(entry.headerOffset);
  if (load<uint32_t>(header, 0) != kLocalHeader)
    return damaged("entry " + quoted(entry.name) + " has no local header");
  if (load<uint16_t>(header, 6) & (kFlagEncrypted | kFlagStrongEncryption))
    return damaged("entry " + quoted(entry.name) + " is encrypted");
  uint16_t method = load<uint16_t>(header, 8);
  uint64_t nameLength = load<uint16_t>(header, 26);
  uint64_t extraLength = load<uint16_t>(header, 28);
  uint64_t data = kLocalHeaderSize + nameLength + extraLength;
  if (data > header.size() || nameLength != entry.name.size() ||
      std::memcmp(&header[kLocalHeaderSize], entry.name.data(), nameLength) != 0 ||
      method != (entry.deflated ? kMethodDeflated : kMethodStored))
    return damaged("the local header of entry " + quoted(entry.name) +
                   " does not agree with the central directory");
  if (!fits(data, entry.storedSize, header.size()))
    return damaged("entry " + quoted(entry.name) + " of " +
                   std::to_string(entry.storedSize) + " bytes reaches beyond the end");
  return entry.headerOffset + data;
}

/// Entries and the directory must not share bytes: the same bytes read twice are how
/// "zip bombs" and confusing archives are made.
Status checkOverlap(const std::vector<ZipEntry> &entries,
                    const std::vector<uint64_t> &dataOffsets,
                    uint64_t directoryOffset) {
  std::vector<size_t> order(entries.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return entries[a].headerOffset < entries[b].headerOffset;
  });
  for (size_t i = 0; i < order.size(); ++i) {
    const ZipEntry &entry = entries[order[i]];
    uint64_t end = dataOffsets[order[i]] + entry.storedSize;
    bool last = i + 1 == order.size();
    uint64_t limit = last ? directoryOffset : entries[order[i + 1]].headerOffset;
    if (end > limit)
      return damaged("entry " + quoted(entry.name) + " overlaps " +
                     (last ? std::string("the central directory")
                           : "entry " + quoted(entries[order[i + 1]].name)));
  }
  return {};
}

/// CRC-32 of any number of bytes.
uint32_t crcOf(Bytes bytes) { return libdeflate_crc32(0, bytes.data(), bytes.size()); }

Error wrongCrc(const ZipEntry &entry) {
  return makeError("entry " + quoted(entry.name) +
                   " is damaged: its CRC-32 does not match");
}

/// Inflates `input` into exactly `output.size()` bytes.
bool inflateInto(Bytes input, std::span<std::byte> output) {
  z_stream stream{};
  if (::inflateInit2(&stream, -MAX_WBITS) != Z_OK)
    return false;
  stream.next_in = reinterpret_cast<Bytef *>(const_cast<std::byte *>(input.data()));
  stream.next_out = reinterpret_cast<Bytef *>(output.data());
  size_t inputLeft = input.size(), outputLeft = output.size();
  // zlib counts in 32 bits: feed larger entries in pieces.
  constexpr size_t kPiece = std::numeric_limits<uInt>::max();
  Bytef spare = 0; // inflate wants a place to write even when nothing is left to come
  int state = Z_OK;
  while (state == Z_OK) {
    if (stream.avail_in == 0) {
      stream.avail_in = static_cast<uInt>(std::min(inputLeft, kPiece));
      inputLeft -= stream.avail_in;
    }
    bool inSpare = false;
    if (stream.avail_out == 0) {
      stream.avail_out = static_cast<uInt>(std::min(outputLeft, kPiece));
      outputLeft -= stream.avail_out;
      if (stream.avail_out == 0) {
        stream.next_out = &spare;
        stream.avail_out = 1;
        inSpare = true;
      }
    }
    state = ::inflate(&stream, Z_NO_FLUSH);
    if (inSpare && stream.avail_out == 0)
      state = Z_DATA_ERROR; // more content than the directory says
    if (inSpare)
      stream.avail_out = 0;
  }
  bool complete = state == Z_STREAM_END && outputLeft == 0 && stream.avail_out == 0;
  ::inflateEnd(&stream);
  return complete;
}

Result<ZipContent> inflateEntry(const ZipEntry &entry, Bytes stored) {
  // Deflate shrinks by at most 1032:1, so that a size beyond it is a lie; believing it
  // would allocate any amount of memory for a small file.
  if (entry.size / 1032 > entry.storedSize)
    return damaged("entry " + quoted(entry.name) + " claims to inflate to " +
                   std::to_string(entry.size) + " bytes");
  std::shared_ptr<std::byte> memory(
      static_cast<std::byte *>(::operator new(std::max<size_t>(entry.size, 1),
                                              std::align_val_t(64), std::nothrow)),
      [](std::byte *p) { ::operator delete(p, std::align_val_t(64)); });
  if (!memory)
    return makeError("entry " + quoted(entry.name) + ": no memory for " +
                     std::to_string(entry.size) + " bytes");
  std::span<std::byte> bytes(memory.get(), entry.size);
  if (!inflateInto(stored, bytes))
    return makeError("entry " + quoted(entry.name) +
                     " is damaged: it does not inflate to " +
                     std::to_string(entry.size) + " bytes");
  return ZipContent{bytes, std::move(memory)};
}

} // namespace

Result<ZipReader> ZipReader::open(std::span<const std::byte> bytes) {
  Result<Directory> directory = findDirectory(bytes);
  if (!directory)
    return directory.error();
  Bytes records = bytes.subspan(directory->offset, directory->size);
  if (directory->entries > records.size() / kCentralHeaderSize)
    return damaged("the central directory of " + std::to_string(records.size()) +
                   " bytes cannot hold " + std::to_string(directory->entries) +
                   " entries");
  ZipReader reader;
  reader.bytes_ = bytes;
  reader.entries_.reserve(directory->entries);
  size_t at = 0;
  for (uint64_t i = 0; i < directory->entries; ++i) {
    Result<ZipEntry> entry = readCentralHeader(records, at);
    if (!entry)
      return entry.error();
    Result<uint64_t> data = findData(bytes, *entry);
    if (!data)
      return data.error();
    reader.entries_.push_back(std::move(*entry));
    reader.dataOffsets_.push_back(*data);
  }
  if (at != records.size())
    return damaged("the central directory has " + std::to_string(records.size() - at) +
                   " bytes more than its entries");
  if (Status overlap =
          checkOverlap(reader.entries_, reader.dataOffsets_, directory->offset);
      !overlap)
    return overlap.error();
  for (size_t i = 0; i < reader.entries_.size(); ++i)
    if (!reader.byName_.emplace(reader.entries_[i].name, i).second)
      return damaged("entry " + quoted(reader.entries_[i].name) + " occurs twice");
  reader.checked_ = std::make_unique<Checked>();
  reader.checked_->entries.resize(reader.entries_.size());
  return reader;
}

const ZipEntry *ZipReader::find(std::string_view name) const {
  auto it = byName_.find(name);
  return it == byName_.end() ? nullptr : &entries_[it->second];
}

Result<ZipContent> ZipReader::read(const ZipEntry &entry) const {
  size_t index = static_cast<size_t>(&entry - entries_.data());
  Bytes stored = bytes_.subspan(dataOffsets_[index], entry.storedSize);
  if (entry.deflated) {
    Result<ZipContent> content = inflateEntry(entry, stored);
    if (content && crcOf(content->bytes) != entry.crc)
      return wrongCrc(entry);
    return content;
  }
  {
    std::lock_guard lock(checked_->mutex);
    if (checked_->entries[index])
      return ZipContent{stored, nullptr};
  }
  // Outside the lock: two threads may check the same entry, which is only slower.
  if (crcOf(stored) != entry.crc)
    return wrongCrc(entry);
  std::lock_guard lock(checked_->mutex);
  checked_->entries[index] = true;
  return ZipContent{stored, nullptr};
}

void ZipReader::checkAhead(unsigned threads) const {
  std::atomic<size_t> next{0};
  auto work = [&] {
    for (size_t index; (index = next++) < entries_.size();)
      if (!entries_[index].deflated)
        (void)read(entries_[index]);
  };
  std::vector<std::thread> helpers;
  for (unsigned i = 1; i < threads; ++i)
    helpers.emplace_back(work);
  work();
  for (std::thread &helper : helpers)
    helper.join();
}

} // namespace rtorch::archive
